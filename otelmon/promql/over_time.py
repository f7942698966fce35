"""The ``*_over_time`` functions: one value of each series' samples in a range."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from otelmon.histogram import Histogram
from otelmon.promql import native
from otelmon.promql.ast import Call
from otelmon.promql.context import Context
from otelmon.promql.numbers import number_text
from otelmon.promql.ranking import sorted_quantiles
from otelmon.promql.rates import info_ignored, listed, nameless, warn_buckets, warn_mixed
from otelmon.promql.vector import FloatRange, Floats, Histograms, Mask, Matrix, Objects, Vector

Function = Callable[[Context, Call, Matrix], Vector]


def _sum(floats: FloatRange) -> Floats:
    _, values, inside = floats.spread()
    counted = np.where(inside, values, 0.0)
    sums = counted.sum(axis=1)
    # Where large values cancel, add with compensation as Prometheus does.
    for position in np.nonzero(np.abs(sums) < np.abs(counted).sum(axis=1) * 1e-3)[0]:
        sums[position] = native.compensated(counted[position, inside[position]].tolist())
    return np.asarray(sums)


def _mean(floats: FloatRange) -> Floats:
    means = _sum(floats) / floats.count
    for position in np.nonzero(~np.isfinite(means) & (floats.count > 0))[0]:
        _, values, inside = floats.spread()
        chosen = values[position, inside[position]]
        if np.isfinite(chosen).all():
            means[position] = native.compensated((chosen / chosen.size).tolist())
    return np.asarray(means)


def _extreme(pick: np.ufunc) -> Callable[[FloatRange], Floats]:
    def reduce(floats: FloatRange) -> Floats:
        _, values, inside = floats.spread()
        return np.asarray(pick.reduce(np.where(inside, values, np.nan), axis=1))

    return reduce


def _variance(floats: FloatRange) -> Floats:
    _, values, inside = floats.spread()
    first = floats.values[floats.rows, np.minimum(floats.first, floats.times.shape[1] - 1)]
    distance = np.where(inside, values - first[:, None], 0.0)
    mean = distance.sum(axis=1) / floats.count
    return np.asarray(np.where(inside, (distance - mean[:, None]) ** 2, 0.0).sum(axis=1) / floats.count)


def _ordered(values: Floats, inside: Mask) -> Floats:
    """Rows sorted, NaN first, what does not count last."""
    return np.sort(np.where(inside, np.where(np.isnan(values), -np.inf, values), np.inf), axis=1)


def _quantiles(q: float, floats: FloatRange) -> Floats:
    _, values, inside = floats.spread()
    nans = np.count_nonzero(inside & np.isnan(values), axis=1)
    return sorted_quantiles(q, _ordered(values, inside), np.maximum(floats.count, 1), nans)


def _median_deviation(floats: FloatRange) -> Floats:
    _, values, inside = floats.spread()
    count = np.maximum(floats.count, 1)
    nothing = np.zeros(count.size)
    median = sorted_quantiles(0.5, _ordered(values, inside), count, nothing)
    deviation = np.abs(values - median[:, None])
    result = sorted_quantiles(0.5, _ordered(deviation, inside), count, nothing)
    return np.where((inside & np.isnan(values)).any(axis=1), np.nan, result)


def _time_of(pick: Callable[[Floats], Floats]) -> Callable[[FloatRange], Floats]:
    """The instant of the last sample that has the picked value."""

    def reduce(floats: FloatRange) -> Floats:
        times, values, inside = floats.spread()
        wanted = pick(np.where(inside, values, np.nan))
        such = inside & ((values == wanted[:, None]) | np.isnan(wanted)[:, None])
        last = such.shape[1] - 1 - np.argmax(such[:, ::-1], axis=1)
        return np.asarray(times[np.arange(last.size), last])

    return reduce


def _of_floats(reduce: Callable[[FloatRange], Floats]) -> Function:
    """A function that leaves histograms out."""

    def function(context: Context, node: Call, matrix: Matrix) -> Vector:
        info_ignored(context, node, matrix)
        size = len(matrix.shape)
        values = np.full(size, np.nan) if matrix.floats is None else reduce(matrix.floats)
        return nameless(matrix, values, matrix.float_count > 0)

    return function


def _of_both(
    reduce: Callable[[FloatRange], Floats], combine: Callable[[list[Histogram]], tuple[Histogram, bool]]
) -> Function:
    """A function of floats or of histograms, but not of both in one series."""

    def function(context: Context, node: Call, matrix: Matrix) -> Vector:
        size = len(matrix.shape)
        values = np.full(size, np.nan) if matrix.floats is None else reduce(matrix.floats)
        present = matrix.float_count > 0
        if matrix.histograms is None:
            return nameless(matrix, values, present)
        objects: Objects = np.full(size, None, dtype=object)
        for position in np.nonzero(matrix.histogram_count > 0)[0].tolist():
            if present[position]:
                warn_mixed(context, node, matrix.shape.label(position).metric_name)
                present[position] = False
                continue
            try:
                objects[position], reconciled = combine(matrix.histograms.lists(position)[1])
            except native.IncompatibleError:
                warn_buckets(context, node, matrix.shape.label(position).metric_name)
                continue
            if reconciled:
                context.info("mismatched custom buckets were reconciled during aggregation", node.arguments[0])
        mask = np.array([item is not None for item in objects], dtype=np.bool_)
        histograms = Histograms(mask, objects=objects) if mask.any() else None
        return nameless(matrix, values, present | mask, histograms)

    return function


def _counted(_context: Context, _node: Call, matrix: Matrix) -> Vector:
    count = matrix.float_count + matrix.histogram_count
    return nameless(matrix, count.astype(np.float64), count > 0)


def _present(_context: Context, _node: Call, matrix: Matrix) -> Vector:
    return nameless(matrix, np.ones(len(matrix.shape)), matrix.float_count + matrix.histogram_count > 0)


def _edge(index: int) -> Function:
    """The first (0) or last (-1) sample, which keeps its name."""

    def function(_context: Context, _node: Call, matrix: Matrix) -> Vector:
        size = len(matrix.shape)
        values = np.full(size, np.nan)
        if matrix.floats is not None:
            floats = matrix.floats
            slots = floats.last if index else np.minimum(floats.first, floats.times.shape[1] - 1)
            values = floats.values[floats.rows, slots]
        objects: Objects = np.full(size, None, dtype=object)
        for position in np.nonzero(matrix.histogram_count > 0)[0].tolist():
            value = listed(matrix, position)[1][index]
            if isinstance(value, Histogram):
                objects[position] = value
        mask = np.array([item is not None for item in objects], dtype=np.bool_)
        present = matrix.float_count + matrix.histogram_count > 0
        return Vector(matrix.shape, values, present, Histograms(mask, objects=objects) if mask.any() else None)

    return function


def _time_of_edge(index: int) -> Function:
    def function(_context: Context, _node: Call, matrix: Matrix) -> Vector:
        values = np.full(len(matrix.shape), np.nan)
        present = matrix.float_count + matrix.histogram_count > 0
        for position in np.nonzero(present)[0].tolist():
            values[position] = listed(matrix, position)[0][index]
        return nameless(matrix, values, present)

    return function


def quantile_over_time(context: Context, node: Call, matrix: Matrix, q: float) -> Vector:
    """The q-quantile of each series' floats."""
    if not 0 <= q <= 1:
        text = "NaN" if math.isnan(q) else number_text(q)
        context.warn(f"quantile value should be between 0 and 1, got {text}", node.arguments[0])
    info_ignored(context, node, matrix, 1)
    size = len(matrix.shape)
    values = np.full(size, np.nan) if matrix.floats is None else _quantiles(q, matrix.floats)
    return nameless(matrix, values, matrix.float_count > 0)


OVER_TIME: dict[str, Function] = {
    "sum_over_time": _of_both(_sum, native.total),
    "avg_over_time": _of_both(_mean, native.mean),
    "min_over_time": _of_floats(_extreme(np.fmin)),
    "max_over_time": _of_floats(_extreme(np.fmax)),
    "count_over_time": _counted,
    "present_over_time": _present,
    "last_over_time": _edge(-1),
    "first_over_time": _edge(0),
    "stdvar_over_time": _of_floats(_variance),
    "stddev_over_time": _of_floats(lambda floats: np.asarray(np.sqrt(_variance(floats)))),
    "mad_over_time": _of_floats(_median_deviation),
    "ts_of_max_over_time": _of_floats(_time_of(lambda values: np.asarray(np.fmax.reduce(values, axis=1)))),
    "ts_of_min_over_time": _of_floats(_time_of(lambda values: np.asarray(np.fmin.reduce(values, axis=1)))),
    "ts_of_first_over_time": _time_of_edge(0),
    "ts_of_last_over_time": _time_of_edge(-1),
}
