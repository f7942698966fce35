"""``anchored`` and ``smoothed``: ranges whose ends have values of their own (Prometheus 3.7, extended range selectors).

An anchored range begins with the last sample at or before its start, so that an increase is the difference of two
samples and nothing is extrapolated. A smoothed one has the values that a straight line between neighbouring samples
has at its start and at its end, for which samples after the end are looked at too (promql/functions.go: extendedRate).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import pairwise
from math import isnan

import numpy as np

from otelmon.promql.ast import Call
from otelmon.promql.rates import nameless
from otelmon.promql.vector import EvaluationError, Matrix, Vector

_OF_COUNTERS = frozenset({"increase", "rate"})


def extended(node: Call, matrix: Matrix, start: float, end: float, *, smoothed: bool) -> Vector:
    """increase, rate, delta, changes or resets from ``start`` to ``end``; ``matrix`` reaches further, by the lookback.

    Raises EvaluationError where there are native histograms, as Prometheus does.
    """
    size = len(matrix.shape)
    values, present = np.full(size, np.nan), np.zeros(size, dtype=np.bool_)
    for position, times, numbers in series_of(matrix):
        found = _one(node.function, times, numbers, start, end, smoothed=smoothed)
        if found is not None:
            values[position], present[position] = found, True
    return nameless(matrix, values, present)


def series_of(matrix: Matrix) -> Iterator[tuple[int, list[float], list[float]]]:
    """Position, times and values of each series that has samples; EvaluationError where one has native histograms."""
    if bool((matrix.histogram_count > 0).any()):
        raise EvaluationError("smoothed and anchored modifiers do not work with native histograms")
    floats = matrix.floats
    if floats is None:
        return
    for position in np.nonzero(floats.count > 0)[0].tolist():
        row, first = floats.rows[position], int(floats.first[position])
        part = slice(first, first + int(floats.count[position]))
        yield position, floats.times[row, part].tolist(), floats.values[row, part].tolist()


def _one(
    function: str, times: list[float], values: list[float], start: float, end: float, *, smoothed: bool
) -> float | None:
    counter = function in _OF_COUNTERS
    ends = ends_of(times, values, start, end, smoothed=smoothed, counter=counter)
    if ends is None:
        return None
    left, right = ends
    inside = [value for time, value in zip(times, values, strict=True) if start < time < end]
    pairs = list(pairwise([left, *inside, right]))
    if function == "resets":
        return float(sum(after < before for before, after in pairs))
    if function == "changes":
        return float(sum(after != before and not (isnan(before) and isnan(after)) for before, after in pairs))
    change = right - left
    if counter:
        change += sum(before for before, after in pairs if after < before)
    return change / (end - start) if function == "rate" else change


def ends_of(
    times: list[float], values: list[float], start: float, end: float, *, smoothed: bool, counter: bool = False
) -> tuple[float, float] | None:
    """The values of a series at the start and at the end of a range; None where it has none after the start."""
    last = len(times) - 1
    first = max(0, bisect_right(times, start, 0, last) - 1)
    if smoothed:
        last = bisect_left(times, end, 0, last)
    if times[last] <= start:
        return None
    left, right = values[first], values[last]
    if smoothed and times[first] < start:
        left = between(times[first : first + 2], values[first : first + 2], start, reset_to_zero=counter)
    if smoothed and last > 0 and times[last] > end:
        right = between(times[last - 1 : last + 1], values[last - 1 : last + 1], end, added_up=counter)
    return left, right


def between(
    times: list[float], values: list[float], at: float, *, reset_to_zero: bool = False, added_up: bool = False
) -> float:
    """The value at an instant of the straight line through two samples.

    Where a counter fell between them, it is taken to have begun anew at 0 (``reset_to_zero``), or to have gone on
    (``added_up``).
    """
    low, high = values
    if high < low and reset_to_zero:
        low = 0.0
    elif high < low and added_up:
        high += low
    return low + (high - low) * (at - times[0]) / (times[1] - times[0])


def smoothed_instant(matrix: Matrix, at: float) -> Vector:
    """The value of each series at an instant by the samples around it; the last one where none follows.

    ``matrix`` reaches as far to both sides as a sample may be away.
    """
    size = len(matrix.shape)
    values, present = np.full(size, np.nan), np.zeros(size, dtype=np.bool_)
    for position, times, found in series_of(matrix):
        after = bisect_left(times, at)
        if after < len(times) and times[after] == at:
            values[position], present[position] = found[after], True
        elif 0 < after < len(times):
            line = between(times[after - 1 : after + 1], found[after - 1 : after + 1], at)
            values[position], present[position] = line, True
        elif after > 0:
            values[position], present[position] = found[-1], True
    return Vector(matrix.shape, values, present)
