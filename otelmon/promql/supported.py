"""What of PromQL is evaluated; the rest is refused when a rule is loaded. Imports no numpy."""

from __future__ import annotations

from otelmon.errors import PromQLError
from otelmon.promql.analyze import walk
from otelmon.promql.ast import Call, Expr, MatrixSelector, VectorSelector

NOT_EVALUATED = {"start_timestamp": "the window keeps no start timestamps"}
"""Functions of Prometheus 3 that are parsed but not evaluated, and why."""


def check_supported(expr: Expr, text: str) -> None:
    """Raise PromQLError, with the place in ``text``, for the first thing that would not be evaluated."""
    ranges = {id(node.selector) for node in walk(expr) if isinstance(node, MatrixSelector)}
    for node in walk(expr):
        problem = _problem(node, in_range=id(node) in ranges)
        if problem is not None:
            raise PromQLError(problem, text=text, start=node.start, end=node.end)


def _problem(node: Expr, *, in_range: bool) -> str | None:
    if isinstance(node, Call) and node.function in NOT_EVALUATED:
        return f"{node.function}() is not evaluated by otelmon: {NOT_EVALUATED[node.function]}"
    if isinstance(node, VectorSelector) and node.range_modifier == "anchored" and not in_range:
        return "anchored is for ranges, such as increase(requests_total[5m] anchored)"
    return None
