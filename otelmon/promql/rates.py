"""Functions of how a range changes: rate and its kin, resets, changes, linear regression."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np

from otelmon.histogram import Histogram
from otelmon.promql import native
from otelmon.promql.ast import Call
from otelmon.promql.context import Context
from otelmon.promql.vector import (
    FloatRange,
    Floats,
    HistogramRange,
    Histograms,
    Integers,
    Mask,
    Matrix,
    Objects,
    Vector,
    check_distinct,
)
from otelmon.window.histograms import HistogramBlock

# (times, values) of one series' samples of any kind, in order of time.
Listed = tuple[list[float], list[float | Histogram]]


def nameless(matrix: Matrix, values: Floats, present: Mask, histograms: Histograms | None = None) -> Vector:
    """A result by series, without metric names."""
    shape = matrix.shape.without_name()
    check_distinct(shape, present)
    return Vector(shape, values, present, histograms)


def listed(matrix: Matrix, position: int) -> Listed:
    """Every sample of one series in the range."""
    times: list[float] = []
    values: list[float | Histogram] = []
    if matrix.floats is not None and matrix.floats.count[position]:
        floats = matrix.floats
        row, first = int(floats.rows[position]), int(floats.first[position])
        part = slice(first, first + int(floats.count[position]))
        times, values = floats.times[row, part].tolist(), floats.values[row, part].tolist()
    if matrix.histograms is not None and matrix.histograms.count[position]:
        more_times, histograms = matrix.histograms.lists(position)
        merged = sorted(zip(times + more_times, values + list(histograms), strict=True), key=lambda pair: pair[0])
        times, values = [time for time, _ in merged], [value for _, value in merged]
    return times, values


def warn_mixed(context: Context, node: Call, name: str) -> None:
    """Warn of a series that has floats and histograms."""
    place = f' for metric name "{name}"' if name else ""
    context.warn(f"encountered a mix of histograms and floats{place}", node.arguments[0])


def warn_buckets(context: Context, node: Call, name: str) -> None:
    """Warn of a series that has exponential and custom buckets."""
    place = f' for metric name "{name}"' if name else ""
    context.warn(
        f"vector contains a mix of histograms with exponential and custom buckets schemas{place}", node.arguments[0]
    )


def _extrapolation(
    matrix: Matrix, first_at: Floats, last_at: Floats, samples: Integers, zero_after: Floats | None
) -> Floats:
    """By how much an increase between the first and the last sample is to be multiplied (extrapolatedRate in
    functions.go): up to the range's ends where these are near, else by half an interval; but for a counter never to
    before the instant at which it would have been zero (``zero_after``: seconds before the first sample).
    """
    sampled = last_at - first_at
    between = sampled / (samples - 1)
    threshold = between * 1.1
    to_start, to_end = first_at - matrix.start, matrix.end - last_at
    to_start = np.where(to_start >= threshold, between / 2, to_start)
    to_end = np.where(to_end >= threshold, between / 2, to_end)
    if zero_after is not None:
        to_start = np.where(zero_after < to_start, zero_after, to_start)
    return np.asarray((sampled + to_start + to_end) / sampled)


def _float_increase(floats: FloatRange, matrix: Matrix, *, counter: bool) -> Floats:
    rows, first, last = floats.rows, floats.first, floats.last
    safe = np.minimum(first, floats.times.shape[1] - 1)
    begun = floats.values[rows, safe]
    change = floats.increase() if counter else floats.values[rows, last] - begun
    first_at, last_at = floats.times[rows, safe], floats.times[rows, last]
    zero_after = None
    if counter:
        zero_after = np.where((change > 0) & (begun >= 0), (last_at - first_at) * (begun / change), np.inf)
    return np.asarray(change * _extrapolation(matrix, first_at, last_at, floats.count, zero_after))


def _extrapolated(*, counter: bool, per_second: bool) -> Callable[[Context, Call, Matrix], Vector]:
    def function(context: Context, node: Call, matrix: Matrix) -> Vector:
        size = len(matrix.shape)
        values = np.full(size, np.nan)
        present: Mask = matrix.float_count >= 2
        divisor = matrix.end - matrix.start if per_second else 1.0
        if matrix.floats is not None:
            values = _float_increase(matrix.floats, matrix, counter=counter) / divisor
        histograms = None
        if matrix.histograms is not None:
            has = matrix.histograms.count > 0
            for position in np.nonzero(has & (matrix.float_count > 0))[0].tolist():
                if matrix.histograms.count[position] + matrix.float_count[position] >= 2:
                    warn_mixed(context, node, matrix.shape.label(position).metric_name)
                has[position] = present[position] = False
            wanted = np.nonzero(has & (matrix.histograms.count >= 2))[0]
            histograms = _histogram_increase(context, node, matrix, wanted, divisor, counter=counter)
            if histograms is not None:
                present = present | histograms.mask
        return nameless(matrix, values, present, histograms)

    return function


def _histogram_increase(
    context: Context, node: Call, matrix: Matrix, wanted: Integers, divisor: float, *, counter: bool
) -> Histograms | None:
    ranges = matrix.histograms
    if ranges is None or not wanted.size:
        return None
    mask = np.zeros(len(matrix.shape), dtype=np.bool_)
    if ranges.block is not None and counter:
        return _dense_increase(ranges, ranges.block, matrix, wanted, divisor)
    objects: Objects = np.full(mask.size, None, dtype=object)
    for position in wanted.tolist():
        times, found = ranges.lists(position)
        change = _object_increase(context, node, matrix.shape.label(position).metric_name, found, counter=counter)
        if change is None:
            continue
        zero_after = None
        if counter:
            reaches = change.count > 0 and found[0].count >= 0
            zero_after = np.array([(times[-1] - times[0]) * (found[0].count / change.count) if reaches else np.inf])
        ends = np.array([times[0]]), np.array([times[-1]])
        factor = _extrapolation(matrix, *ends, np.array([len(times)]), zero_after)
        objects[position] = native.scaled(change, float(factor[0]) / divisor)
        mask[position] = True
    return Histograms(mask, objects=objects) if mask.any() else None


def _dense_increase(
    ranges: HistogramRange, block: HistogramBlock, matrix: Matrix, wanted: Integers, divisor: float
) -> Histograms:
    mask = np.zeros(len(matrix.shape), dtype=np.bool_)
    mask[wanted] = True
    rows, first = ranges.rows[wanted], ranges.first[wanted]
    last = first + ranges.count[wanted] - 1
    change = block.increase(rows, first, last)
    first_at, last_at = block.times[rows, first], block.times[rows, last]
    begun = block.columns["count"][rows, first]
    zero_after = np.where(change.count > 0, (last_at - first_at) * (begun / change.count), np.inf)
    factor = _extrapolation(matrix, first_at, last_at, ranges.count[wanted], zero_after) / divisor
    scaled = replace(
        change,
        count=change.count * factor,
        sum=change.sum * factor,
        zero_count=change.zero_count * factor,
        buckets=change.buckets * factor[:, None],
    )
    return Histograms(mask, arrays=scaled, positions=wanted, gauge=True)


def _object_increase(
    context: Context, node: Call, name: str, found: list[Histogram], *, counter: bool
) -> Histogram | None:
    gauges = [histogram.gauge for histogram in found]
    if counter and any(gauges):
        context.warn(f'this native histogram metric is not a counter: "{name}"', node.arguments[0])
    if not counter and not (gauges[0] and gauges[-1]):
        context.warn(f'this native histogram metric is not a gauge: "{name}"', node.arguments[0])
    try:
        if counter:
            change, reconciled = native.counter_increase(found)
        else:
            change, reconciled = native.difference(found[-1], found[0])
    except native.IncompatibleError:
        warn_buckets(context, node, name)
        return None
    if reconciled:
        context.info("mismatched custom buckets were reconciled during subtraction", node.arguments[0])
    return change


def _instant(*, counter: bool) -> Callable[[Context, Call, Matrix], Vector]:
    """Irate (counter) and idelta: the change between the last two samples."""

    def function(context: Context, node: Call, matrix: Matrix) -> Vector:
        size = len(matrix.shape)
        values = np.full(size, np.nan)
        present: Mask = matrix.float_count >= 2
        floats = matrix.floats
        if floats is not None:
            last, before = floats.last, np.maximum(floats.last - 1, 0)
            newer, older = floats.values[floats.rows, last], floats.values[floats.rows, before]
            values = newer - older
            if counter:
                values = np.where(newer < older, newer, values)
                values = values / (floats.times[floats.rows, last] - floats.times[floats.rows, before])
        objects: Objects = np.full(size, None, dtype=object)
        for position in np.nonzero(matrix.histogram_count > 0)[0].tolist():
            samples = listed(matrix, position)
            present[position] = False
            if len(samples[0]) < 2:
                continue
            result = _last_two(context, node, matrix.shape.label(position).metric_name, samples, counter=counter)
            if isinstance(result, Histogram):
                objects[position] = result
            elif result is not None:
                values[position], present[position] = result, True
        mask = np.array([item is not None for item in objects], dtype=np.bool_)
        return nameless(matrix, values, present | mask, Histograms(mask, objects=objects) if mask.any() else None)

    return function


def _last_two(context: Context, node: Call, name: str, samples: Listed, *, counter: bool) -> float | Histogram | None:
    times, found = samples
    older, newer = found[-2:]
    seconds = times[-1] - times[-2] if counter else 1.0
    if isinstance(newer, Histogram) and isinstance(older, Histogram):
        if counter and (newer.gauge or older.gauge):
            context.warn(f'this native histogram metric is not a counter: "{name}"', node.arguments[0])
        if not counter and not (newer.gauge and older.gauge):
            context.warn(f'this native histogram metric is not a gauge: "{name}"', node.arguments[0])
        if counter and native.is_reset(newer, older):
            return replace(native.scaled(newer, 1.0 / seconds), gauge=True)
        try:
            change, reconciled = native.difference(newer, older)
        except native.IncompatibleError:
            warn_buckets(context, node, name)
            return None
        if reconciled:
            context.info("mismatched custom buckets were reconciled during subtraction", node.arguments[0])
        return native.scaled(change, 1.0 / seconds)
    if isinstance(newer, Histogram) or isinstance(older, Histogram):
        warn_mixed(context, node, name)
        return None
    return (newer if counter and newer < older else newer - older) / seconds


def _count_pairs(
    of_arrays: Callable[[Floats, Floats], Mask], of_values: Callable[[float | Histogram, float | Histogram], bool]
) -> Callable[[Context, Call, Matrix], Vector]:
    """How many neighbouring samples (before, after) are such."""

    def function(_context: Context, _node: Call, matrix: Matrix) -> Vector:
        size = len(matrix.shape)
        counts = np.zeros(size)
        if matrix.floats is not None:
            _, values, inside = matrix.floats.spread()
            such = of_arrays(values[:, :-1], values[:, 1:]) & inside[:, :-1] & inside[:, 1:]
            counts = np.count_nonzero(such, axis=1).astype(np.float64)
        for position in np.nonzero(matrix.histogram_count > 0)[0].tolist():
            _, found = listed(matrix, position)
            counts[position] = sum(of_values(before, after) for before, after in pairwise(found))
        return nameless(matrix, counts, (matrix.float_count + matrix.histogram_count) > 0)

    return function


def _changed(before: float | Histogram, after: float | Histogram) -> bool:
    if isinstance(before, Histogram) or isinstance(after, Histogram):
        return before != after
    return before != after and not (np.isnan(before) and np.isnan(after))


def _was_reset(before: float | Histogram, after: float | Histogram) -> bool:
    if isinstance(before, Histogram) and isinstance(after, Histogram):
        return native.is_reset(after, before)
    if isinstance(before, Histogram) or isinstance(after, Histogram):
        return True
    return after < before


def regression(floats: FloatRange, origin: Floats) -> tuple[Floats, Floats]:
    """Slope per second and value at ``origin`` of the straight line nearest to each series' floats."""
    times, values, inside = floats.spread()
    number = floats.count.astype(np.float64)
    x = np.where(inside, times - origin[:, None], 0.0)
    y = np.where(inside, values, 0.0)
    sum_x, sum_y = x.sum(axis=1), y.sum(axis=1)
    covariance = (x * y).sum(axis=1) - sum_x * sum_y / number
    variance = (x * x).sum(axis=1) - sum_x * sum_x / number
    slope = covariance / variance
    intercept = sum_y / number - slope * sum_x / number
    # A line through equal values is level, exactly (linearRegression in functions.go).
    first = floats.values[floats.rows, np.minimum(floats.first, floats.times.shape[1] - 1)]
    level = ~(inside & (values != first[:, None])).any(axis=1)
    slope = np.where(level, np.where(np.isinf(first), np.nan, 0.0), slope)
    intercept = np.where(level, np.where(np.isinf(first), np.nan, first), intercept)
    return slope, intercept


def info_ignored(context: Context, node: Call, matrix: Matrix, argument: int = 0) -> None:
    """Tell where histograms beside floats were left out."""
    if bool(((matrix.histogram_count > 0) & (matrix.float_count > 0)).any()):
        context.info("ignored histograms in a range containing both floats and histograms", node.arguments[argument])


def _deriv(context: Context, node: Call, matrix: Matrix) -> Vector:
    info_ignored(context, node, matrix)
    size = len(matrix.shape)
    if matrix.floats is None:
        return nameless(matrix, np.zeros(size), np.zeros(size, dtype=np.bool_))
    floats = matrix.floats
    first_at = floats.times[floats.rows, np.minimum(floats.first, floats.times.shape[1] - 1)]
    slope, _ = regression(floats, np.where(floats.count > 0, first_at, 0.0))
    return nameless(matrix, slope, floats.count >= 2)


def predict_linear(context: Context, node: Call, matrix: Matrix, at: float, seconds: float) -> Vector:
    """The value so many seconds after now, if each series went on as a straight line."""
    info_ignored(context, node, matrix)
    size = len(matrix.shape)
    if matrix.floats is None:
        return nameless(matrix, np.zeros(size), np.zeros(size, dtype=np.bool_))
    slope, intercept = regression(matrix.floats, np.full(size, at))
    return nameless(matrix, slope * seconds + intercept, matrix.floats.count >= 2)


def smoothed(context: Context, node: Call, matrix: Matrix, smoothing: float, trend: float) -> Vector:
    """double_exponential_smoothing (functions.go, funcDoubleExponentialSmoothing)."""
    info_ignored(context, node, matrix)
    size = len(matrix.shape)
    if matrix.floats is None:
        return nameless(matrix, np.zeros(size), np.zeros(size, dtype=np.bool_))
    floats = matrix.floats
    most = int(floats.count.max(initial=0))
    slots = np.minimum(floats.first[:, None] + np.arange(max(2, most))[None, :], floats.times.shape[1] - 1)
    values = floats.values[floats.rows[:, None], slots]
    before, level, slope = np.zeros(size), values[:, 0], values[:, 1] - values[:, 0]
    for index in range(1, most):
        next_slope = trend * (level - before) + (1 - trend) * slope if index > 1 else slope
        next_level = smoothing * values[:, index] + (1 - smoothing) * (level + next_slope)
        going = index < floats.count
        before, slope = np.where(going, level, before), np.where(going, next_slope, slope)
        level = np.where(going, next_level, level)
    return nameless(matrix, level, floats.count >= 2)


RATES: dict[str, Callable[[Context, Call, Matrix], Vector]] = {
    "rate": _extrapolated(counter=True, per_second=True),
    "increase": _extrapolated(counter=True, per_second=False),
    "delta": _extrapolated(counter=False, per_second=False),
    "irate": _instant(counter=True),
    "idelta": _instant(counter=False),
    "resets": _count_pairs(lambda before, after: after < before, _was_reset),
    "changes": _count_pairs(lambda before, after: (before != after) & ~(np.isnan(before) & np.isnan(after)), _changed),
    "deriv": _deriv,
}
