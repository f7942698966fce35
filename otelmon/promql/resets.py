"""Counter resets that contradict each other where histograms are added up.

Prometheus knows of each sample of a counter whether it begins anew ("reset") or goes on ("not reset"); adding one of
each is a warning. Its storage tells it of the second kind only, so that the warning comes only where it looks itself:
within histogram_count(), histogram_sum() and histogram_avg(), which it reads by an iterator that compares the count of
each sample with the one before (prometheus/model/histogram, HistogramStatsIterator).
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

import numpy as np

from otelmon.histogram import Histogram
from otelmon.promql.analyze import LOOKBACK_DELTA_SECONDS
from otelmon.promql.ast import Aggregate, Call, Expr, MatrixSelector, Number, Paren, VectorSelector
from otelmon.promql.context import Context
from otelmon.promql.rates import Listed, listed
from otelmon.promql.vector import Matrix, Vector

OF_TOTALS = frozenset({"histogram_count", "histogram_sum", "histogram_avg"})
"""The functions that read histograms without their buckets."""


class _Hint(Enum):
    UNKNOWN = "unknown"
    RESET = "reset"
    NOT_RESET = "not reset"


def warn_of_conflicts(context: Context, node: Call, at: float) -> None:
    """Warn where the sum or average inside one of ``OF_TOTALS`` adds a sample that was reset to one that was not."""
    inner = _bare(node.arguments[0])
    if isinstance(inner, Aggregate) and inner.operator in ("sum", "avg"):
        selector = _bare(inner.expr)
        if isinstance(selector, VectorSelector) and _conflicts_in_groups(context, inner, selector, at):
            _warn(context, inner.expr)
    elif isinstance(inner, Call) and inner.function in ("sum_over_time", "avg_over_time"):
        ranged = _bare(inner.arguments[0])
        if isinstance(ranged, MatrixSelector) and _conflicts_in_time(context, ranged, at):
            _warn(context, inner.arguments[0])


def _bare(node: Expr) -> Expr:
    while isinstance(node, Paren):
        node = node.expr
    return node


def _warn(context: Context, node: Expr) -> None:
    context.warn("conflicting counter resets during histogram aggregation", node)


def _conflicts_in_groups(context: Context, node: Aggregate, selector: VectorSelector, at: float) -> bool:
    vector = context.evaluate(selector, at)
    if not isinstance(vector, Vector) or vector.histograms is None:
        return False
    matrix = _matrix(context, selector, 2 * LOOKBACK_DELTA_SECONDS, at)
    ids = vector.shape.grouping(node.grouping, without=node.without).ids
    found: dict[int, set[_Hint]] = {}
    for position in np.nonzero(vector.histogram_mask)[0].tolist():
        *_, hint = (_Hint.UNKNOWN, *(hint for _, hint in _hints(listed(matrix, position))))
        found.setdefault(int(ids[position]), set()).add(hint)
    return any(hints >= {_Hint.RESET, _Hint.NOT_RESET} for hints in found.values())


def _conflicts_in_time(context: Context, node: MatrixSelector, at: float) -> bool:
    matrix = context.matrix(node, at)
    if matrix.histograms is None:
        return False
    # The sample before the range says whether the first within it was reset.
    wider = _matrix(context, node.selector, matrix.end - matrix.start + LOOKBACK_DELTA_SECONDS, at)
    for position in np.nonzero(matrix.histogram_count > 0)[0].tolist():
        hints = {hint for time, hint in _hints(listed(wider, position)) if time > matrix.start}
        if hints >= {_Hint.RESET, _Hint.NOT_RESET}:
            return True
    return False


def _matrix(context: Context, selector: VectorSelector, seconds: float, at: float) -> Matrix:
    span = Number(value=seconds, start=selector.start, end=selector.end)
    return context.matrix(MatrixSelector(selector=selector, range=span, start=selector.start, end=selector.end), at)


def _hints(samples: Listed) -> Iterator[tuple[float, _Hint]]:
    """Of each histogram that is a counter, whether it was reset, by its count alone."""
    before: Histogram | None = None
    for time, value in zip(*samples, strict=True):
        if not isinstance(value, Histogram) or value.gauge:
            before = None
            yield time, _Hint.UNKNOWN
            continue
        if before is None:
            yield time, _Hint.UNKNOWN
        else:
            yield time, _Hint.RESET if value.count < before.count else _Hint.NOT_RESET
        before = value
