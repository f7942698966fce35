"""Functions of histograms, classic and native: quantiles, fractions, counts."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from otelmon.histogram import Histogram
from otelmon.promql import classic, estimates
from otelmon.promql.ast import Call
from otelmon.promql.context import Context, for_metric, scalar_of, string_of, vector_of
from otelmon.promql.numbers import number_text
from otelmon.promql.plan import Table
from otelmon.promql.vector import EvaluationError, Floats, Histograms, Mask, Vector, check_distinct
from otelmon.window.histograms import HistogramArrays

Function = Callable[[Context, Call, float], Vector]
OfArrays = Callable[[HistogramArrays], Floats]


def of_native(vector: Vector, of_arrays: OfArrays | None, of_one: Callable[[Histogram], float]) -> Vector:
    """A float of each histogram, without metric names; floats go."""
    shape = vector.shape.without_name()
    mask = vector.histogram_mask
    values = np.full(mask.size, np.nan)
    histograms = vector.histograms
    if histograms is not None:
        if histograms.arrays is not None and of_arrays is not None:
            values[histograms.positions] = of_arrays(histograms.arrays)
        else:
            objects = histograms.objects()
            for position in np.nonzero(mask)[0].tolist():
                values[position] = of_one(objects[position])
    check_distinct(shape, mask)
    return Vector(shape, values, mask)


def _average(histogram: Histogram) -> float:
    return float(np.float64(histogram.sum) / np.float64(histogram.count))


def _of_native(of_arrays: OfArrays | None, of_one: Callable[[Histogram], float]) -> Function:
    return lambda context, node, at: of_native(vector_of(context, node.arguments[0], at), of_arrays, of_one)


def quantiles_of_arrays(q: float, arrays: HistogramArrays) -> Floats:
    """``estimates.quantile`` for many histograms of one layout without negative buckets."""
    rows = np.arange(arrays.count.size)
    if math.isnan(q):
        return np.full(rows.size, np.nan)
    if q < 0 or q > 1:
        return np.where(arrays.count == 0, np.nan, math.copysign(math.inf, q))
    # Column 0 is the zero bucket, the others follow it upwards.
    counts = np.concatenate([arrays.zero_count[:, None], arrays.buckets], axis=1)
    populated = counts > 0
    if q < 0.5:
        rank = q * arrays.count
        reached = populated & (np.cumsum(counts, axis=1) >= rank[:, None])
        found = np.argmax(reached, axis=1)
        # Where rounding leaves the sum short of the rank, it is the last populated bucket.
        found = np.where(reached.any(axis=1), found, counts.shape[1] - 1 - np.argmax(populated[:, ::-1], axis=1))
        inside = counts[rows, found]
        share = (rank - (np.cumsum(counts, axis=1)[rows, found] - inside)) / inside
    else:
        rank = (1 - q) * arrays.count
        downwards = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]
        reached = populated & (downwards >= rank[:, None])
        found = counts.shape[1] - 1 - np.argmax(reached[:, ::-1], axis=1)
        found = np.where(reached.any(axis=1), found, np.argmax(populated, axis=1))
        share = (downwards[rows, found] - rank) / counts[rows, found]
    width = 2.0**-arrays.layout.scale
    upper = (found - 1 + arrays.first_bucket).astype(np.float64)
    values = np.exp2((upper - 1 + share) * width)
    # Linear in the zero bucket, from zero where anything lies above it (nothing lies below).
    threshold = arrays.layout.zero_threshold
    only_zero = ~(arrays.buckets > 0).any(axis=1)
    in_zero = np.where(only_zero, -threshold + 2 * threshold * share, threshold * share)
    values = np.where(found == 0, in_zero, values)
    return np.asarray(np.where(arrays.count == 0, np.nan, values))


def _native_quantiles(context: Context, node: Call, q: float, vector: Vector, argument: int) -> Vector:
    if vector.histograms is not None:
        arrays = vector.histograms.arrays
        sums = [item.sum for item in vector.histograms.objects() if item is not None] if arrays is None else arrays.sum
        if np.isnan(np.asarray(sums, dtype=np.float64)).any():
            return _with_nan(context, node, q, vector, argument)
    return of_native(
        vector,
        lambda arrays: quantiles_of_arrays(q, arrays),
        lambda histogram: estimates.quantile(q, histogram),
    )


def _with_nan(context: Context, node: Call, q: float, vector: Vector, argument: int) -> Vector:
    """Quantiles where some observations were NaN."""
    result = of_native(vector, None, lambda histogram: estimates.quantile(q, histogram))
    if vector.histograms is not None:
        for position in np.nonzero(vector.histograms.mask)[0].tolist():
            histogram = vector.histograms.objects()[position]
            if math.isnan(histogram.sum) and histogram.count:
                what = "is NaN" if math.isnan(result.values[position]) else "is skewed higher"
                context.info(
                    f"input to histogram_quantile has NaN observations, result {what}"
                    f"{for_metric(vector.shape.label(position))}",
                    node.arguments[argument],
                )
    return result


def _mixed(context: Context, node: Call, argument: int, vector: Vector) -> tuple[Mask, Mask]:
    """Which positions are classic buckets and which are native histograms to use; of a metric that has both, none."""
    floats, histograms = vector.floats, vector.histogram_mask
    if not floats.any() or not histograms.any():
        return floats, histograms
    ids = vector.shape.grouping(("le",), without=True).ids
    number = int(ids.max()) + 1
    both = (np.bincount(ids[floats], minlength=number) > 0) & (np.bincount(ids[histograms], minlength=number) > 0)
    for group in np.nonzero(both)[0].tolist():
        position = int(np.nonzero((ids == group) & histograms)[0][0])
        context.warn(
            f"vector contains a mix of classic and native histograms{for_metric(vector.shape.label(position))}",
            node.arguments[argument],
        )
    return floats & ~both[ids], histograms & ~both[ids]


def _warn_bounds(context: Context, node: Call, argument: int, vector: Vector, malformed: Mask) -> None:
    for position in np.nonzero(malformed)[0].tolist():
        labels = vector.shape.label(position)
        context.warn(
            f'bucket label "le" is missing or has a malformed value of "{labels.get("le", "")}"{for_metric(labels)}',
            node.arguments[argument],
        )


def _both(left: Vector, right: Vector) -> Vector:
    """The elements of two vectors of floats with different labels."""
    if not right.present.any():
        return left
    if not left.present.any():
        return right
    table: Table = left.shape.remember(("both", right.shape), Table)
    places = [
        (table.position(vector.shape.label(position)), float(vector.values[position]))
        for vector in (left, right)
        for position in np.nonzero(vector.present)[0].tolist()
    ]
    values, present = np.full(len(table), np.nan), np.zeros(len(table), dtype=np.bool_)
    for place, value in places:
        values[place], present[place] = value, True
    return Vector(table, values, present)


def _quantile(context: Context, node: Call, q: float, vector: Vector, argument: int) -> Vector:
    buckets, histograms = _mixed(context, node, argument, vector)
    from_native = _native_quantiles(context, node, q, vector.kept(histograms), argument)
    if not buckets.any():
        return from_native
    bounds = classic.bounds_of(vector.shape)
    _warn_bounds(context, node, argument, vector, buckets & np.isnan(bounds.bounds))
    arranged = bounds.arranged(buckets)
    ready = classic.ready(arranged, vector.values)
    if ready.fixed.any():
        name = for_metric(vector.shape.label(int(arranged.positions[int(np.argmax(ready.fixed)), 0])))
        context.info(f"input to histogram_quantile needed to be fixed for monotonicity{name}", node.arguments[argument])
    shape = bounds.grouping.shape
    values, present = np.full(len(shape), np.nan), np.zeros(len(shape), dtype=np.bool_)
    values[arranged.groups] = classic.quantiles(q, ready)
    present[arranged.groups] = True
    return _both(Vector(shape, values, present), from_native)


def _warn_quantile(context: Context, q: float, node: Call, argument: int) -> None:
    if not 0 <= q <= 1:
        text = "NaN" if math.isnan(q) else number_text(q)
        context.warn(f"quantile value should be between 0 and 1, got {text}", node.arguments[argument])


def histogram_quantile(context: Context, node: Call, at: float) -> Vector:
    """The q-quantile of each classic or native histogram."""
    q = scalar_of(context, node.arguments[0], at)
    _warn_quantile(context, q, node, 0)
    return _quantile(context, node, q, vector_of(context, node.arguments[1], at), 1)


def histogram_quantiles(context: Context, node: Call, at: float) -> Vector:
    """Several quantiles of each histogram, told apart by a label."""
    vector = vector_of(context, node.arguments[0], at)
    label = string_of(context, node.arguments[1], at)
    table = Table()
    found: dict[int, float] = {}
    for index, argument in enumerate(node.arguments[2:]):
        q = scalar_of(context, argument, at)
        _warn_quantile(context, q, node, index + 2)
        result = _quantile(context, node, q, vector, 0)
        for position in np.nonzero(result.present)[0].tolist():
            labels = result.shape.label(position).with_label(label, number_text(q))
            place = table.position(labels)
            if place in found:
                raise EvaluationError("vector cannot contain metrics with the same labelset")
            found[place] = float(result.values[position])
    return Vector(table, np.array([found[place] for place in range(len(table))]), np.ones(len(table), dtype=np.bool_))


def histogram_fraction(context: Context, node: Call, at: float) -> Vector:
    """The estimated share of observations between two values."""
    lower, upper = (scalar_of(context, argument, at) for argument in node.arguments[:2])
    vector = vector_of(context, node.arguments[2], at)
    buckets, histograms = _mixed(context, node, 2, vector)
    chosen = vector.kept(histograms)
    from_native = of_native(chosen, None, lambda histogram: estimates.fraction(lower, upper, histogram))
    _info_nan(context, node, chosen.histograms, vector)
    if not buckets.any():
        return from_native
    bounds = classic.bounds_of(vector.shape)
    _warn_bounds(context, node, 2, vector, buckets & np.isnan(bounds.bounds))
    arranged = bounds.arranged(buckets)
    ready = classic.ready(arranged, vector.values)
    shape = bounds.grouping.shape
    values, present = np.full(len(shape), np.nan), np.zeros(len(shape), dtype=np.bool_)
    for row, group in enumerate(arranged.groups.tolist()):
        size = int(ready.sizes[row])
        one = ready.bounds[row, :size].tolist(), ready.counts[row, :size].tolist()
        values[group], present[group] = classic.fraction(lower, upper, *one), True
    return _both(Vector(shape, values, present), from_native)


def _info_nan(context: Context, node: Call, histograms: Histograms | None, vector: Vector) -> None:
    if histograms is None:
        return
    for position in np.nonzero(histograms.mask)[0].tolist():
        one = histograms.objects()[position]
        if math.isnan(one.sum) and one.count:
            context.info(
                "input to histogram_fraction has NaN observations, which are excluded from all fractions"
                f"{for_metric(vector.shape.label(position))}",
                node.arguments[2],
            )


DISTRIBUTIONS: dict[str, Function] = {
    "histogram_count": _of_native(lambda arrays: arrays.count, lambda histogram: histogram.count),
    "histogram_sum": _of_native(lambda arrays: arrays.sum, lambda histogram: histogram.sum),
    "histogram_avg": _of_native(lambda arrays: np.asarray(arrays.sum / arrays.count), _average),
    "histogram_stdvar": _of_native(None, estimates.variance),
    "histogram_stddev": _of_native(None, lambda histogram: math.sqrt(estimates.variance(histogram))),
    "histogram_quantile": histogram_quantile,
    "histogram_quantiles": histogram_quantiles,
    "histogram_fraction": histogram_fraction,
}
