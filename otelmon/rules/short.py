"""The short forms of otelmon.yaml's ``alerts:``, expanded to Prometheus rules.

alerts:
  error_rate: {threshold: 5%, window: 10m}     a built-in rule, tuned
  disk_usage: 90                               only its threshold
  cpu_usage: on                                one that is off by default
  memory_usage: off
  cart_failures: {expr: 'rate(cart_failures_total[5m]) > 0.2', for: 2m, severity: warning}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from otelmon.document.fields import Fields, Problems, as_boolean, did_you_mean
from otelmon.document.model import Entry, Scalar, Section, Value, describe, is_empty
from otelmon.duration import format_duration
from otelmon.errors import PromQLError
from otelmon.labels import METRIC_NAME, Labels
from otelmon.promql.ast import Expr, Number
from otelmon.promql.parse import parse
from otelmon.rules.breakdown import adjusted, read_breakdown
from otelmon.rules.builtin import BUILTIN_GROUP, Builtin, builtins
from otelmon.rules.expression import read_expression
from otelmon.rules.extensions import (
    NO_DATA_ANNOTATION,
    RESOLVE_WHEN_ANNOTATION,
    UNIT_ANNOTATION,
    read_no_data,
    read_resolve_when,
)
from otelmon.rules.load import check_template, read_annotations, read_labels
from otelmon.rules.model import AlertingRule, Breakdown, Group, Origin, Severity, Unit
from otelmon.rules.quantity import QuantityError, parse_percentile, parse_threshold
from otelmon.rules.spelling import prometheus_spelling
from otelmon.rules.tune import Tuning, counter_windows_of, threshold_of, tuned, windows_of

OWN_GROUP = "alerts"

_TEXTS = ("summary", "description", "title", "runbook")
_SHARED = ("severity", "for", "keep_firing_for", "no_data", "resolve_when", "breakdown", "enabled", "labels", *_TEXTS)
_OWN = ("expr", "unit", "annotations", *_SHARED)
_LONGEST_WINDOW = 86_400.0
_LONGEST_FOR = 7 * 86_400.0
_KEEP_FIRING_FOR = 120.0
_UNIT_WORDS = {
    **{unit.value: unit for unit in Unit if unit},
    "%": Unit.PERCENT, "ms": Unit.MILLISECONDS, "s": Unit.SECONDS, "B": Unit.BYTES, "none": Unit.NONE,
}  # fmt: skip


def expand_alerts(value: Value | None, problems: Problems, *, interval_seconds: float) -> tuple[Group, ...]:
    """The groups that ``alerts:`` stands for: the built-in rules as tuned, then the user's own where there are any.

    ``interval_seconds`` is how often rules are evaluated: a window has to hold two samples. Faults are noted, with
    their place; without an ``alerts:`` section the built-in rules keep their defaults.
    """
    entries: dict[str, Entry] = {}
    if isinstance(value, Section):
        entries = value.entries
    elif value is not None and not is_empty(value):
        problems.add(value, f"a section of alerts expected, not {describe(value)}", key="alerts")
    known = builtins()
    chosen = [_builtin(known[name], entries.get(name), problems, interval_seconds) for name in known]
    own = [_own(entry, problems, interval_seconds) for name, entry in entries.items() if name not in known]
    kept = tuple(rule for rule in chosen if rule is not None)
    file = "otelmon.yaml" if value is None else value.source.name
    groups = [Group(name=BUILTIN_GROUP, rules=kept, origin=Origin(file=file))]
    own_rules = tuple(rule for rule in own if rule is not None)
    if own_rules:
        groups.append(Group(name=OWN_GROUP, rules=own_rules, origin=own_rules[0].origin))
    return tuple(groups)


def _builtin(builtin: Builtin, entry: Entry | None, problems: Problems, interval: float) -> AlertingRule | None:
    """A built-in rule as tuned; None where it is off."""
    least_window = 2 * interval
    if entry is None:
        return _widened(builtin, least_window) if builtin.enabled else None
    key = f"alerts.{entry.key.text}"
    value = entry.value
    if is_empty(value):
        problems.add(
            entry.key, "nothing is written here", key=key, hint="write on, off, a threshold or {threshold: ...}"
        )
        return None
    if isinstance(value, Scalar):
        switched = as_boolean(value)
        if switched is not None:
            return _widened(builtin, least_window) if switched else None
        threshold = _threshold(value, builtin.rule.unit, problems, key=key)
        return _changed(builtin, Tuning(threshold=threshold), entry, least_window)
    if not isinstance(value, Section):
        hint = "write on, off, a threshold or a section such as {threshold: ..., severity: ...}"
        problems.add(value, f"{describe(value)} is no alert", key=key, hint=hint)
        return None
    if "expr" in value.entries:
        hint = "give your rule another name, and write off here if it takes this one's place"
        problems.add(
            value.entries["expr"].key, "the expression of a built-in alert is fixed", key=f"{key}.expr", hint=hint
        )
        return None
    return _tuned_by_section(builtin, entry, value, problems, least_window)


def _tuned_by_section(
    builtin: Builtin, entry: Entry, section: Section, problems: Problems, least_window: float
) -> AlertingRule | None:
    known = ["threshold", "window", *_SHARED]
    known += ["percentile"] if builtin.has_percentile else []
    known += ["at_least"] if builtin.has_at_least else []
    fields = Fields(section, problems, known=known, path=f"alerts.{entry.key.text}")
    threshold = _scalar(fields, "threshold")
    percentile = _scalar(fields, "percentile") if builtin.has_percentile else None
    at_least = _scalar(fields, "at_least") if builtin.has_at_least else None
    window = fields.duration("window", low=least_window if builtin.has_window else 0.0, high=_LONGEST_WINDOW)
    if window is not None and not builtin.has_window and fields.entry("for") is not None:
        fields.fault("window", "window and for are the same here", "this alert looks at a gauge: write one of them")
    tuning = Tuning(
        threshold=None
        if threshold is None
        else _threshold(threshold, builtin.rule.unit, problems, key=fields.key("threshold")),
        percentile=None if percentile is None else _percentile(percentile, problems, key=fields.key("percentile")),
        at_least=None if at_least is None else _threshold(at_least, Unit.NONE, problems, key=fields.key("at_least")),
        window_seconds=window if builtin.has_window else None,
    )
    rule = _changed(builtin, tuning, entry, least_window)
    held = fields.duration("for", high=_LONGEST_FOR)
    if held is None and not builtin.has_window:
        held = window
    rule = replace(rule, for_seconds=rule.for_seconds if held is None else held)
    return _with_shared_fields(rule, fields, enabled=fields.boolean("enabled"))


def _changed(builtin: Builtin, tuning: Tuning, entry: Entry, least_window: float) -> AlertingRule:
    """The rule with a tuning, in its expression and in the texts that tell of it."""
    rule = _widened(builtin, least_window) if tuning.window_seconds is None else builtin.rule
    text = tuned(rule.text, rule.expr, tuning)
    origin = Origin(file=entry.key.source.name, line=entry.key.place.line)
    annotations = dict(rule.annotations)
    if tuning.window_seconds is not None:
        annotations = _window_told(annotations, rule, tuning.window_seconds)
    if tuning.percentile is not None:
        told = f"{tuning.percentile:g}"
        annotations = {
            name: annotation.replace("p95", f"p{told}").replace("95 %", f"{told} %")
            for name, annotation in annotations.items()
        }
    breakdown = adjusted(rule.breakdown, tuning, bound=_bound_of(rule))
    return replace(rule, text=text, expr=parse(text), annotations=annotations, breakdown=breakdown, origin=origin)


def _bound_of(rule: AlertingRule) -> float | None:
    bound = threshold_of(rule.expr)
    return None if bound is None else bound.value


def _widened(builtin: Builtin, least_window: float) -> AlertingRule:
    """The rule with a window of at least two samples: at a slow interval the default could never hold."""
    rule = builtin.rule
    shortest = min((_seconds(window) for window in windows_of(rule.expr)), default=least_window)
    if shortest >= least_window:
        return rule
    tuning = Tuning(window_seconds=least_window)
    text = tuned(rule.text, rule.expr, tuning)
    annotations = _window_told(rule.annotations, rule, least_window)
    breakdown = adjusted(rule.breakdown, tuning, bound=None)
    return replace(rule, text=text, expr=parse(text), annotations=annotations, breakdown=breakdown)


def _window_told(annotations: Mapping[str, str], rule: AlertingRule, window_seconds: float) -> dict[str, str]:
    written = {format_duration(_seconds(window)) for window in windows_of(rule.expr)}
    pattern = re.compile("|".join(rf"\b{re.escape(text)}\b" for text in sorted(written)))
    return {name: pattern.sub(format_duration(window_seconds), text) for name, text in annotations.items()}


def _seconds(duration: object) -> float:
    return duration.value if isinstance(duration, Number) else 0.0


def _own(entry: Entry, problems: Problems, interval: float) -> AlertingRule | None:
    """A rule of the user's own."""
    name, value = entry.key.text, entry.value
    key = f"alerts.{name}"
    if not isinstance(value, Section) or "expr" not in value.entries:
        names = ", ".join(builtins())
        hint = did_you_mean(name, builtins()) or f"a rule of your own needs expr:; built in are {names}"
        problems.add(entry.key, "no built-in alert has this name, and it has no expr", key=key, hint=hint)
        return None
    if not name.strip() or name == METRIC_NAME:
        problems.add(entry.key, "an alert needs a name", key="alerts")
        return None
    fields = Fields(value, problems, known=_OWN, path=key)
    text, expr = _expression(fields, interval)
    unit = _unit(fields)
    annotations = {"title": name.replace("_", " ").strip().capitalize(), **read_annotations(fields)}
    if unit:
        annotations[UNIT_ANNOTATION] = unit.value
    rule = AlertingRule(
        name=name,
        expr=expr,
        text=text,
        for_seconds=fields.duration("for", high=_LONGEST_FOR) or 0.0,
        keep_firing_for_seconds=_KEEP_FIRING_FOR,
        labels=Labels({"severity": Severity.WARNING.value}),
        annotations=annotations,
        unit=unit,
        origin=Origin(file=entry.key.source.name, line=entry.key.place.line),
    )
    return _with_shared_fields(rule, fields, enabled=fields.boolean("enabled"))


def _expression(fields: Fields, interval: float) -> tuple[str, Expr]:
    """The rule's expression, in Prometheus's spelling; a stand-in after a fault, so that the other fields are read."""
    stand_in = ("0", Number(start=0, end=1, value=0.0))
    key = fields.key("expr")
    scalar = _scalar(fields, "expr")
    expr = None if scalar is None else read_expression(scalar, fields.problems, key=key)
    if scalar is None or expr is None:
        return stand_in
    _check_windows(scalar, expr, fields.problems, interval, key=key)
    text = scalar.text.rstrip()
    try:
        spelled = prometheus_spelling(text)
    except PromQLError as error:
        fields.problems.add(scalar, error.message, key=key, place=scalar.place_at(error.start))
        return stand_in
    return spelled, expr if spelled == text else parse(spelled)


def _with_shared_fields(rule: AlertingRule, fields: Fields, *, enabled: bool | None) -> AlertingRule | None:
    """The rule with the fields that every alert takes; None where it is disabled."""
    severity = fields.choice("severity", [severity.value for severity in reversed(Severity)])
    labels = read_labels(fields)
    labelled = labels.get("severity")
    if labelled is not None:
        fields.fault("labels", "severity is a key of its own", f"write severity: {labelled} beside labels:")
    keep = fields.duration("keep_firing_for", high=_LONGEST_FOR)
    annotations = dict(rule.annotations)
    for name in _TEXTS:
        scalar = _scalar(fields, name)
        if scalar is not None:
            check_template(scalar, fields.problems, key=fields.key(name))
            is_address = name == "runbook" and scalar.text.startswith(("https://", "http://"))
            annotations["runbook_url" if is_address else name] = scalar.text
    rule, stated = _with_lifecycle(rule, fields)
    annotations |= stated
    if enabled is False:
        return None
    return replace(
        rule,
        labels=rule.labels.with_labels(labels | ({"severity": severity} if severity else {})),
        annotations=annotations,
        keep_firing_for_seconds=rule.keep_firing_for_seconds if keep is None else keep,
    )


def _with_lifecycle(rule: AlertingRule, fields: Fields) -> tuple[AlertingRule, dict[str, str]]:
    """The rule with ``no_data`` and ``resolve_when``, and the annotations that say the same in a rule file."""
    stated: dict[str, str] = {}
    scalar = _scalar(fields, "no_data")
    no_data = None if scalar is None else read_no_data(scalar, fields.problems, key=fields.key("no_data"))
    if no_data is not None:
        rule = replace(rule, no_data=no_data)
        stated[NO_DATA_ANNOTATION] = no_data.value
    scalar = _scalar(fields, "resolve_when")
    # After a fault a number stands in for the expression: nothing can be said of the two together.
    if scalar is not None and not isinstance(rule.expr, Number):
        key = fields.key("resolve_when")
        wanted = read_resolve_when(scalar, rule.expr, rule.unit, fields.problems, key=key)
        rule = replace(rule, resolve_when=wanted)
        stated[RESOLVE_WHEN_ANNOTATION] = scalar.text.strip()
    return _with_breakdown(rule, fields), stated


def _with_breakdown(rule: AlertingRule, fields: Fields) -> AlertingRule:
    """The rule with its ``breakdown``: one text, or a list of them."""
    value = fields.value("breakdown")
    if value is None:
        return rule
    listing = None if isinstance(value, Scalar) else fields.listing("breakdown")
    found: list[Breakdown] = []
    for item in (value,) if listing is None else listing.items:
        if isinstance(item, Scalar) and not is_empty(item):
            found += read_breakdown(item, fields.problems, key=fields.key("breakdown"), any_spelling=True)
        elif listing is not None or is_empty(item):
            fields.problems.add(item, f"an expression expected, not {describe(item)}", key=fields.key("breakdown"))
    return replace(rule, breakdown=tuple(found))


def _check_windows(scalar: Scalar, expr: Expr, problems: Problems, interval: float, *, key: str) -> None:
    """A rate needs two samples: over less than two intervals it finds none, and the rule never fires."""
    for window in counter_windows_of(expr):
        if isinstance(window, Number) and window.value < 2 * interval:
            least, every = format_duration(2 * interval), format_duration(interval)
            message = f"a window of {format_duration(window.value)} holds less than two samples, taken every {every}"
            place = scalar.place_at(window.start)
            problems.add(scalar, message, key=key, hint=f"write [{least}] or more, or a shorter interval:", place=place)


def _scalar(fields: Fields, name: str) -> Scalar | None:
    """A field that has to be a single value; a fault and None where it is not."""
    value = fields.value(name)
    if value is None:
        return None
    if not isinstance(value, Scalar) or is_empty(value):
        fields.fault(name, f"a value expected, not {describe(value)}")
        return None
    return value


def _threshold(value: Scalar, unit: Unit, problems: Problems, *, key: str) -> float | None:
    try:
        return parse_threshold(value.text, unit)
    except QuantityError as error:
        problems.add(value, error.message, key=key, hint=error.hint)
        return None


def _percentile(value: Scalar, problems: Problems, *, key: str) -> float | None:
    try:
        return parse_percentile(value.text)
    except QuantityError as error:
        problems.add(value, error.message, key=key, hint=error.hint)
        return None


def _unit(fields: Fields) -> Unit:
    word = fields.choice("unit", _UNIT_WORDS)
    return Unit.NONE if word is None else _UNIT_WORDS[word]
