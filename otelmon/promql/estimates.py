"""What a native histogram tells of its observations: quantiles, fractions, variance, cuts (promql/quantile.go)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from otelmon.histogram import Buckets, Histogram
from otelmon.promql.native import bound, populated


def spans(histogram: Histogram) -> Iterator[tuple[float, float, float]]:
    """(lower, upper, count) of every bucket with a count, from the lowest value to the highest."""
    bounds = histogram.bounds
    if bounds is not None:
        edges = (-math.inf, *bounds, math.inf)
        for index, count in zip(histogram.positive.indices, histogram.positive.counts, strict=True):
            yield edges[index], edges[index + 1], count
        return
    scale = histogram.scale
    for index, count in reversed(list(zip(histogram.negative.indices, histogram.negative.counts, strict=True))):
        yield -bound(scale, index), -bound(scale, index - 1), count
    if histogram.zero_count:
        yield -histogram.zero_threshold, histogram.zero_threshold, histogram.zero_count
    for index, count in zip(histogram.positive.indices, histogram.positive.counts, strict=True):
        yield bound(scale, index - 1), bound(scale, index), count


def _is_zero_span(histogram: Histogram, lower: float, upper: float) -> bool:
    return histogram.bounds is None and lower <= 0 <= upper


def _interpolation_edges(histogram: Histogram, lower: float, upper: float) -> tuple[float, float]:
    """Where observations of a bucket may lie: one side of zero where no bucket of the other sign is populated."""
    if histogram.bounds is not None:
        return (0.0, upper) if lower == -math.inf and upper > 0 else (lower, upper)
    if lower < 0 < upper:
        if not histogram.negative.indices and histogram.positive.indices:
            return 0.0, upper
        if not histogram.positive.indices and histogram.negative.indices:
            return lower, 0.0
    return lower, upper


def quantile(q: float, histogram: Histogram) -> float:
    """The value below which a share ``q`` of the observations lie (promql.HistogramQuantile): exponential
    interpolation within a bucket, linear in the zero bucket and between custom bounds.
    """
    if math.isnan(q) or histogram.count == 0:
        return math.nan
    if q < 0 or q > 1:
        return math.copysign(math.inf, q)
    forward = math.isnan(histogram.sum) or q < 0.5
    rank = (q if forward else 1 - q) * histogram.count
    buckets = list(spans(histogram))
    seen = 0.0
    lower, upper, count = (0.0, 0.0, 0.0)
    for bucket in buckets if forward else reversed(buckets):
        lower, upper, count = bucket
        seen += count
        if seen >= rank:
            break
    if not buckets or (math.isnan(histogram.sum) and seen < rank):
        return math.nan
    if histogram.bounds is not None:
        if lower == -math.inf and upper <= 0:
            return upper
        if upper == math.inf:
            return lower
    lower, upper = _interpolation_edges(histogram, lower, upper)
    seen = min(seen, histogram.count)
    share = ((rank - (seen - count)) if forward else (seen - rank)) / count
    if histogram.bounds is not None or lower <= 0 <= upper:
        return lower + (upper - lower) * share
    low, high = math.log2(abs(lower)), math.log2(abs(upper))
    if lower > 0:
        return float(2.0 ** (low + (high - low) * share))
    return -float(2.0 ** (high + (low - high) * (1 - share)))


def share_below(histogram: Histogram, value: float, lower: float, upper: float) -> float:
    """Which share of a bucket's observations is at most ``value``, between 0 and 1."""
    zero = _is_zero_span(histogram, lower, upper)
    lower, upper = _interpolation_edges(histogram, lower, upper)
    if value >= upper:
        return 1.0
    if value <= lower or upper == math.inf or lower == -math.inf:
        return 0.0
    if zero or histogram.bounds is not None:
        return (value - lower) / (upper - lower)
    low, high, at = math.log2(abs(lower)), math.log2(abs(upper)), math.log2(abs(value))
    return (at - low) / (high - low)


def fraction(lower: float, upper: float, histogram: Histogram) -> float:
    """The estimated share of observations between two values (promql.HistogramFraction)."""
    if histogram.count == 0 or math.isnan(lower) or math.isnan(upper):
        return math.nan
    if lower >= upper:
        return 0.0
    between = 0.0
    for low, high, count in spans(histogram):
        between += count * (share_below(histogram, upper, low, high) - share_below(histogram, lower, low, high))
    return between / histogram.count


def trimmed(histogram: Histogram, limit: float, *, below: bool) -> Histogram:
    """The observations at most (``below``) or at least ``limit``, as estimated within the bucket that it cuts.

    Where anything is cut off, count and sum are estimated anew from what remains (FloatHistogram.TrimBuckets).
    """
    kept: dict[tuple[float, float], float] = {}
    count = added = 0.0
    for lower, upper, number in spans(histogram):
        remains, middle = _remainder(histogram, lower, upper, limit, below=below)
        kept[lower, upper] = number * remains
        count += number * remains
        if remains:
            added += number * remains * middle
    if all(kept[lower, upper] == number for lower, upper, number in spans(histogram)):
        return histogram

    def side(buckets: Buckets, sign: int) -> Buckets:
        if histogram.bounds is not None:
            edges = (-math.inf, *histogram.bounds, math.inf)
            return populated({index: kept[edges[index], edges[index + 1]] for index in buckets.indices})
        ends = {index: (bound(histogram.scale, index - 1), bound(histogram.scale, index)) for index in buckets.indices}
        if sign < 0:
            ends = {index: (-upper, -lower) for index, (lower, upper) in ends.items()}
        return populated({index: kept[end] for index, end in ends.items()})

    return replace(
        histogram,
        count=count,
        sum=added,
        zero_count=kept.get((-histogram.zero_threshold, histogram.zero_threshold), 0.0),
        positive=side(histogram.positive, 1),
        negative=side(histogram.negative, -1),
    )


def _remainder(histogram: Histogram, lower: float, upper: float, limit: float, *, below: bool) -> tuple[float, float]:
    """Which share of a bucket is left by a cut, and about where its observations lie."""
    if histogram.bounds is not None and (math.isinf(lower) or upper == math.inf):
        if math.isinf(lower) and upper == math.inf:
            return float(limit == (math.inf if below else -math.inf)), 0.0
        if upper == math.inf:
            return float(limit == math.inf if below else limit < math.inf), lower if below else max(lower, limit)
        if upper <= 0:
            return float(limit > -math.inf if below else limit == -math.inf), min(upper, limit) if below else upper
        if not below and -math.inf < limit < 0:
            return 0.0, 0.0
    part = share_below(histogram, limit, lower, upper)
    low, high = _interpolation_edges(histogram, lower, upper)
    low, high = (low, min(high, limit)) if below else (max(low, limit), high)
    if histogram.bounds is not None or _is_zero_span(histogram, lower, upper):
        middle = (low + high) / 2
    else:
        middle = math.copysign(math.sqrt(abs(low * high)), upper + lower)
    return part if below else 1 - part, middle


def variance(histogram: Histogram) -> float:
    """The estimated variance, each bucket's observations at its geometric (custom bounds: arithmetic) middle."""
    if histogram.count == 0:
        return math.nan
    centre = histogram.sum / histogram.count
    squares = 0.0
    for lower, upper, count in spans(histogram):
        if histogram.bounds is not None:
            value = (lower + upper) / 2
        elif lower <= 0 <= upper:
            value = 0.0
        else:
            value = math.copysign(math.sqrt(lower * upper), lower)
        squares += count * (value - centre) ** 2
    return squares / histogram.count


def text(histogram: Histogram) -> str:
    """A histogram as Prometheus writes it: ``{count:4, sum:5, (0.5,1]:1, (1,2]:2}``."""

    def number(value: float) -> str:
        return f"{value:.17g}" if f"{value:g}" != f"{value:.17g}" and float(f"{value:g}") != value else f"{value:g}"

    parts = [f"count:{number(histogram.count)}", f"sum:{number(histogram.sum)}"]
    for lower, upper, count in spans(histogram):
        if upper <= 0 and histogram.bounds is None:
            opening, closing = "[", ")"
        elif _is_zero_span(histogram, lower, upper) or lower == -math.inf:
            opening, closing = "[", "]"
        else:
            opening, closing = "(", "]"
        parts.append(f"{opening}{number(lower)},{number(upper)}{closing}:{number(count)}")
    return "{" + ", ".join(parts) + "}"
