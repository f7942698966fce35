"""Recordings as OTLP/JSON: an ExportMetricsServiceRequest a line, of the collector's file exporter or `otelmon record`.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding. The JSON is walked by hand: protobuf's own reader
takes a hundred times as long. What it holds goes through the translation that live data go through.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, TypeAlias, cast

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Buckets as OTelBuckets
from opentelemetry.sdk.metrics.export import Histogram as ExplicitHistogram
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otelmon.collect.otlp_json import SHAPES, attributes_from, temporality_of
from otelmon.collect.record import COMPLETE
from otelmon.collect.translate import Translation
from otelmon.labels import Labels
from otelmon.replay.collection import Collection, LineError
from otelmon.sample import STALE, Sample

_Json: TypeAlias = Mapping[str, Any]
_Point = NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint
_Read: TypeAlias = tuple[Metric, list[int]]

_NANOSECONDS = 1_000_000_000
# Instruments of one collection may each be stamped for themselves, moments apart; further apart are two collections.
_MOMENT_NANOSECONDS = _NANOSECONDS // 2
_LEAST_AGE_SECONDS = 0.001
_NO_RECORDED_VALUE = 1
# Attribute sets and sources are kept to be found again; this many at most, so that memory stays bounded.
_MOST_KEPT = 100_000
# A series that was away for so long is a new one when it comes back.
_FORGET_SECONDS = 3600.0
_UNKNOWN = cast("float", None)


class OtlpReader:
    """Reads one line after the other. ``skipped`` counts points that have no meaning for rules, by reason."""

    def __init__(self) -> None:
        self.skipped: Counter[str] = Counter()
        self._sources: dict[str, _Source] = {}
        self._attributes: dict[str, dict[str, Any]] = {}
        self._scopes: dict[tuple[str, str], InstrumentationScope] = {}

    def read(self, line: str | bytes) -> list[Collection]:
        """The collections of a line, in the order of their time. Raises LineError."""
        try:
            request = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise LineError(f"no JSON: {error}") from error
        if not isinstance(request, dict) or not isinstance(request.get("resourceMetrics", []), list):
            raise LineError('an object with "resourceMetrics" is expected, as the file exporter writes it')
        if "resourceMetrics" not in request and request:
            raise LineError(f'no "resourceMetrics", but {", ".join(sorted(request)[:3])}: no metrics')
        complete = request.get(COMPLETE) is True
        found: list[Collection] = []
        for resource_metrics in request.get("resourceMetrics", ()):
            found += self._resource(resource_metrics, complete=complete)
        return sorted(found, key=lambda collection: collection.at)

    def _resource(self, written: _Json, *, complete: bool) -> Iterator[Collection]:
        try:
            described = written.get("resource", {}).get("attributes", [])
            source = self._source(described)
            scopes = [
                (self._scope(scope.get("scope", {})), [self._metric(metric) for metric in scope.get("metrics", ())])
                for scope in written.get("scopeMetrics", ())
            ]
        except SHAPES as error:
            raise LineError(_said(error)) from error
        times = [time for _, metrics in scopes for _, stamps in metrics for time in stamps]
        moments = list(_moments(times))
        for low, high in moments:
            within = scopes if len(moments) == 1 else _within(scopes, low, high)
            data = ResourceMetrics(
                resource=source.resource,
                scope_metrics=[
                    ScopeMetrics(scope=scope, metrics=[metric for metric, _ in metrics], schema_url="")
                    for scope, metrics in within
                ],
                schema_url="",
            )
            yield source.collection(MetricsData(resource_metrics=[data]), at=high / _NANOSECONDS, complete=complete)

    def _source(self, described: Any) -> _Source:
        key = repr(described)
        source = self._sources.get(key)
        if source is None:
            if len(self._sources) >= _MOST_KEPT:
                self._sources.clear()
            source = self._sources[key] = _Source(Resource(attributes_from(described)), self.skipped)
        return source

    def _scope(self, written: _Json) -> InstrumentationScope:
        key = str(written.get("name", "")), str(written.get("version", ""))
        return self._scopes.setdefault(key, InstrumentationScope(*key))

    def _metric(self, written: _Json) -> _Read:
        name = written.get("name")
        if not isinstance(name, str):
            raise LineError("a metric without a name")
        try:
            return self._read_metric(name, written)
        except SHAPES as error:
            raise LineError(f"metric {name}: {_said(error)}") from error

    def _read_metric(self, name: str, written: _Json) -> _Read:
        data: Any
        times: list[int] = []
        if "gauge" in written:
            data = Gauge(data_points=self._points(written["gauge"], _number, times))
        elif "sum" in written:
            kind = written["sum"]
            data = Sum(
                data_points=self._points(kind, _number, times),
                aggregation_temporality=_temporality(kind),
                is_monotonic=bool(kind.get("isMonotonic", False)),
            )
        elif "histogram" in written:
            kind = written["histogram"]
            data = ExplicitHistogram(
                data_points=self._points(kind, _explicit, times), aggregation_temporality=_temporality(kind)
            )
        elif "exponentialHistogram" in written:
            kind = written["exponentialHistogram"]
            data = ExponentialHistogram(
                data_points=self._points(kind, _exponential, times), aggregation_temporality=_temporality(kind)
            )
        else:
            summary = written.get("summary", {}).get("dataPoints", ())
            self.skipped["summaries, which rules cannot use"] += len(summary)
            data = Gauge(data_points=[])
        return Metric(name=name, description="", unit=str(written.get("unit", "")), data=data), times

    def _points(self, kind: _Json, read: Any, times: list[int]) -> list[Any]:
        points = []
        for point in kind.get("dataPoints", ()):
            if int(point.get("flags", 0)) & _NO_RECORDED_VALUE:
                self.skipped["points without a value"] += 1
                continue
            at = int(point["timeUnixNano"])
            points.append(read(point, self._labels(point.get("attributes", ())), at))
            times.append(at)
        return points

    def _labels(self, written: Sequence[_Json]) -> dict[str, Any]:
        """The attributes, the same object for the same attributes: the translation knows them by it."""
        key = repr(written)
        found = self._attributes.get(key)
        if found is None:
            if len(self._attributes) >= _MOST_KEPT:
                self._attributes.clear()
            found = self._attributes[key] = attributes_from(written)
        return found


class _Source:
    """What one resource sent, line after line."""

    def __init__(self, resource: Resource, skipped: Counter[str]) -> None:
        self.resource = resource
        self._translation = Translation()
        self._translation.skipped = skipped
        # By the first series of a point: when it was last there, and with which series.
        self._seen: dict[Labels, tuple[float, tuple[Labels, ...]]] = {}
        self._at = self._before = float("-inf")

    def collection(self, data: MetricsData, *, at: float, complete: bool) -> Collection:
        """The samples of one instant.

        As in the collector of live data: a series that the collection before did not have was zero then at the
        latest, or at its start; and where all that there is is in a line, what is not in it has ended.
        """
        if at > self._at:
            self._before, self._at = self._at, at
        samples: list[Sample] = []
        taken: set[Labels] = set()
        for point in self._translation.points(data, on_error=_refuse):
            identity, start = point.series[0], point.start
            known = self._seen.get(identity)
            # The second form of a histogram comes under the same identity, at the same instant.
            first = known is None or known[0] == at
            if start is not None and first:
                start = min(max(start, self._before), at - _LEAST_AGE_SECONDS)
            series = point.series if known is None or known[0] < at else (*known[1], *point.series)
            self._seen[identity] = at, series
            for labels, value in zip(point.series, point.values, strict=True):
                if labels not in taken:
                    taken.add(labels)
                    samples.append(Sample(labels=labels, at=at, value=value, start_at=start))
        samples += self._ended(at, taken, complete=complete)
        return Collection(at=at, samples=samples, complete=complete)

    def _ended(self, at: float, taken: set[Labels], *, complete: bool) -> Iterator[Sample]:
        oldest = at if complete else at - _FORGET_SECONDS
        if not complete and len(self._seen) < _MOST_KEPT:
            return
        for identity in [identity for identity, (seen, _) in self._seen.items() if seen < oldest]:
            for labels in self._seen.pop(identity)[1]:
                if complete and labels not in taken:
                    yield Sample(labels=labels, at=at, value=STALE)


def _said(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"a point has no {error.args[0]}"
    return f"it is not as OTLP has it ({error})"


def _refuse(name: str, error: Exception) -> None:
    raise LineError(f"metric {name}: {_said(error)}") from error


def _moments(times: Iterable[int]) -> Iterator[tuple[int, int]]:
    """The instants in order, those that are moments apart as one: the first and the last of each."""
    ordered = sorted(set(times))
    begin = 0
    for index, (earlier, later) in enumerate(pairwise(ordered), 1):
        if later - earlier > _MOMENT_NANOSECONDS:
            yield ordered[begin], ordered[index - 1]
            begin = index
    if ordered:
        yield ordered[begin], ordered[-1]


def _within(
    scopes: Iterable[tuple[InstrumentationScope, list[_Read]]], low: int, high: int
) -> Iterator[tuple[InstrumentationScope, list[_Read]]]:
    """The points between two instants."""
    for scope, metrics in scopes:
        chosen = []
        for metric, times in metrics:
            if all(low <= time <= high for time in times):
                chosen.append((metric, times))
                continue
            points = [point for point, time in zip(metric.data.data_points, times, strict=True) if low <= time <= high]
            chosen.append((replace(metric, data=replace(cast("Any", metric.data), data_points=points)), times))
        yield scope, chosen


def _temporality(kind: _Json) -> AggregationTemporality:
    cumulative = temporality_of(kind) == AggregationTemporality.CUMULATIVE.value
    return AggregationTemporality.CUMULATIVE if cumulative else AggregationTemporality.DELTA


def _number(point: _Json, attributes: dict[str, Any], at: int) -> NumberDataPoint:
    value = point.get("asDouble")
    return NumberDataPoint(
        attributes=attributes,
        start_time_unix_nano=int(point.get("startTimeUnixNano", 0)),
        time_unix_nano=at,
        value=int(point["asInt"]) if value is None else float(value),
    )


def _explicit(point: _Json, attributes: dict[str, Any], at: int) -> HistogramDataPoint:
    counts = [int(count) for count in point.get("bucketCounts", ())]
    bounds = [float(bound) for bound in point.get("explicitBounds", ())]
    if counts and len(counts) != len(bounds) + 1:
        raise ValueError(f"{len(counts)} bucketCounts for {len(bounds)} explicitBounds")
    return HistogramDataPoint(
        attributes=attributes,
        start_time_unix_nano=int(point.get("startTimeUnixNano", 0)),
        time_unix_nano=at,
        count=int(point.get("count", 0)),
        sum=float(point.get("sum", 0.0)),
        bucket_counts=counts or [int(point.get("count", 0))],
        explicit_bounds=bounds,
        min=_UNKNOWN,
        max=_UNKNOWN,
    )


def _exponential(point: _Json, attributes: dict[str, Any], at: int) -> ExponentialHistogramDataPoint:
    return ExponentialHistogramDataPoint(
        attributes=attributes,
        start_time_unix_nano=int(point.get("startTimeUnixNano", 0)),
        time_unix_nano=at,
        count=int(point.get("count", 0)),
        sum=float(point.get("sum", 0.0)),
        scale=int(point.get("scale", 0)),
        zero_count=int(point.get("zeroCount", 0)),
        positive=_buckets(point.get("positive", {})),
        negative=_buckets(point.get("negative", {})),
        flags=0,
        min=_UNKNOWN,
        max=_UNKNOWN,
    )


def _buckets(written: _Json) -> OTelBuckets:
    counts = [int(count) for count in written.get("bucketCounts", ())]
    return OTelBuckets(offset=int(written.get("offset", 0)), bucket_counts=counts)
