"""Changing the numbers of a rule where they stand in its expression.

A built-in rule is written once, with its defaults, as a Prometheus rule (builtin.yml). Tuning it replaces numbers at
the places that the syntax tree names, so what is tuned is again the text of a rule, with nothing else changed.
"""

from __future__ import annotations

from dataclasses import dataclass

from otelmon.duration import format_duration
from otelmon.promql.analyze import walk
from otelmon.promql.ast import Binary, Call, Duration, Expr, MatrixSelector, Node, Number, Paren

_COMPARISONS = {">", ">=", "<", "<="}
_TWO_SAMPLE_FUNCTIONS = {"rate", "increase", "irate", "delta", "idelta", "deriv", "predict_linear"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """New numbers for a rule; None leaves one as it is.

    ``threshold`` is the bound of the condition; ``window_seconds`` every range; ``percentile`` (0 to 100) the quantile
    of each histogram_quantile; ``at_least`` the bound of the condition after ``and``.
    """

    threshold: float | None = None
    window_seconds: float | None = None
    percentile: float | None = None
    at_least: float | None = None


def tuned(text: str, expr: Expr, tuning: Tuning) -> str:
    """The expression's text with the numbers of a tuning. ``expr`` is the tree of ``text``."""
    changes: list[tuple[Node, str]] = []
    if tuning.threshold is not None:
        changes.append((_required(threshold_of(expr), "threshold"), _number(tuning.threshold)))
    if tuning.at_least is not None:
        changes.append((_required(at_least_of(expr), "at_least"), _number(tuning.at_least)))
    if tuning.window_seconds is not None:
        changes += [(window, format_duration(tuning.window_seconds)) for window in windows_of(expr)]
    if tuning.percentile is not None:
        changes += [(quantile, _number(tuning.percentile / 100)) for quantile in quantiles_of(expr)]
    for node, written in sorted(changes, key=lambda change: change[0].start, reverse=True):
        text = text[: node.start] + written + text[node.end :]
    return text


def threshold_of(expr: Expr) -> Number | None:
    """The number that the measure is compared with."""
    match _inner(expr):
        case Binary(operator="and" | "unless", left=left):
            return threshold_of(left)
        case Binary(operator=operator, right=right) if operator in _COMPARISONS:
            bound = _inner(right)
            return bound if isinstance(bound, Number) else None
    return None


def at_least_of(expr: Expr) -> Number | None:
    """The number in ``... and count >= number``."""
    match _inner(expr):
        case Binary(operator="and", right=right):
            return threshold_of(right)
    return None


def windows_of(expr: Expr) -> list[Duration]:
    """The range of every range selector."""
    return [node.range for node in walk(expr) if isinstance(node, MatrixSelector)]


def counter_windows_of(expr: Expr) -> list[Duration]:
    """The ranges over which a change is measured, which takes two samples in each."""
    calls = [node for node in walk(expr) if isinstance(node, Call) and node.function in _TWO_SAMPLE_FUNCTIONS]
    return [first.range for call in calls if isinstance(first := _inner(call.arguments[0]), MatrixSelector)]


def quantiles_of(expr: Expr) -> list[Number]:
    """The quantile of every histogram_quantile."""
    calls = [node for node in walk(expr) if isinstance(node, Call) and node.function == "histogram_quantile"]
    return [first for call in calls if isinstance(first := _inner(call.arguments[0]), Number)]


def _inner(expr: Expr) -> Expr:
    while isinstance(expr, Paren):
        expr = expr.expr
    return expr


def _required(node: Number | None, what: str) -> Number:
    if node is None:
        raise ValueError(f"the expression has no {what}")
    return node


def _number(value: float) -> str:
    return f"{value:.12g}"
