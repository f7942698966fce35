"""Rules as Prometheus rule files: what ``otelmon rules show`` and ``otelmon rules export`` print."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import yaml

from otelmon.duration import format_duration
from otelmon.promql.render import render
from otelmon.rules.breakdown import BREAKDOWN_ANNOTATION, breakdown_text
from otelmon.rules.extensions import NO_DATA_ANNOTATION, RESOLVE_WHEN_ANNOTATION
from otelmon.rules.histograms import HistogramForm, NoSuchFormError, histogram_names, in_form
from otelmon.rules.model import AlertingRule, Group, Rule


def rule_file(
    groups: Iterable[Group], *, interval_seconds: float, form: HistogramForm | None = None, foreign: bool = False
) -> str:
    """The text of a Prometheus rule file with these groups.

    ``interval_seconds`` is how often the monitor evaluates a group that says nothing: it is written down, since
    another Prometheus has a default of its own. With a ``form``, expressions that serve both forms of histograms ask
    for that one only, and rules that cannot are left out with a comment. Extensions of otelmon's are annotations;
    ``foreign``: another program is to evaluate the rules, so those that say how an alert behaves there
    (``otelmon_no_data``, ``otelmon_resolve_when``) are left out with a comment, since it would not. ``otelmon_unit``
    stays: it is true of the value wherever the rule is evaluated, and a page made of the alert can use it.
    """
    groups = tuple(groups)
    histograms = histogram_names(rule.expr for group in groups for rule in group.rules)
    lines = ["groups:"]
    names: dict[str, int] = {}
    for group in groups:
        # Prometheus wants a name once a file; several files may have had the same.
        number = names[group.name] = names.get(group.name, 0) + 1
        name = group.name if number == 1 else f"{group.name} ({group.origin.file}, {number})"
        written, left_out = _rules(group.rules, form, histograms, foreign=foreign)
        head: dict[str, object] = {
            "name": name,
            "interval": format_duration(group.interval_seconds or interval_seconds),
        }
        if group.query_offset_seconds:
            head["query_offset"] = format_duration(group.query_offset_seconds)
        if group.limit:
            head["limit"] = group.limit
        lines += _indented(_yaml([{**head, "rules": []}]).replace(" []\n", "\n"), 2)
        for rule, comments in written:
            lines += [f"      # left out: {comment}" for comment in comments]
            lines += _indented(_yaml([rule]), 6)
        if not written:
            lines[-1] += " []"
        lines += [f"      # left out: {line}" for line in left_out]
    return "\n".join(lines) + "\n"


def _rules(
    rules: Sequence[Rule], form: HistogramForm | None, histograms: frozenset[str], *, foreign: bool
) -> tuple[list[tuple[dict[str, object], list[str]]], list[str]]:
    """The rules, each with what is left out of it, and which rules are left out."""
    written: list[tuple[dict[str, object], list[str]]] = []
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
        behaviour = _behaviour(rule) if foreign else {}
        written.append((_rule(rule, text, without=behaviour.keys()), list(behaviour.values())))
    return written, left_out


def _behaviour(rule: Rule) -> dict[str, str]:
    """By annotation, what another program would not do: what is left out, and why."""
    if not isinstance(rule, AlertingRule):
        return {}
    reasons = {
        NO_DATA_ANNOTATION: "only otelmon does that; elsewhere an alert resolves when nothing is measured",
        RESOLVE_WHEN_ANNOTATION: "only otelmon does that; elsewhere an alert resolves once expr does not hold",
    }
    return {
        name: f"{name}: {' '.join(rule.annotations[name].split())} ({reason})"
        for name, reason in reasons.items()
        if name in rule.annotations
    }


def _rule(rule: Rule, text: str, *, without: Collection[str]) -> dict[str, object]:
    written: dict[str, object] = {"alert" if isinstance(rule, AlertingRule) else "record": rule.name, "expr": text}
    if isinstance(rule, AlertingRule):
        for key, seconds in (("for", rule.for_seconds), ("keep_firing_for", rule.keep_firing_for_seconds)):
            if seconds:
                written[key] = format_duration(seconds)
    if rule.labels:
        written["labels"] = dict(rule.labels)
    annotations = dict(rule.annotations) if isinstance(rule, AlertingRule) else {}
    if isinstance(rule, AlertingRule) and rule.breakdown:
        annotations[BREAKDOWN_ANNOTATION] = breakdown_text(rule.breakdown)
    if kept := {name: value for name, value in annotations.items() if name not in without}:
        written["annotations"] = kept
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


def _indented(text: str, spaces: int) -> list[str]:
    return [f"{' ' * spaces}{line}".rstrip() for line in text.splitlines()]


def _yaml(value: object) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
