"""Prometheus rule files: strict, with every fault of a file at once, each with its line and column.

Fields and their meaning are those of Prometheus 3 (https://prometheus.io/docs/prometheus/latest/configuration/
alerting_rules/ and recording_rules/); a file that Prometheus loads and whose expressions otelmon evaluates loads here
unchanged. ``${NAME}`` is not read in them, since it is not in Prometheus.
"""

from __future__ import annotations

from pathlib import Path

from otelmon.document.fields import Fields, Problems
from otelmon.document.load import parse_document, read_document
from otelmon.document.model import Scalar, Section, Value, describe, is_empty
from otelmon.labels import METRIC_NAME, Labels
from otelmon.rules.breakdown import BREAKDOWN_ANNOTATION
from otelmon.rules.expression import read_expression
from otelmon.rules.extensions import Extensions, read_extensions
from otelmon.rules.model import AlertingRule, Group, Origin, RecordingRule, Rule
from otelmon.rules.template import template_fault

_GROUP_FIELDS = ("name", "interval", "query_offset", "limit", "labels", "rules")
_RULE_FIELDS = ("alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations")


def load_rule_file(path: Path, *, name: str | None = None, ignore_unknown: bool = False) -> tuple[Group, ...]:
    """The groups of a Prometheus rule file; ``name`` is how errors and origins call the file (default: its path).

    With ``ignore_unknown``, keys that Prometheus does not know are passed over.

    Raises ConfigError with every problem of the file: its place, the key, what to write instead.
    """
    return read_groups(read_document(path, name=name), ignore_unknown=ignore_unknown)


def load_rules(text: str, *, name: str) -> tuple[Group, ...]:
    """The groups in the text of a Prometheus rule file, as :func:`load_rule_file` reads them."""
    return read_groups(parse_document(text, name=name))


def read_groups(document: Value, *, ignore_unknown: bool = False) -> tuple[Group, ...]:
    """The groups of a document that is a rule file."""
    problems = Problems(ignore_unknown=ignore_unknown)
    groups: list[Group] = []
    if not isinstance(document, Section):
        problems.add(document, f"a rule file is a section with groups, not {describe(document)}", hint="write groups:")
        problems.raise_any()
        return ()
    fields = Fields(document, problems, known=("groups",))
    listing = fields.listing("groups") if not _is_unset(fields, "groups") else None
    lines: dict[str, int] = {}
    for index, item in enumerate(() if listing is None else listing.items):
        group = _read_group(item, problems, path=f"groups[{index}]")
        if group is None:
            continue
        if group.name in lines:
            message = f"the group {group.name!r} is in this file twice, first in line {lines[group.name]}"
            problems.add(item, message, key=f"groups[{index}].name", hint="give it another name, or join the two")
        lines.setdefault(group.name, group.origin.line)
        groups.append(group)
    problems.raise_any()
    return tuple(groups)


def read_labels(fields: Fields, name: str = "labels") -> dict[str, str]:
    """A section of labels; their values are templates."""
    found: dict[str, str] = {}
    for label, scalar in fields.texts(name).items():
        key = f"{fields.key(name)}.{label}"
        if label in ("", METRIC_NAME):
            faults_hint = "labels of a rule cannot rename the metric; use record: for that"
            fields.problems.add(scalar, f"{label!r} cannot be set as a label", key=key, hint=faults_hint)
            continue
        check_template(scalar, fields.problems, key=key)
        found[label] = "" if is_empty(scalar) else scalar.text
    return found


def read_annotations(fields: Fields, name: str = "annotations") -> dict[str, str]:
    """A section of annotations; their values are templates."""
    found: dict[str, str] = {}
    for annotation, scalar in fields.texts(name).items():
        key = f"{fields.key(name)}.{annotation}"
        if not annotation:
            fields.problems.add(scalar, "an annotation needs a name", key=key)
            continue
        check_template(scalar, fields.problems, key=key)
        found[annotation] = "" if is_empty(scalar) else scalar.text
    return found


def check_template(value: Scalar, problems: Problems, *, key: str) -> None:
    """Note a fault if the text is no template."""
    fault = template_fault(value.text)
    if fault is not None:
        problems.add(value, f"template: {fault.message}", key=key, place=value.place_at(fault.offset))


def _is_unset(fields: Fields, name: str) -> bool:
    """Whether a key was left out or left empty, which Prometheus takes as the same."""
    value = fields.value(name)
    return value is None or is_empty(value)


def _read_group(value: Value, problems: Problems, *, path: str) -> Group | None:
    if not isinstance(value, Section):
        problems.add(value, f"a group expected, not {describe(value)}", key=path, hint="write - name: ... and rules:")
        return None
    fields = Fields(value, problems, known=_GROUP_FIELDS, path=path)
    name = fields.text("name")
    if fields.entry("name") is None:
        fields.fault("name", "a group needs a name", "write name:")
    interval = fields.duration("interval", exact=True)
    offset = fields.duration("query_offset", exact=True)
    limit = fields.integer("limit")
    labels = {} if _is_unset(fields, "labels") else read_labels(fields)
    listing = None if _is_unset(fields, "rules") else fields.listing("rules")
    read = [
        _read_rule(item, problems, group_labels=labels, path=f"{path}.rules[{index}]")
        for index, item in enumerate(() if listing is None else listing.items)
    ]
    if name is None:
        return None
    return Group(
        name=name,
        rules=tuple(rule for rule in read if rule is not None),
        interval_seconds=interval or None,
        query_offset_seconds=offset or 0.0,
        limit=limit or 0,
        origin=Origin(file=value.source.name, line=value.place.line),
    )


def _read_rule(value: Value, problems: Problems, *, group_labels: dict[str, str], path: str) -> Rule | None:
    if not isinstance(value, Section):
        problems.add(value, f"a rule expected, not {describe(value)}", key=path, hint="write - alert: ... and expr:")
        return None
    fields = Fields(value, problems, known=_RULE_FIELDS, path=path)
    name = _read_name(fields)
    expr_value = fields.value("expr")
    expr_text = fields.text("expr", what="an expression")
    if expr_value is None:
        fields.fault("expr", "a rule needs an expression", "write expr:")
    expr = None
    if isinstance(expr_value, Scalar) and expr_text is not None:
        expr = read_expression(expr_value, problems, key=fields.key("expr"))
    for_seconds = fields.duration("for", exact=True)
    keep_seconds = fields.duration("keep_firing_for", exact=True)
    labels = {} if _is_unset(fields, "labels") else read_labels(fields)
    annotations = {} if _is_unset(fields, "annotations") else read_annotations(fields)
    is_record = fields.entry("record") is not None
    if is_record:
        for only_alerts in ("for", "keep_firing_for", "annotations"):
            if fields.entry(only_alerts) is not None:
                fields.fault(
                    only_alerts, "a recording rule has none", "take it away, or write alert: in place of record:"
                )
    extensions = Extensions()
    stated = fields.value("annotations")
    if expr is not None and isinstance(stated, Section):
        scalars = {key: entry.value for key, entry in stated.entries.items() if isinstance(entry.value, Scalar)}
        extensions = read_extensions(scalars, expr, problems, fields.key("annotations"))
    if name is None or expr is None or expr_text is None:
        return None
    origin = Origin(file=value.source.name, line=value.place.line)
    all_labels = Labels({**group_labels, **labels})
    text = expr_text.rstrip()
    if is_record:
        return RecordingRule(name=name, expr=expr, text=text, labels=all_labels, origin=origin)
    return AlertingRule(
        name=name,
        expr=expr,
        text=text,
        for_seconds=for_seconds or 0.0,
        keep_firing_for_seconds=keep_seconds or 0.0,
        labels=all_labels,
        annotations={name: text for name, text in annotations.items() if name != BREAKDOWN_ANNOTATION},
        unit=extensions.unit,
        no_data=extensions.no_data,
        resolve_when=extensions.resolve_when,
        breakdown=extensions.breakdown,
        origin=origin,
    )


def _read_name(fields: Fields) -> str | None:
    alert, record = fields.entry("alert"), fields.entry("record")
    if alert is not None and record is not None:
        later = max(alert, record, key=lambda entry: entry.key.start)
        message = "a rule either alerts or records, and this one says both"
        fields.problems.add(later.key, message, key=fields.path, hint="write two rules")
        return None
    if alert is None and record is None:
        fields.problems.add(fields.section, "a rule needs a name", key=fields.path, hint="write alert: or record:")
        return None
    if alert is not None:
        return fields.text("alert", what="a name")
    name = fields.text("record", what="a name")
    if name is not None and any(character in name for character in "{}"):
        fields.fault("record", f"{name!r} is no metric name", "put selectors into expr: and labels into labels:")
        return None
    return name
