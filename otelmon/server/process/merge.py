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

from otelmon.server.process.memo import Memo
from otelmon.server.process.request import Metric

_SIDES = ("positive", "negative")
# Far more than any SDK sends: two points that lie apart are merged at a coarser scale instead of by millions of zeros.
_MOST_BUCKETS = 4096


class Merging:
    """Merges points of the same attributes and time."""

    def __init__(self) -> None:
        self._unordered = Memo(_unordered)

    def merge(self, metric: Metric) -> None:
        """Merge those of a metric."""
        keys = list(zip(metric.times, self._unordered.of(metric.form, metric.sets), strict=True))
        if len(set(keys)) == len(keys):
            return
        points: list[Any] = list(metric.points)
        read, kind = metric.form.message.FromString, metric.message.WhichOneof("data")
        first: dict[tuple[bytes, bytes], int] = {}
        merged: dict[int, Any] = {}
        for index, key in enumerate(keys):
            at = first.setdefault(key, index)
            if at != index:
                kept = merged.get(at)
                if kept is None:
                    kept = merged[at] = read(points[at])
                add(kind, kept, read(points[index]))
        for at, message in merged.items():
            points[at] = message.SerializeToString()
        metric.put([points[at] for at in first.values()])


def add(kind: str, kept: Any, other: Any) -> None:
    """Add one point's message to another's, of a metric whose data are of this kind."""
    try:
        _ADD.get(kind, _take_last)(kept, other)
    except ValueError:  # counts beyond what OTLP has room for
        _take_last(kept, other)


def _unordered(point: Any) -> bytes:
    """Attributes in an order that is always the same."""
    pairs = {pair.SerializeToString(deterministic=True): pair for pair in point.attributes}
    return bytes(type(point)(attributes=[pairs[key] for key in sorted(pairs)]).SerializeToString(deterministic=True))


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
    while any(_range(side, (kept, other), scale)[1] > _MOST_BUCKETS for side in _SIDES):
        scale -= 1
    for side in _SIDES:
        low, many = _range(side, (kept, other), scale)
        counts = [0] * many
        for point in (kept, other):
            buckets, shift = getattr(point, side), point.scale - scale
            for index, count in enumerate(buckets.bucket_counts, buckets.offset):
                counts[(index >> shift) - low] += count
        buckets = getattr(kept, side)
        buckets.offset = low
        buckets.bucket_counts[:] = counts
    kept.scale = scale
    kept.zero_count += other.zero_count
    _add_observations(kept, other)


def _range(side: str, points: Sequence[Any], scale: int) -> tuple[int, int]:
    """The first of the buckets that hold all of these points' at a scale, and how many there are."""
    ends = [
        index >> (point.scale - scale)
        for point in points
        if (buckets := getattr(point, side)).bucket_counts
        for index in (buckets.offset, buckets.offset + len(buckets.bucket_counts) - 1)
    ]
    return (min(ends), max(ends) - min(ends) + 1) if ends else (0, 0)


def _add_observations(kept: Any, other: Any) -> None:
    kept.count += other.count
    for name, of_both in (("sum", sum), ("min", min), ("max", max)):
        if kept.HasField(name) and other.HasField(name):
            setattr(kept, name, of_both((getattr(kept, name), getattr(other, name))))
        else:
            kept.ClearField(name)
    _add_rest(kept, other)


def _add_rest(kept: Any, other: Any) -> None:
    start = other.start_time_unix_nano
    if start and not 0 < kept.start_time_unix_nano <= start:
        kept.start_time_unix_nano = start
    if other.exemplars:
        kept.exemplars.extend(other.exemplars)


_ADD = {"sum": _add_numbers, "histogram": _add_histograms, "exponential_histogram": _add_exponential}
