"""Cumulative metrics data as deltas, for backends that ask for them.

One collection serves the window, which needs cumulative data, and the exporter, which may be asked for delta by
OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE:

                              cumulative    delta         lowmemory
    counter, histogram        cumulative    delta         delta
    observable counter        cumulative    delta         cumulative
    up-down counter, gauge    as they are   as they are   as they are

A delta is the difference to what the backend last accepted, not to the last collection: nothing is committed before
the export has succeeded, so the next export covers what a failed one could not deliver.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, cast

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Buckets,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    Sum,
)
from opentelemetry.sdk.resources import Resource

from otelmon.collect.reader import ObservedSum

# Points that vanish (an observable instrument that reports no longer) are remembered, since they may come back.
_MOST_REMEMBERED = 100_000

_Point = NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint
_Key = tuple[Hashable, ...]


class Preference(StrEnum):
    """The values of OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE."""

    CUMULATIVE = "cumulative"
    DELTA = "delta"
    LOWMEMORY = "lowmemory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """Data to export, and what to commit when it was accepted. ``data`` is None when there is nothing to say."""

    data: MetricsData | None
    pending: Mapping[_Key, _Point]


class DeltaConversion:
    """Remembers the points that the backend accepted, by resource, scope, metric and attributes.

    The first delta of a series is all it has counted so far, and so is the first after a reset: a start later than
    the remembered one, or a count that fell. A series that did not count since has no delta point, as in the SDK. The
    deltas of a series follow one another without gap or overlap.
    """

    def __init__(self, preference: Preference) -> None:
        """``preference`` decides which kinds of metrics become deltas."""
        self._preference = preference
        self._accepted: dict[_Key, _Point] = {}

    def convert(self, data: MetricsData) -> Converted:
        """The data as it is preferred, relative to what was committed."""
        if self._preference is Preference.CUMULATIVE:
            return Converted(data=data if data.resource_metrics else None, pending={})
        pending: dict[_Key, _Point] = {}
        resources = []
        for resource_metrics in data.resource_metrics:
            resource = _resource_key(resource_metrics.resource)
            scopes = []
            for scope_metrics in resource_metrics.scope_metrics:
                scope = scope_metrics.scope
                prefix: _Key = (resource, scope.name, scope.version, scope.schema_url)
                converted = (self._metric(metric, prefix, pending) for metric in scope_metrics.metrics)
                metrics = [metric for metric in converted if metric is not None]
                if metrics:
                    scopes.append(replace(scope_metrics, metrics=metrics))
            if scopes:
                resources.append(replace(resource_metrics, scope_metrics=scopes))
        return Converted(data=MetricsData(resource_metrics=resources) if resources else None, pending=pending)

    def commit(self, converted: Converted) -> None:
        """The backend has accepted it: the next deltas are relative to this."""
        for key, point in converted.pending.items():
            # Anew at the end, so that the first are those not seen for longest.
            self._accepted.pop(key, None)
            self._accepted[key] = point
        while len(self._accepted) > max(_MOST_REMEMBERED, len(converted.pending)):
            del self._accepted[next(iter(self._accepted))]

    def _metric(self, metric: Metric, prefix: _Key, pending: dict[_Key, _Point]) -> Metric | None:
        data = metric.data
        if not self._is_delta(data):
            return metric
        stream = (*prefix, metric.name, metric.unit, type(data).__name__)
        points = []
        for point in data.data_points:
            key = (*stream, attributes_key(point.attributes))
            pending[key] = point
            delta = point_delta(point, self._accepted.get(key))
            if delta is not None:
                points.append(delta)
        if not points:
            return None
        changed = replace(cast("Any", data), data_points=points, aggregation_temporality=AggregationTemporality.DELTA)
        return replace(metric, data=changed)

    def _is_delta(self, data: Any) -> bool:
        if not isinstance(data, Sum | Histogram | ExponentialHistogram):
            return False
        if data.aggregation_temporality != AggregationTemporality.CUMULATIVE:
            return False
        if isinstance(data, Sum):
            observed = isinstance(data, ObservedSum)
            return data.is_monotonic and not (observed and self._preference is Preference.LOWMEMORY)
        return True


def _resource_key(resource: Resource) -> Hashable:
    return attributes_key(resource.attributes)


def attributes_key(attributes: Mapping[str, Any] | None) -> Hashable:
    """A key that tells apart what OpenTelemetry does: 1 from true and from 1.0."""
    return tuple((key, _value_key((attributes or {})[key])) for key in sorted(attributes or ()))


def _value_key(value: Any) -> Hashable:
    if isinstance(value, str | bytes | bool | int | float) or value is None:
        return (type(value).__name__, value)
    if isinstance(value, Mapping):
        return ("mapping", attributes_key(value))
    if isinstance(value, Iterable):
        return ("sequence", tuple(_value_key(inner) for inner in value))
    return ("other", repr(value))


def point_delta(point: _Point, before: _Point | None) -> _Point | None:
    """What ``point`` has counted more than ``before``, from the one's time to the other's; None when nothing.

    All of it, from its own start, when there is no ``before`` or it was reset since.
    """
    if before is None or (point.start_time_unix_nano or 0) > (before.start_time_unix_nano or 0):
        return point if _counted(point) else None
    delta = _difference(point, before)
    if delta is None:
        # It fell under the same start: it was reset at some time since.
        delta = point
    if not _counted(delta):
        return None
    return replace(delta, start_time_unix_nano=before.time_unix_nano)


def _counted(point: _Point) -> bool:
    return bool(point.value if isinstance(point, NumberDataPoint) else point.count)


def _difference(point: _Point, before: _Point) -> _Point | None:
    """The point less the one before, or None when any of its counts fell."""
    if isinstance(point, NumberDataPoint) and isinstance(before, NumberDataPoint):
        return None if point.value < before.value else replace(point, value=point.value - before.value)
    if isinstance(point, HistogramDataPoint) and isinstance(before, HistogramDataPoint):
        return _explicit_difference(point, before)
    if isinstance(point, ExponentialHistogramDataPoint) and isinstance(before, ExponentialHistogramDataPoint):
        return _exponential_difference(point, before)
    return None


# Extremes since the start are not those of the difference; OTLP has them optional, the SDK's types do not.
_UNKNOWN = cast("float", None)


def _explicit_difference(point: HistogramDataPoint, before: HistogramDataPoint) -> HistogramDataPoint | None:
    if tuple(point.explicit_bounds) != tuple(before.explicit_bounds):
        return None
    counts = [now - then for now, then in zip(point.bucket_counts, before.bucket_counts, strict=True)]
    if min(counts, default=0) < 0:
        return None
    return replace(
        point,
        count=point.count - before.count,
        sum=point.sum - before.sum,
        bucket_counts=tuple(counts),
        min=_UNKNOWN,
        max=_UNKNOWN,
    )


def _exponential_difference(
    point: ExponentialHistogramDataPoint, before: ExponentialHistogramDataPoint
) -> ExponentialHistogramDataPoint | None:
    """At the coarser of both scales: a histogram merges its buckets as its values spread."""
    scale = min(point.scale, before.scale)
    shift, before_shift = point.scale - scale, before.scale - scale
    positive = _buckets_difference(point.positive, shift, before.positive, before_shift)
    negative = _buckets_difference(point.negative, shift, before.negative, before_shift)
    zeros = point.zero_count - before.zero_count
    if positive is None or negative is None or zeros < 0:
        return None
    return replace(
        point,
        count=point.count - before.count,
        sum=point.sum - before.sum,
        scale=scale,
        zero_count=zeros,
        positive=positive,
        negative=negative,
        min=_UNKNOWN,
        max=_UNKNOWN,
    )


def _buckets_difference(buckets: Buckets, shift: int, before: Buckets, before_shift: int) -> Buckets | None:
    """Bucket by bucket after both are merged down by their shift; None when a bucket fell."""
    counts = _by_index(buckets, shift)
    for index, count in _by_index(before, before_shift).items():
        counts[index] = counts.get(index, 0) - count
    populated = {index: count for index, count in counts.items() if count}
    if any(count < 0 for count in populated.values()):
        return None
    if not populated:
        return Buckets(offset=0, bucket_counts=[])
    low, high = min(populated), max(populated)
    return Buckets(offset=low, bucket_counts=[populated.get(index, 0) for index in range(low, high + 1)])


def _by_index(buckets: Buckets, shift: int) -> dict[int, int]:
    merged: dict[int, int] = {}
    counts: Sequence[int] = buckets.bucket_counts
    for index, count in enumerate(counts, buckets.offset):
        if count:
            merged[index >> shift] = merged.get(index >> shift, 0) + count
    return merged
