"""Points that have become one series, in one metric of one request, as one point.

Where a label is redacted or renamed, several series may have the same labels after it. Left so, a receiver would take
one of them for the others: the sum of them is what is meant, and as a client sends all of a metric's series at once it
is the right one. Only points of one time are summed: others are the same series, measured again.

    sum, histogram          summed; exponential histograms at the coarsest of their scales
    gauge, summary          the last one: they have no sum
    histograms of other     the last one
    bounds or thresholds
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_SIDES = ("positive", "negative")
# Far more than any SDK sends: two points that lie apart are merged at a coarser scale instead of by millions of zeros.
_MOST_BUCKETS = 4096


def merge_same(metric: Any, points: Any) -> int:
    """Merge points of the same attributes and time; how many are gone."""
    kind = metric.WhichOneof("data")
    first: dict[tuple[int, frozenset[bytes]], Any] = {}
    gone: list[int] = []
    for index, point in enumerate(points):
        key = (point.time_unix_nano, frozenset(pair.SerializeToString(deterministic=True) for pair in point.attributes))
        kept = first.setdefault(key, point)
        if kept is not point:
            try:
                _ADD.get(kind, _take_last)(kept, point)
            except ValueError:  # counts beyond what OTLP has room for
                _take_last(kept, point)
            gone.append(index)
    remove(points, gone)
    return len(gone)


def remove(repeated: Any, indices: Sequence[int]) -> None:
    """Take these, ascending, out of a repeated field."""
    if len(indices) == len(repeated):
        del repeated[:]
        return
    for index in reversed(indices):
        del repeated[index]


def _take_last(kept: Any, other: Any) -> None:
    kept.CopyFrom(other)


def _add_numbers(kept: Any, other: Any) -> None:
    both = kept.WhichOneof("value"), other.WhichOneof("value")
    if both == ("as_int", "as_int"):
        # An int64 holds no more; a sum beyond it goes on as a double.
        total = kept.as_int + other.as_int
        if -(2**63) <= total < 2**63:
            kept.as_int = total
        else:
            kept.as_double = float(total)
    else:
        kept.as_double = float(sum(getattr(each, name) for each, name in zip((kept, other), both, strict=True) if name))
    _add_rest(kept, other)


def _add_histograms(kept: Any, other: Any) -> None:
    if list(kept.explicit_bounds) != list(other.explicit_bounds) or len(kept.bucket_counts) != len(other.bucket_counts):
        _take_last(kept, other)
        return
    kept.bucket_counts[:] = [one + two for one, two in zip(kept.bucket_counts, other.bucket_counts, strict=True)]
    _add_observations(kept, other)


def _add_exponential(kept: Any, other: Any) -> None:
    if kept.zero_threshold != other.zero_threshold:
        _take_last(kept, other)
        return
    scale = min(kept.scale, other.scale)
    while any(_span(side, (kept, other), scale) > _MOST_BUCKETS for side in _SIDES):
        scale -= 1
    for side in _SIDES:
        counts: dict[int, int] = {}
        for point in (kept, other):
            buckets, shift = getattr(point, side), point.scale - scale
            for index, count in enumerate(buckets.bucket_counts, buckets.offset):
                counts[index >> shift] = counts.get(index >> shift, 0) + count
        buckets, low = getattr(kept, side), min(counts, default=0)
        buckets.offset = low
        buckets.bucket_counts[:] = [counts.get(index, 0) for index in range(low, max(counts, default=low - 1) + 1)]
    kept.scale = scale
    kept.zero_count += other.zero_count
    _add_observations(kept, other)


def _span(side: str, points: Sequence[Any], scale: int) -> int:
    """How many buckets hold all of these points' at a scale."""
    ends = [
        index >> (point.scale - scale)
        for point in points
        if (buckets := getattr(point, side)).bucket_counts
        for index in (buckets.offset, buckets.offset + len(buckets.bucket_counts) - 1)
    ]
    return max(ends) - min(ends) + 1 if ends else 0


def _add_observations(kept: Any, other: Any) -> None:
    kept.count += other.count
    for name, of_both in (("sum", sum), ("min", min), ("max", max)):
        if kept.HasField(name) and other.HasField(name):
            setattr(kept, name, of_both((getattr(kept, name), getattr(other, name))))
        else:
            kept.ClearField(name)
    _add_rest(kept, other)


def _add_rest(kept: Any, other: Any) -> None:
    starts = [each.start_time_unix_nano for each in (kept, other) if each.start_time_unix_nano]
    kept.start_time_unix_nano = min(starts, default=0)
    kept.exemplars.extend(other.exemplars)


_ADD = {"sum": _add_numbers, "histogram": _add_histograms, "exponential_histogram": _add_exponential}
