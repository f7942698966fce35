"""Arithmetic of single native histograms (Prometheus, model/histogram/float_histogram.go)."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from otelmon.histogram import Buckets, Histogram

Counts = dict[int, float]


class IncompatibleError(Exception):
    """Exponential and custom buckets do not mix."""


def bound(scale: int, index: int) -> float:
    """The upper bound of an exponential bucket: 2 ** (index * 2 ** -scale)."""
    try:
        return math.ldexp(1.0, index << -scale) if scale < 0 else 2.0 ** (index / (1 << scale))
    except OverflowError:
        return math.inf


def _counts(buckets: Buckets) -> Counts:
    return dict(zip(buckets.indices, buckets.counts, strict=True))


def populated(counts: Counts) -> Buckets:
    """The buckets of these counts by index, without the empty ones."""
    kept = sorted((index, count) for index, count in counts.items() if count != 0)
    return Buckets(indices=tuple(index for index, _ in kept), counts=tuple(count for _, count in kept))


def _merged(pairs: Iterable[tuple[int, float]]) -> Counts:
    counts: Counts = {}
    for index, count in pairs:
        counts[index] = counts.get(index, 0.0) + count
    return counts


def at_scale(histogram: Histogram, scale: int) -> Histogram:
    """The same histogram with the wider buckets of a lower scale."""
    steps = histogram.scale - scale
    if steps <= 0 or histogram.bounds is not None:
        return histogram

    def coarse(buckets: Buckets) -> Buckets:
        pairs = zip(buckets.indices, buckets.counts, strict=True)
        return populated(_merged((((index - 1) >> steps) + 1, count) for index, count in pairs))

    return replace(histogram, scale=scale, positive=coarse(histogram.positive), negative=coarse(histogram.negative))


def _straddled(histogram: Histogram, threshold: float) -> float:
    """The zero threshold that cuts through no populated bucket: at least ``threshold``."""
    for buckets in (histogram.positive, histogram.negative):
        for index, count in zip(buckets.indices, buckets.counts, strict=True):
            upper = bound(histogram.scale, index)
            if count and bound(histogram.scale, index - 1) < threshold < upper:
                threshold = upper
    return threshold


def with_threshold(histogram: Histogram, threshold: float) -> Histogram:
    """The same histogram with a wider zero bucket, which takes in the buckets within it."""
    if threshold <= histogram.zero_threshold:
        return histogram
    zero = histogram.zero_count
    sides = []
    for buckets in (histogram.positive, histogram.negative):
        counts = _counts(buckets)
        for index in [index for index in counts if bound(histogram.scale, index) <= threshold]:
            zero += counts.pop(index)
        sides.append(populated(counts))
    return replace(histogram, zero_threshold=threshold, zero_count=zero, positive=sides[0], negative=sides[1])


def with_bounds(histogram: Histogram, bounds: tuple[float, ...]) -> Histogram:
    """A custom-bucket histogram over fewer bounds (a subset of its own)."""
    own = histogram.bounds or ()
    if own == bounds:
        return histogram
    moved = (
        (bisect_left(bounds, own[index]) if index < len(own) else len(bounds), count)
        for index, count in zip(histogram.positive.indices, histogram.positive.counts, strict=True)
    )
    return replace(histogram, bounds=bounds, positive=populated(_merged(moved)))


def aligned(histograms: Sequence[Histogram]) -> tuple[list[Histogram], bool]:
    """The same histograms in one layout, and whether custom bounds had to be reconciled to those in common.

    Raises IncompatibleError where exponential and custom buckets mix.
    """
    custom = [histogram.bounds is not None for histogram in histograms]
    if any(custom):
        if not all(custom):
            raise IncompatibleError
        first = histograms[0].bounds or ()
        if all(histogram.bounds == first for histogram in histograms):
            return list(histograms), False
        common = set(first).intersection(*(histogram.bounds or () for histogram in histograms))
        bounds = tuple(sorted(common))
        return [with_bounds(histogram, bounds) for histogram in histograms], True
    scale = min(histogram.scale for histogram in histograms)
    threshold = max(histogram.zero_threshold for histogram in histograms)
    result = [at_scale(histogram, scale) for histogram in histograms]
    while True:
        wider = threshold
        for histogram in result:
            wider = max(wider, _straddled(histogram, threshold))
        if wider == threshold:
            return [with_threshold(histogram, threshold) for histogram in result], False
        threshold = wider


def compensated(values: Iterable[float]) -> float:
    """The sum by Neumaier's algorithm, as Prometheus adds (kahansum): what cancels leaves little behind."""
    total = lost = 0.0
    for value in values:
        new = total + value
        if math.isinf(new):
            lost = 0.0
        elif abs(total) >= abs(value):
            lost += (total - new) + value
        else:
            lost += (value - new) + total
        total = new
    return total + lost


def combined(histograms: Sequence[Histogram], add: Callable[[list[float]], float] = compensated) -> Histogram:
    """One histogram whose every count is ``add`` of the counts of these, all in one layout."""

    def side(buckets: list[Buckets]) -> Buckets:
        counts = [_counts(one) for one in buckets]
        indices: set[int] = set().union(*counts)
        return populated({index: add([one.get(index, 0.0) for one in counts]) for index in indices})

    return replace(
        histograms[0],
        count=add([histogram.count for histogram in histograms]),
        sum=add([histogram.sum for histogram in histograms]),
        zero_count=add([histogram.zero_count for histogram in histograms]),
        positive=side([histogram.positive for histogram in histograms]),
        negative=side([histogram.negative for histogram in histograms]),
        gauge=any(histogram.gauge for histogram in histograms),
    )


def total(histograms: Sequence[Histogram]) -> tuple[Histogram, bool]:
    """The sum of histograms, and whether custom bounds were reconciled."""
    same, reconciled = aligned(histograms)
    return combined(same), reconciled


def mean(histograms: Sequence[Histogram]) -> tuple[Histogram, bool]:
    """The average of histograms, and whether custom bounds were reconciled."""
    same, reconciled = aligned(histograms)
    number = len(same)

    def average(values: list[float]) -> float:
        added = compensated(values)
        if math.isinf(added) and all(math.isfinite(value) for value in values):
            return compensated(value / number for value in values)
        return added / number

    return combined(same, average), reconciled


def difference(left: Histogram, right: Histogram) -> tuple[Histogram, bool]:
    """``left - right``, a gauge, and whether custom bounds were reconciled."""
    (one, other), reconciled = aligned([left, right])
    return replace(combined([one, scaled(other, -1.0)], sum), gauge=True), reconciled


def scaled(histogram: Histogram, factor: float) -> Histogram:
    """Every count times ``factor``; a negative one makes a gauge."""

    def side(buckets: Buckets) -> Buckets:
        return populated({index: count * factor for index, count in _counts(buckets).items()})

    return replace(
        histogram,
        count=histogram.count * factor,
        sum=histogram.sum * factor,
        zero_count=histogram.zero_count * factor,
        positive=side(histogram.positive),
        negative=side(histogram.negative),
        gauge=histogram.gauge or factor < 0,
    )


def divided(histogram: Histogram, divisor: float) -> Histogram:
    """Every count divided; by zero the buckets go, and the totals become infinite or NaN."""
    if divisor == 0:

        def ratio(value: float) -> float:
            return math.nan if value == 0 or math.isnan(value) else math.copysign(math.inf, value)

        return replace(
            histogram,
            count=ratio(histogram.count),
            sum=ratio(histogram.sum),
            zero_count=ratio(histogram.zero_count),
            positive=Buckets(),
            negative=Buckets(),
        )

    def side(buckets: Buckets) -> Buckets:
        return populated({index: count / divisor for index, count in _counts(buckets).items()})

    return replace(
        histogram,
        count=histogram.count / divisor,
        sum=histogram.sum / divisor,
        zero_count=histogram.zero_count / divisor,
        positive=side(histogram.positive),
        negative=side(histogram.negative),
        gauge=histogram.gauge or divisor < 0,
    )


def is_reset(now: Histogram, before: Histogram) -> bool:
    """Whether a counter was reset between two samples (FloatHistogram.DetectReset)."""
    if now.gauge:
        return False
    if (now.bounds is None) != (before.bounds is None) or now.count < before.count:
        return True
    if now.bounds is not None:
        if now.bounds != before.bounds:
            (now, before), _ = aligned([now, before])
    elif now.scale > before.scale or now.zero_threshold < before.zero_threshold:
        return True
    else:
        before = at_scale(before, now.scale)
        if _straddled(before, now.zero_threshold) != now.zero_threshold:
            return True
        before = with_threshold(before, now.zero_threshold)
        if now.zero_count < before.zero_count:
            return True
    for new, old in ((now.positive, before.positive), (now.negative, before.negative)):
        counts = _counts(new)
        if any(counts.get(index, 0.0) < count for index, count in _counts(old).items()):
            return True
    return False


def counter_increase(histograms: Sequence[Histogram]) -> tuple[Histogram, bool]:
    """How much a counter grew from the first of its samples to the last (histogramRate in functions.go)."""
    first = histograms[0]
    if is_reset(histograms[1], first):
        first = Histogram(count=0.0, sum=0.0, scale=histograms[1].scale, bounds=histograms[1].bounds)
    if any((one.bounds is None) != (first.bounds is None) for one in histograms[1:]):
        raise IncompatibleError
    if first.bounds is None:
        scale = min(first.scale, *(one.scale for one in histograms[1:]))
        grown, reconciled = difference(at_scale(histograms[-1], scale), first)
    else:
        grown, reconciled = difference(histograms[-1], first)
    for before, now in pairwise([first, *histograms[1:]]):
        if is_reset(now, before):
            grown, changed = total([grown, before])
            reconciled |= changed
    return replace(grown, gauge=True), reconciled
