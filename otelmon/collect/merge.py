"""Merge: the points of several processes of one service as the points of one.

    kind                          over the processes                      of those that have ended
    counter, histogram            sum, bucket by bucket: exact            kept in the sum, which never falls
    up-down counter               sum (requests in flight, a pool's       gone: what they held is free again
                                  connections and its maximum, memory)
    gauge                         the largest (the event loop's lag)      gone
    a pool's figures as gauges    sum                                     gone
    the machine's, and what is    the evaluating process's own: each      gone
    probed from outside           process would measure the same

Start times: the earliest of all. What is older is no reset, and the collector does not let a series that is new to it
begin before its last collection.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from enum import Enum

from otelmon.collect.names import Kind
from otelmon.collect.translate import Point
from otelmon.histogram import Buckets, Histogram
from otelmon.labels import Labels

Value = float | Histogram
Points = dict[Labels, Point]


class Merging(Enum):
    """What becomes of the points that several processes have of one series."""

    SUM = "sum"
    LARGEST = "largest"
    OWN = "own"


# By the beginning of the Prometheus name, first match.
_POOLS = ("db_client_connection",)
_OF_THE_MACHINE = (
    "system_",
    "host_",
    "container_",
    "k8s_",
    "target_info",
    "otelmon_cpu_",
    "otelmon_memory_",
    "otelmon_probe_",
    "otelmon_redis_",
    "redis_",
    "otelmon_queue_",
)


def merging(kind: Kind, name: str, *, counts_from_start: bool) -> Merging:
    """How the points of a metric are merged, by its kind and its Prometheus name (see the module's table).

    ``counts_from_start`` is false for gauges, and for counters that a callback reports: those may be the machine's.
    """
    if counts_from_start or kind is Kind.HISTOGRAM:
        return Merging.SUM
    if name.startswith(_OF_THE_MACHINE):
        return Merging.OWN
    return Merging.LARGEST if kind is Kind.GAUGE and not name.startswith(_POOLS) else Merging.SUM


def lasts(point: Point) -> bool:
    """Whether what an ended process had counted stays in the sum."""
    cumulative = point.kind in {Kind.COUNTER, Kind.HISTOGRAM}
    return cumulative and _merging(point) is Merging.SUM


def merge(first: Point, second: Point) -> Point:
    """Two points of the same identity as one; ``first`` is the evaluating process's where there is one of it."""
    how = _merging(first)
    if how is Merging.OWN:
        return first
    combine: Callable[[Value, Value], Value] = _sum if how is Merging.SUM else _largest
    starts = [start for start in (first.start, second.start) if start is not None]
    series, values = first.series, first.values
    if series == second.series:
        merged = [combine(one, other) for one, other in zip(values, second.values, strict=True)]
    else:
        # Processes that run different versions of the app: other bounds, or a histogram that is also a native one.
        by_series = dict(zip(series, values, strict=True))
        for labels, value in zip(second.series, second.values, strict=True):
            by_series[labels] = combine(by_series[labels], value) if labels in by_series else value
        series, merged = tuple(by_series), list(by_series.values())
    return Point(series=series, values=merged, start=min(starts, default=None), kind=first.kind)


def merge_into(points: Points, point: Point) -> None:
    """Add a point to those of its identity."""
    identity = point.series[0]
    known = points.get(identity)
    points[identity] = point if known is None else merge(known, point)


def merged(own: Iterator[Point], others: Mapping[Labels, Point]) -> Iterator[Point]:
    """One's own points with the others' merged into them, then what only others have."""
    if not others:
        yield from own
        return
    seen = set()
    for point in own:
        other = others.get(point.series[0])
        seen.add(point.series[0])
        yield point if other is None else merge(point, other)
    for identity, point in others.items():
        if identity not in seen:
            yield point


def add_histograms(first: Histogram, second: Histogram) -> Histogram:
    """The observations of both, at the coarser of their scales.

    Raises ValueError for histograms with other custom bounds or another width of the zero bucket.
    """
    if first.bounds != second.bounds or first.zero_threshold != second.zero_threshold:
        raise ValueError("histograms with different bounds cannot be added")
    scale = min(first.scale, second.scale)
    shifts = (0, 0) if first.bounds is not None else (first.scale - scale, second.scale - scale)
    return Histogram(
        count=first.count + second.count,
        sum=first.sum + second.sum,
        scale=scale,
        zero_count=first.zero_count + second.zero_count,
        zero_threshold=first.zero_threshold,
        positive=_add_buckets((first.positive, second.positive), shifts),
        negative=_add_buckets((first.negative, second.negative), shifts),
        bounds=first.bounds,
        gauge=first.gauge or second.gauge,
    )


def _coarser(index: int, shift: int) -> int:
    # Prometheus counts buckets from one higher than OpenTelemetry, where a coarser scale halves the index.
    return ((index - 1) >> shift) + 1


def _add_buckets(sides: Sequence[Buckets], shifts: Sequence[int]) -> Buckets:
    counts: dict[int, float] = {}
    for side, shift in zip(sides, shifts, strict=True):
        for index, count in zip(side.indices, side.counts, strict=True):
            coarse = _coarser(index, shift) if shift else index
            counts[coarse] = counts.get(coarse, 0.0) + count
    indices = sorted(counts)
    return Buckets(indices=tuple(indices), counts=tuple([counts[index] for index in indices]))


def widest(histogram: Histogram, shift: int = 0) -> int:
    """How many buckets in a row hold the wider of its sides, ``shift`` scales coarser."""
    sides = [side.indices for side in (histogram.positive, histogram.negative) if side.indices]
    return max((_coarser(indices[-1], shift) - _coarser(indices[0], shift) + 1 for indices in sides), default=0)


def narrowed(histogram: Histogram, most: int) -> Histogram:
    """The same at the finest scale at which no side is wider than so many buckets, as SDKs choose theirs."""
    shift = 0
    while widest(histogram, shift) > most:
        shift += 1
    if not shift:
        return histogram
    return replace(
        histogram,
        scale=histogram.scale - shift,
        positive=_add_buckets((histogram.positive,), (shift,)),
        negative=_add_buckets((histogram.negative,), (shift,)),
    )


def _merging(point: Point) -> Merging:
    return merging(point.kind, point.series[0].metric_name, counts_from_start=point.start is not None)


def _sum(one: Value, other: Value) -> Value:
    if isinstance(one, Histogram) and isinstance(other, Histogram):
        try:
            return add_histograms(one, other)
        except ValueError:
            return one  # two versions of the app that agree on nothing but the name
    if isinstance(one, Histogram) or isinstance(other, Histogram):
        return one
    return one + other


def _largest(one: Value, other: Value) -> Value:
    if isinstance(one, Histogram) or isinstance(other, Histogram):
        return one
    return other if math.isnan(one) or other > one else one
