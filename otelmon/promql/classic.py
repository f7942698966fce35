"""Classic histograms: buckets as series with a label ``le`` (promql/quantile.go)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from otelmon.promql.plan import Grouping, Integers, Shape
from otelmon.promql.vector import Floats, Mask


def upper_bound(text: str) -> float:
    """The number in a label ``le``; NaN where it is none."""
    try:
        return float(text) if text and text == text.strip() and "_" not in text else math.nan
    except ValueError:
        return math.nan


class Bounds:
    """Of every position of a shape the upper bound, and the histogram (the group by all other labels)."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self.bounds: Floats = np.zeros(0)
        self.grouping: Grouping = shape.grouping(("le",), without=True)
        self._arranged: tuple[Mask, Arranged] | None = None

    def follow(self) -> Bounds:
        """Take in the positions that the shape has got since."""
        known, size = self.bounds.size, len(self._shape)
        if known < size:
            more = [upper_bound(self._shape.label(position).get("le", "")) for position in range(known, size)]
            self.bounds = np.concatenate([self.bounds, np.array(more)])
            self._arranged = None
        self.grouping.follow()
        return self

    def arranged(self, present: Mask) -> Arranged:
        """The buckets that are there, in rows by histogram; remembered as long as the same ones are there."""
        if self._arranged is not None and np.array_equal(self._arranged[0], present):
            return self._arranged[1]
        made = _arrange(self.bounds, self.grouping.ids, present & ~np.isnan(self.bounds))
        self._arranged = (present.copy(), made)
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Arranged:
    """``positions[row, i]`` is the i-th bucket of the histogram ``groups[row]``, ascending, for i < ``sizes[row]``;
    beyond that entries repeat the last bucket. ``bounds`` likewise. ``distinct``: no bound stands twice in a row.
    """

    groups: Integers
    sizes: Integers
    positions: Integers
    bounds: Floats
    distinct: bool


def bounds_of(shape: Shape) -> Bounds:
    """The bounds of a shape's buckets."""
    found: Bounds = shape.remember("bounds", lambda: Bounds(shape))
    return found.follow()


def _arrange(bounds: Floats, ids: Integers, usable: Mask) -> Arranged:
    positions = np.nonzero(usable)[0]
    order = positions[np.lexsort((bounds[positions], ids[positions]))]
    groups, starts, sizes = np.unique(ids[order], return_index=True, return_counts=True)
    width = int(sizes.max(initial=1))
    index = starts[:, None] + np.minimum(np.arange(width)[None, :], sizes[:, None] - 1)
    table = order[index] if order.size else np.zeros((0, width), dtype=np.intp)
    rows = bounds[table]
    inside = np.arange(1, width)[None, :] < sizes[:, None]
    return Arranged(
        groups=groups,
        sizes=sizes,
        positions=table,
        bounds=rows,
        distinct=not bool((inside & (rows[:, 1:] == rows[:, :-1])).any()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Cumulative counts by histogram and bucket, never falling; ``valid`` rows end with +Inf and have two buckets."""

    bounds: Floats
    counts: Floats
    sizes: Integers
    valid: Mask
    fixed: Mask


# Differences this small come of adding floats in different orders (quantile.go, smallDeltaTolerance).
_TOLERANCE = 1e-12


def ready(arranged: Arranged, values: Floats) -> Ready:
    """The counts of arranged buckets, equal bounds added up, and made to never fall."""
    counts = values[arranged.positions]
    bounds, sizes = arranged.bounds, arranged.sizes
    if not arranged.distinct:
        bounds, counts, sizes = _coalesced(bounds, counts, sizes)
    rising = np.fmax.accumulate(counts, axis=1) if counts.size else counts
    fell = (rising - counts) > np.abs(rising + counts) * _TOLERANCE
    last = bounds[np.arange(sizes.size), sizes - 1]
    return Ready(
        bounds=bounds,
        counts=rising,
        sizes=sizes,
        valid=(sizes >= 2) & (last == np.inf),
        fixed=np.asarray(fell.any(axis=1)),
    )


def _coalesced(bounds: Floats, counts: Floats, sizes: Integers) -> tuple[Floats, Floats, Integers]:
    new_bounds, new_counts, new_sizes = bounds.copy(), counts.copy(), sizes.copy()
    for row in range(sizes.size):
        merged: dict[float, float] = {}
        for bound, count in zip(bounds[row, : sizes[row]].tolist(), counts[row, : sizes[row]].tolist(), strict=True):
            merged[bound] = merged.get(bound, 0.0) + count
        size = len(merged)
        new_sizes[row] = size
        new_bounds[row] = [*merged, *[list(merged)[-1]] * (bounds.shape[1] - size)]
        new_counts[row] = [*merged.values(), *[list(merged.values())[-1]] * (bounds.shape[1] - size)]
    return new_bounds, new_counts, new_sizes


def quantiles(q: float, buckets: Ready) -> Floats:
    """The q-quantile of each histogram, linear within a bucket (promql.BucketQuantile)."""
    rows = np.arange(buckets.sizes.size)
    if math.isnan(q) or not rows.size:
        return np.full(rows.size, np.nan)
    if q < 0 or q > 1:
        return np.full(rows.size, math.copysign(math.inf, q))
    last = buckets.sizes - 1
    observations = buckets.counts[rows, last]
    rank = q * observations
    found = np.minimum(np.count_nonzero(buckets.counts < rank[:, None], axis=1), last)
    before = np.maximum(found - 1, 0)
    start = np.where(found > 0, buckets.bounds[rows, before], 0.0)
    below = np.where(found > 0, buckets.counts[rows, before], 0.0)
    end = buckets.bounds[rows, found]
    inside = buckets.counts[rows, found] - below
    result = start + (end - start) * ((rank - below) / inside)
    # Above the last finite bound nothing is known; below a first bound that is not positive neither.
    result = np.where(found == last, buckets.bounds[rows, np.maximum(last - 1, 0)], result)
    result = np.where((found == 0) & (end <= 0), end, result)
    return np.asarray(np.where(buckets.valid & (observations > 0), result, np.nan))


def fraction(lower: float, upper: float, bounds: Sequence[float], counts: Sequence[float]) -> float:
    """The estimated share of observations between two values, of one histogram's cumulative buckets."""
    if not counts or bounds[-1] != math.inf or not counts[-1] > 0 or math.isnan(lower) or math.isnan(upper):
        return math.nan
    if lower >= upper:
        return 0.0

    def below(value: float) -> float:
        start, seen = (0.0 if bounds[0] > 0 else -math.inf), 0.0
        for bound, count in zip(bounds, counts, strict=True):
            if value >= bound:
                start, seen = bound, count
                continue
            if value <= start or bound == math.inf or start == -math.inf:
                return seen
            return seen + (count - seen) * (value - start) / (bound - start)
        return seen

    return (below(upper) - below(lower)) / counts[-1]
