"""What is allowed in a rule and yet probably not meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from otelmon.duration import format_duration
from otelmon.errors import Problem
from otelmon.promql.analyze import condition, constant, metric_names
from otelmon.promql.ast import Aggregate, Binary, Expr, Number, Paren
from otelmon.promql.evaluation import Condition
from otelmon.rules.model import AlertingRule, Group, Rule, Unit
from otelmon.rules.tune import counter_windows_of

_RUNBOOKS = ("runbook", "runbook_url")
_HIGHEST = {Unit.RATIO: 1.0, Unit.PERCENT: 100.0}


def advice(groups: Iterable[Group], *, interval_seconds: float) -> tuple[Problem, ...]:
    """What to look at again, in the order of the rules.

    ``interval_seconds`` is how often samples are taken, and how often groups are evaluated that say nothing else.
    """
    return tuple(
        Problem(file=rule.origin.file, line=rule.origin.line, key=rule.name, message=message, hint=hint)
        for group in groups
        for rule in group.rules
        for message, hint in _of_rule(rule, interval_seconds, group.interval_seconds or interval_seconds)
    )


def _of_rule(rule: Rule, sampled: float, interval: float) -> Iterator[tuple[str, str]]:
    for window in counter_windows_of(rule.expr):
        if isinstance(window, Number) and window.value < 2 * sampled:
            message = f"a change over {format_duration(window.value)} is mostly not seen at an interval of "
            yield message + format_duration(sampled), f"write at least [{format_duration(2 * sampled)}]"
    if not isinstance(rule, AlertingRule):
        return
    yield from _of_threshold(rule)
    if 0 < rule.for_seconds < interval:
        message = f"for: {format_duration(rule.for_seconds)} is shorter than the interval, {format_duration(interval)}"
        yield message, "it holds as long as one interval all the same"
    if "severity" not in rule.labels:
        yield "it has no label severity, so it is taken as a warning", "write labels: {severity: critical}"
    if not any(name in rule.annotations for name in _RUNBOOKS):
        yield "it has no runbook: whoever is paged has to guess", "write annotations: {runbook_url: https://...}"


def _of_threshold(rule: AlertingRule) -> Iterator[tuple[str, str]]:
    found = condition(rule.expr)
    if found is None:
        return
    highest = highest_value(found.measure)
    if highest is None:
        highest = _HIGHEST.get(rule.unit)
    if highest is None:
        return
    if _beyond(found, highest):
        hint = f"a share of {found.bound:g} % is {found.bound / 100:g}" if highest == 1 < found.bound else "lower it"
        yield f"the value is never above {highest:g}, so {found.operator} {found.bound:g} never holds", hint
    elif (found.bound < 0 and found.operator in ("<", "<=", "==")) or (found.bound == 0 and found.operator == "<"):
        yield f"the value is never below 0, so {found.operator} {found.bound:g} never holds", "raise the threshold"


def _beyond(found: Condition, highest: float) -> bool:
    if found.operator == ">":
        return found.bound >= highest
    return found.operator in (">=", "==") and found.bound > highest


def highest_value(expr: Expr) -> float | None:
    """The most that an expression can be: of a share of one metric in itself, also in percent; else None."""
    while isinstance(expr, Paren):
        expr = expr.expr
    if not isinstance(expr, Binary):
        return None
    if expr.operator == "*":
        for factor, other in ((expr.left, expr.right), (expr.right, expr.left)):
            times, share = constant(factor), highest_value(other)
            if times is not None and times > 0 and share is not None:
                return times * share
    if expr.operator == "/":
        # 100 * part / whole reads as (100 * part) / whole.
        part, times = _scaled(expr.left)
        names = metric_names(part)
        if _is_total(part) and _is_total(expr.right) and len(names) == 1 and names == metric_names(expr.right):
            return times
    return None


def _scaled(expr: Expr) -> tuple[Expr, float]:
    """An expression without the constant that it is multiplied by, and that constant."""
    while isinstance(expr, Paren):
        expr = expr.expr
    if isinstance(expr, Binary) and expr.operator == "*":
        for factor, other in ((expr.left, expr.right), (expr.right, expr.left)):
            times = constant(factor)
            if times is not None and times > 0:
                return other, times
    return expr, 1.0


def _is_total(expr: Expr) -> bool:
    """A sum or a count: of the two totals of one metric, the one with more matchers is not the greater."""
    while isinstance(expr, Paren):
        expr = expr.expr
    return isinstance(expr, Aggregate) and expr.operator in ("sum", "count")
