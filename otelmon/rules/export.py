"""Rules as Prometheus rule files: what ``otelmon rules show`` and ``otelmon rules export`` print."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import yaml

from otelmon.duration import format_duration
from otelmon.promql.render import render
from otelmon.rules.histograms import HistogramForm, NoSuchFormError, histogram_names, in_form
from otelmon.rules.model import AlertingRule, Group, Rule


def rule_file(groups: Iterable[Group], *, interval_seconds: float, form: HistogramForm | None = None) -> str:
    """The text of a Prometheus rule file with these groups.

    ``interval_seconds`` is how often the monitor evaluates a group that says nothing: it is written down, since
    another Prometheus has a default of its own. With a ``form``, expressions that serve both forms of histograms ask
    for that one only, and rules that cannot are left out with a comment. Extensions of otelmon's are annotations
    (``otelmon_unit``), which Prometheus carries along.
    """
    groups = tuple(groups)
    histograms = histogram_names(rule.expr for group in groups for rule in group.rules)
    lines = ["groups:"]
    names: dict[str, int] = {}
    for group in groups:
        # Prometheus wants a name once a file; several files may have had the same.
        number = names[group.name] = names.get(group.name, 0) + 1
        name = group.name if number == 1 else f"{group.name} ({group.origin.file}, {number})"
        rules, left_out = _rules(group.rules, form, histograms)
        head: dict[str, object] = {
            "name": name,
            "interval": format_duration(group.interval_seconds or interval_seconds),
        }
        if group.query_offset_seconds:
            head["query_offset"] = format_duration(group.query_offset_seconds)
        if group.limit:
            head["limit"] = group.limit
        text = _yaml([{**head, "rules": rules}])
        lines += [f"  {line}".rstrip() for line in text.splitlines()]
        lines += [f"      # left out: {line}" for line in left_out]
    return "\n".join(lines) + "\n"


def _rules(
    rules: Sequence[Rule], form: HistogramForm | None, histograms: frozenset[str]
) -> tuple[list[dict[str, object]], list[str]]:
    written: list[dict[str, object]] = []
    left_out: list[str] = []
    for rule in rules:
        text = rule.text
        if form is not None:
            try:
                expr = in_form(rule.expr, form, histograms)
            except NoSuchFormError as error:
                left_out.append(f"{rule.name}: {error}")
                continue
            text = text if expr == rule.expr else render(expr)
        written.append(_rule(rule, text))
    return written, left_out


def _rule(rule: Rule, text: str) -> dict[str, object]:
    written: dict[str, object] = {"alert" if isinstance(rule, AlertingRule) else "record": rule.name, "expr": text}
    if isinstance(rule, AlertingRule):
        for key, seconds in (("for", rule.for_seconds), ("keep_firing_for", rule.keep_firing_for_seconds)):
            if seconds:
                written[key] = format_duration(seconds)
    if rule.labels:
        written["labels"] = dict(rule.labels)
    if isinstance(rule, AlertingRule) and rule.annotations:
        written["annotations"] = dict(rule.annotations)
    return written


class _Dumper(yaml.SafeDumper):
    """Lists indented, and texts of several lines as they were written."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    # A block cannot keep spaces at the ends of lines; yaml itself quotes what it cannot keep in any other way.
    block = "\n" in value and all(line == line.rstrip() for line in value.split("\n"))
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if block else None)


_Dumper.add_representer(str, _text)


def _yaml(value: object) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
