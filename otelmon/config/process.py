"""Reads ``process:`` of otelmon.yaml: what becomes of data points before they are evaluated and forwarded."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from otelmon.collect.names import label_name
from otelmon.document.fields import Fields, Problems
from otelmon.document.model import Listing, Scalar, Section, Value, describe, is_empty
from otelmon.incidents.silence import parse_matchers
from otelmon.labels import METRIC_NAME
from otelmon.matching import Matcher

REDACTED = "[redacted]"
"""What stands for a value that is redacted where nothing else is said."""

_STEPS = ("drop", "keep", "rename", "redact", "promote", "limit")
_EXAMPLE = "write one of drop, keep, rename, redact, promote and limit, such as - drop: 'http_route=\"/health\"'"
_MATCH_HINT = 'write a metric\'s name, or matchers such as http_route="/health"'
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_./:-]*")
# Whose values become job and instance, with these themselves.
_IDENTITY = frozenset({"job", "instance", "service_name", "service_namespace", "service_instance_id"})
_LARGEST_LIMIT = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """Points that meet all matchers go."""

    matchers: tuple[Matcher, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """Points that do not meet all matchers go."""

    matchers: tuple[Matcher, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameMetric:
    """A metric gets another name, in OpenTelemetry's spelling."""

    metric: str
    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameLabel:
    """A label of the points that meet all matchers gets another name."""

    matchers: tuple[Matcher, ...]
    label: str
    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Redact:
    """The values of these labels are replaced in the points that meet all matchers, wherever they stand."""

    matchers: tuple[Matcher, ...]
    labels: tuple[str, ...]
    replacement: str = REDACTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Promote:
    """These attributes of the resource become labels of all its points that have none of that name."""

    attributes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A metric has at most so many series, of those that meet the matchers; points of further ones go."""

    matchers: tuple[Matcher, ...]
    series: int


Step = Drop | Keep | RenameMetric | RenameLabel | Redact | Promote | Limit


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSettings:
    """The steps, in the order in which they are done."""

    steps: tuple[Step, ...] = ()


def read_process(fields: Fields | None, problems: Problems) -> ProcessSettings:
    """``process:``; problems are noted, and a step with one is left out."""
    listing = None if fields is None else fields.listing("process")
    found = (
        _Step(item, f"process[{number}]", problems).read()
        for number, item in enumerate(() if listing is None else listing.items, start=1)
    )
    return ProcessSettings(steps=tuple(step for step in found if step is not None))


class _Step:
    """Reads one step."""

    def __init__(self, item: Value, path: str, problems: Problems) -> None:
        self.item = item
        self.path = path
        self.problems = problems

    def read(self) -> Step | None:
        if not isinstance(self.item, Section) or not self.item.entries:
            self.problems.add(self.item, f"a step expected, not {describe(self.item)}", key=self.path, hint=_EXAMPLE)
            return None
        step = Fields(self.item, self.problems, known=_STEPS, path=self.path)
        names = [name for name in _STEPS if step.entry(name) is not None]
        if len(names) > 1:
            self.problems.add(
                self.item, f"{' and '.join(names)} are two steps", key=self.path, hint="write - before each"
            )
        if len(names) != 1 or len(self.item.entries) > 1:
            return None
        (name,) = names
        match name:
            case "drop":
                matchers = self._matchers(step, "drop")
                return None if matchers is None else Drop(matchers=matchers)
            case "keep":
                matchers = self._matchers(step, "keep")
                return None if matchers is None else Keep(matchers=matchers)
            case "promote":
                attributes = self._names(step, "promote", "an attribute of the resource")
                return None if attributes is None else Promote(attributes=attributes)
        section = step.sub(name)
        if section is None:
            return None
        match name:
            case "rename":
                return self._rename(section)
            case "redact":
                return self._redact(section)
            case _:
                return self._limit(section)

    def _rename(self, section: Section) -> Step | None:
        fields = self._fields(section, "rename", ("metric", "label", "to", "match"))
        to = self._name(fields, "to")
        metric = self._name(fields, "metric") if fields.entry("metric") is not None else None
        label = self._name(fields, "label") if fields.entry("label") is not None else None
        if (fields.entry("metric") is None) is (fields.entry("label") is None):
            message = "neither a metric nor a label" if fields.entry("metric") is None else "a metric and a label"
            self.problems.add(section, message, key=fields.path, hint="write {metric: a, to: b} or {label: a, to: b}")
            return None
        if fields.entry("metric") is not None:
            if fields.entry("match") is not None:
                fields.fault("match", "is for labels: a metric is renamed as a whole", "take it away")
            return None if metric is None or to is None else RenameMetric(metric=metric, to=to)
        matchers = self._optional_matchers(fields)
        for name, written in (("label", label), ("to", to)):
            if written is not None:
                self._refuse_identity(fields, name, written)
        if label is None or to is None or matchers is None:
            return None
        return RenameLabel(matchers=matchers, label=label, to=to)

    def _redact(self, section: Section) -> Step | None:
        fields = self._fields(section, "redact", ("labels", "match", "with"))
        if fields.entry("labels") is None:
            fields.fault("labels", "nothing says which labels", "write {labels: [user.email]}")
            return None
        labels = self._names(fields, "labels", "a label")
        matchers = self._optional_matchers(fields)
        replacement = fields.text("with") if fields.entry("with") is not None else REDACTED
        for label in labels or ():
            self._refuse_identity(fields, "labels", label)
        if labels is None or matchers is None or replacement is None:
            return None
        return Redact(matchers=matchers, labels=labels, replacement=replacement)

    def _limit(self, section: Section) -> Step | None:
        fields = self._fields(section, "limit", ("series", "match"))
        matchers = self._optional_matchers(fields)
        if fields.entry("series") is None:
            fields.fault("series", "nothing says how many", "write {series: 2000}")
            return None
        series = fields.integer("series", low=1, high=_LARGEST_LIMIT)
        return None if series is None or matchers is None else Limit(matchers=matchers, series=series)

    def _fields(self, section: Section, name: str, known: tuple[str, ...]) -> Fields:
        return Fields(section, self.problems, known=known, path=f"{self.path}.{name}")

    def _name(self, fields: Fields, key: str) -> str | None:
        if fields.entry(key) is None:
            fields.fault(key, "a name is missing", f"write {key}: NAME")
            return None
        text = fields.text(key, what="a name")
        if text is not None and not _NAME.fullmatch(text.strip()):
            fields.fault(key, f"{text!r} is no name", "write letters, digits, dots and _, such as http.route")
            return None
        return None if text is None else text.strip()

    def _names(self, fields: Fields, key: str, what: str) -> tuple[str, ...] | None:
        value = fields.value(key)
        items = value.items if isinstance(value, Listing) else (value,)
        found = []
        for item in items:
            text = item.text.strip() if isinstance(item, Scalar) else ""
            if item is None or not _NAME.fullmatch(text):
                message = f"{describe(item or self.item)} is not the name of {what}"
                self.problems.add(
                    item or self.item, message, key=fields.key(key), hint="write a name such as http.route"
                )
                return None
            found.append(text)
        if not found:
            fields.fault(key, f"{what} is missing", "write [http.route]")
            return None
        return tuple(dict.fromkeys(found))

    def _refuse_identity(self, fields: Fields, key: str, label: str) -> None:
        if label_name(label) in _IDENTITY:
            fields.fault(key, f"{label} tells services and instances apart", "set it where it is measured")

    def _optional_matchers(self, fields: Fields) -> tuple[Matcher, ...] | None:
        return self._matchers(fields, "match") if fields.entry("match") is not None else ()

    def _matchers(self, fields: Fields, key: str) -> tuple[Matcher, ...] | None:
        value = fields.value(key)
        items = value.items if isinstance(value, Listing) else (value,)
        texts = [item.text for item in items if isinstance(item, Scalar) and not is_empty(item)]
        if not texts or len(texts) != len(items):
            fields.fault(key, "matchers expected", _MATCH_HINT)
            return None
        try:
            found = parse_matchers(texts)
        except ValueError as error:
            everything = "everything would be silent" in str(error)
            hint = "leave the step out" if key in ("drop", "keep") else "leave match out to take all"
            message = "these matchers take everything" if everything else str(error)
            fields.fault(key, message, hint if everything else None)
            return None
        return tuple(replace(each, name=METRIC_NAME) if each.name == "alertname" else each for each in found)
