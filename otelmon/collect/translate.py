"""The one translation: OpenTelemetry metrics data to samples with Prometheus names.

    counter                   name_total
    up-down counter, gauge    name
    explicit histogram        name_count, name_sum, name_bucket{le}
    exponential histogram     name_count, name_sum, and name itself as a native histogram, as a scrape that also keeps
                              the classic series

``job`` and ``instance`` are on every series, the other attributes of the resource on ``target_info`` only. The
instrumentation scope is left out, as Prometheus does by default: a library's version in the labels would end every
series, and every alert on it, with each upgrade. Exemplars are left out too. Delta points have no meaning among
cumulative series: they are counted in ``skipped`` and dropped (a reader of ours asks for cumulative ones, and no view
can change that, so only foreign data brings them). The SDK has no summaries; what is of an unknown type is skipped
alike.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    Sum,
)
from opentelemetry.sdk.metrics.export import Buckets as OTelBuckets
from opentelemetry.sdk.metrics.export import Histogram as ExplicitHistogram
from opentelemetry.sdk.resources import Resource

from otelmon.collect.names import Kind, bound_label, label_set, label_value, metric_name
from otelmon.collect.reader import ObservedSum
from otelmon.histogram import Buckets, Histogram
from otelmon.labels import METRIC_NAME, Labels
from otelmon.sample import Sample

# The scales of Prometheus' native histograms; a finer one is merged down, a coarser one has no equal.
_FINEST_SCALE = 8
_COARSEST_SCALE = -4
# They are the job and the instance already.
_IDENTIFYING = frozenset({"service.name", "service.namespace", "service.instance.id"})
_INSTANCE = ("service.instance.id", "k8s.pod.name", "host.name")
# At the finest scale 2**64: no measured value is further from 1, and the window has a column for each bucket between.
_FARTHEST_BUCKET = 1 << 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One OpenTelemetry point as the series that it becomes, with the value of each.

    ``start`` is the unix time at which a cumulative point began at zero; None for gauges, and for observable counters,
    whose count is older than the SDK's knowledge of it. The first series stands for the point's identity. ``kind`` says
    how the points of several processes become one (``otelmon.collect.merge``).
    """

    series: tuple[Labels, ...]
    values: Sequence[float | Histogram]
    start: float | None = None
    kind: Kind = Kind.GAUGE


class Translation:
    """Translates the metrics of one process again and again; the labels of a point are made once and kept.

    ``job`` and ``instance`` are what the resource says (service.namespace/service.name, service.instance.id, else pod
    or host) unless given. ``skipped`` counts points without a translation by reason. Not for several threads at once.
    """

    def __init__(self, *, job: str | None = None, instance: str | None = None) -> None:
        """``job`` and ``instance`` win over the resource's."""
        self.skipped: Counter[str] = Counter()
        self._job = job
        self._instance = instance
        self._streams: dict[_StreamKey, _Stream] = {}
        # The resources of the last data, each with its identifying labels and its target_info.
        self._resources: list[tuple[Resource, dict[str, str], Point | None]] = []

    def points(self, data: MetricsData, *, on_error: Callable[[str, Exception], None]) -> Iterator[Point]:
        """The points of the data, target_info first. A metric that cannot be translated is told to ``on_error``."""
        streams: dict[_StreamKey, _Stream] = {}
        resources = []
        for order, resource_metrics in enumerate(data.resource_metrics):
            described = self._describe(resource_metrics.resource)
            resources.append(described)
            if described[2] is not None:
                yield described[2]
            for scope_metrics in resource_metrics.scope_metrics:
                scope = scope_metrics.scope
                for metric in scope_metrics.metrics:
                    kind = _kind(metric)
                    key = (order, scope.name, scope.version, metric.name, metric.unit or "", kind)
                    stream = streams.get(key) or self._streams.get(key)
                    if stream is None or stream.identity is not described[1]:
                        stream = _Stream(metric, kind, described[1])
                    streams[key] = stream
                    try:
                        yield from stream.points(metric, self.skipped)
                    except Exception as error:  # noqa: BLE001 (the other metrics are translated all the same)
                        on_error(metric.name, error)
        for stream in streams.values():
            stream.forget_unused()
        self._streams = streams
        self._resources = resources

    def samples(self, data: MetricsData, at: float) -> list[Sample]:
        """The samples of one collection, stamped ``at``; errors are raised. Starts are those of the points."""
        return [
            Sample(labels=labels, at=at, value=value, start_at=point.start)
            for point in self.points(data, on_error=_raise)
            for labels, value in zip(point.series, point.values, strict=True)
        ]

    def _describe(self, resource: Resource) -> tuple[Resource, dict[str, str], Point | None]:
        for described in self._resources:
            if described[0] is resource or described[0] == resource:
                return described
        attributes = resource.attributes
        identity = {"job": self._job or job_of(attributes), "instance": self._instance or instance_of(attributes)}
        return resource, identity, target_info(attributes, identity)


def target_info(attributes: Mapping[str, Any], identity: Mapping[str, str]) -> Point | None:
    """The gauge 1 that carries what else is known of the resource; None when there is nothing else."""
    others = {key: value for key, value in attributes.items() if key not in _IDENTIFYING}
    if not others:
        return None
    labels = Labels({**label_set(others), **identity, METRIC_NAME: "target_info"})
    return Point(series=(labels,), values=(1.0,))


def histogram_series(name: str, labels: Mapping[str, str], bounds: Sequence[float]) -> tuple[Labels, ...]:
    """The classic series of a histogram: _count, _sum, then a _bucket for each bound and for +Inf."""
    bucket = Labels({**labels, METRIC_NAME: f"{name}_bucket"})
    return (
        Labels({**labels, METRIC_NAME: f"{name}_count"}),
        Labels({**labels, METRIC_NAME: f"{name}_sum"}),
        *(bucket.with_label("le", bound_label(bound)) for bound in (*bounds, float("inf"))),
    )


def histogram_values(count: float, total: float, bucket_counts: Sequence[int]) -> list[float | Histogram]:
    """The values of ``histogram_series``: buckets are cumulative in Prometheus."""
    return [float(count), float(total), *map(float, accumulate(bucket_counts))]


def finite_bounds(bounds: tuple[float, ...], counts: Sequence[int]) -> tuple[tuple[float, ...], Sequence[int]]:
    """Bounds, and the counts between them, without a bound at infinity: each histogram ends there in Prometheus."""
    if bounds and math.isinf(bounds[-1]) and bounds[-1] > 0:
        return bounds[:-1], [*counts[:-2], counts[-2] + counts[-1]]
    return bounds, counts


_StreamKey = tuple[int, str, str | None, str, str, Kind]


class _Stream:
    """The points of one metric, by attribute set. The SDK hands out the same attributes object each time."""

    def __init__(self, metric: Metric, kind: Kind, identity: dict[str, str]) -> None:
        self.identity = identity
        self._kind = kind
        self._name = metric_name(metric.name, metric.unit or "", kind)
        self._series: dict[int, _Known] = {}
        self._used: dict[int, _Known] = {}

    def forget_unused(self) -> None:
        """Keep what this collection used, so that the cache is never larger than the data."""
        self._series, self._used = self._used, {}

    def points(self, metric: Metric, skipped: Counter[str]) -> Iterator[Point]:
        data = metric.data
        read = _READ.get(_plain_type(data))
        if read is None:
            skipped["unknown type"] += 1
            return
        if not self._name:
            skipped["no valid name"] += len(data.data_points)
            return
        temporality = getattr(data, "aggregation_temporality", AggregationTemporality.CUMULATIVE)
        if temporality != AggregationTemporality.CUMULATIVE:
            skipped["delta"] += len(data.data_points)
            return
        counts_from_start = not isinstance(data, Gauge | ObservedSum) and getattr(data, "is_monotonic", True)
        for point in data.data_points:
            series, values = read(self, point)
            start = point.start_time_unix_nano / 1e9 if counts_from_start and point.start_time_unix_nano else None
            yield Point(series=series, values=values, start=start, kind=self._kind)

    def number(self, point: NumberDataPoint) -> tuple[tuple[Labels, ...], Sequence[float | Histogram]]:
        return self._labels(point.attributes, plain_series, ()), (float(point.value),)

    def explicit(self, point: HistogramDataPoint) -> tuple[tuple[Labels, ...], Sequence[float | Histogram]]:
        bounds, counts = finite_bounds(tuple(point.explicit_bounds), point.bucket_counts)
        values = histogram_values(point.count, point.sum, counts)
        return self._labels(point.attributes, histogram_series, bounds), values

    def exponential(
        self, point: ExponentialHistogramDataPoint
    ) -> tuple[tuple[Labels, ...], Sequence[float | Histogram]]:
        native = native_histogram(point)
        if native is None:
            return self._labels(point.attributes, count_and_sum_series, ()), (float(point.count), float(point.sum))
        return self._labels(point.attributes, native_series, ()), (native.count, native.sum, native)

    def _labels(self, attributes: Any, make: _MakeSeries, bounds: tuple[float, ...]) -> tuple[Labels, ...]:
        key = id(attributes)
        known = self._series.get(key) or self._used.get(key)
        # The attributes are kept beside the series, so their id cannot be another object's meanwhile.
        if known is None or known.attributes is not attributes or known.bounds != bounds or known.make is not make:
            series = make(self._name, {**label_set(attributes), **self.identity}, bounds)
            known = _Known(attributes=attributes, make=make, bounds=bounds, series=series)
        self._used[key] = known
        return known.series


_MakeSeries = Callable[[str, Mapping[str, str], Sequence[float]], tuple[Labels, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    attributes: Any
    make: _MakeSeries
    bounds: tuple[float, ...]
    series: tuple[Labels, ...]


def plain_series(name: str, labels: Mapping[str, str], _bounds: Sequence[float] = ()) -> tuple[Labels, ...]:
    """The one series of a number."""
    return (Labels({**labels, METRIC_NAME: name}),)


def count_and_sum_series(name: str, labels: Mapping[str, str], _bounds: Sequence[float] = ()) -> tuple[Labels, ...]:
    """What a histogram without buckets has: _count, _sum."""
    return histogram_series(name, labels, ())[:2]


def native_series(name: str, labels: Mapping[str, str], _bounds: Sequence[float] = ()) -> tuple[Labels, ...]:
    """The series of an exponential histogram: _count, _sum, and the native one under the name itself."""
    return (*count_and_sum_series(name, labels, ()), *plain_series(name, labels, ()))


_READ: Mapping[type, Callable[[_Stream, Any], tuple[tuple[Labels, ...], Sequence[float | Histogram]]]] = {
    Sum: _Stream.number,
    Gauge: _Stream.number,
    ExplicitHistogram: _Stream.explicit,
    ExponentialHistogram: _Stream.exponential,
}


def _plain_type(data: Any) -> type:
    return Sum if isinstance(data, Sum) else type(data)


def _kind(metric: Metric) -> Kind:
    data = metric.data
    if isinstance(data, Sum):
        return Kind.COUNTER if data.is_monotonic else Kind.UP_DOWN
    return Kind.GAUGE if isinstance(data, Gauge) else Kind.HISTOGRAM


def native_histogram(point: ExponentialHistogramDataPoint) -> Histogram | None:
    """A point, the SDK's or OTLP's, as Prometheus has it; None where the scale is too coarse for that."""
    if point.scale < _COARSEST_SCALE:
        return None
    shift = max(0, point.scale - _FINEST_SCALE)
    while _farthest(point) >> shift > _FARTHEST_BUCKET:
        shift += 1
    if point.scale - shift < _COARSEST_SCALE:
        return None
    return Histogram(
        count=float(point.count),
        sum=float(point.sum),
        scale=point.scale - shift,
        zero_count=float(point.zero_count),
        zero_threshold=getattr(point, "zero_threshold", 0.0),
        positive=_buckets(point.positive, shift),
        negative=_buckets(point.negative, shift),
    )


def _farthest(point: ExponentialHistogramDataPoint) -> int:
    """The greatest distance of a bucket's index from zero."""
    sides = [side for side in (point.positive, point.negative) if side.bucket_counts]
    return max((max(abs(side.offset), abs(side.offset + len(side.bucket_counts))) for side in sides), default=0)


def _buckets(buckets: OTelBuckets, shift: int) -> Buckets:
    """Populated buckets, merged down by ``shift`` scales; Prometheus counts them from one higher."""
    counts = list(buckets.bucket_counts)
    if not shift and 0 not in counts:
        first = buckets.offset + 1
        return Buckets(indices=tuple(range(first, first + len(counts))), counts=tuple(map(float, counts)))
    merged: dict[int, float] = {}
    for index, count in enumerate(counts, buckets.offset):
        if count:
            merged[(index >> shift) + 1] = merged.get((index >> shift) + 1, 0.0) + count
    return Buckets(indices=tuple(merged), counts=tuple(map(float, merged.values())))


def job_of(attributes: Mapping[str, Any]) -> str:
    """The job by a resource: service.namespace/service.name."""
    names = (label_value(attributes.get("service.namespace")), label_value(attributes.get("service.name")))
    return "/".join(name for name in names if name)


def instance_of(attributes: Mapping[str, Any]) -> str:
    """The instance by a resource: what it says to be, else its pod, else its host."""
    return next((text for key in _INSTANCE if (text := label_value(attributes.get(key)))), "")


def _raise(_name: str, error: Exception) -> None:
    raise error
