"""Which selectors of an expression find nothing that it would take for granted."""

from __future__ import annotations

from collections.abc import Callable

from otelmon.promql.analyze import children
from otelmon.promql.ast import Binary, Call, Expr, VectorSelector

_FOR_ABSENCE = frozenset({"absent", "absent_over_time"})
# Series that otelmon, as Prometheus, writes only while an alert is there.
_OF_ALERTS = frozenset({"ALERTS", "ALERTS_FOR_STATE"})


def unmatched(expr: Expr, found: Callable[[VectorSelector], bool]) -> tuple[VectorSelector, ...]:
    """The selectors without a series that the expression counts on; ``found`` says whether a selector has one.

    Not counted on is what stands in ``absent()``, what ``unless`` takes away, what alerts write themselves, and one
    side of ``or`` where the other has all that it asks for (``vector(0)`` asks for nothing).
    """
    if isinstance(expr, VectorSelector):
        return () if expr.name in _OF_ALERTS or found(expr) else (expr,)
    if isinstance(expr, Call) and expr.function in _FOR_ABSENCE:
        return ()
    if isinstance(expr, Binary) and expr.operator == "unless":
        return unmatched(expr.left, found)
    parts = [unmatched(child, found) for child in children(expr)]
    if isinstance(expr, Call) and expr.function == "info":
        parts = parts[:1]
    if isinstance(expr, Binary) and expr.operator == "or" and not all(parts):
        return ()
    return tuple(selector for part in parts for selector in part)
