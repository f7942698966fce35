"""One collection as a line of OTLP/JSON: an ExportMetricsServiceRequest, as the collector's file exporter writes it.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding: camelCase keys, 64-bit integers as texts, enumerations
as numbers. Requests are there in both forms, with explicit buckets and with exponential ones at the recorder's own
resolution, so that rules find in a recording what they find in the window. ``completeCollection`` is ours (who reads
OTLP passes over a key that it does not know): the line is all that was measured at its instant, so that a series that
is not in it has ended.
"""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from opentelemetry.sdk.metrics.export import Buckets as OTelBuckets
from opentelemetry.sdk.metrics.export import (
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    Sum,
)
from opentelemetry.sdk.metrics.export import Histogram as ExplicitHistogram
from opentelemetry.sdk.resources import Resource

from otelmon.collect.pace import Pace
from otelmon.collect.reader import ObservedSum
from otelmon.collect.requests import request_metrics
from otelmon.instrument.model import RequestSnapshot

COMPLETE = "completeCollection"

_CUMULATIVE = 2
# No recording is merged down to what exporters may send.
_ANY_NUMBER = 1_000_000
_SCOPE = "otelmon.instrument.requests"
_IDENTITY = frozenset({"service.name", "service.namespace", "service.instance.id"})
_Point = NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint


def recording_line(
    data: MetricsData | None,
    snapshot: RequestSnapshot | None,
    *,
    at: float,
    resource: Resource,
    job: str,
    instance: str,
) -> str:
    """What one collection measured, every point stamped ``at`` (unix seconds). It has no line end.

    The resource says ``job`` as service.name and ``instance`` as service.instance.id, by which rules know the series.
    """
    # Piece by piece: the whole of it at once would hold up the application's threads for as long as it takes.
    pace = Pace()
    metrics = () if snapshot is None else _requests(snapshot, at)
    ours = [_scope(_SCOPE, "", metrics, at, pace)] if metrics else []
    identity = {"service.name": job, "service.instance.id": instance}
    written = []
    for number, each in enumerate([] if data is None else data.resource_metrics):
        scopes = ours if number == 0 else []
        for found in each.scope_metrics:
            scopes.append(_scope(found.scope.name, found.scope.version or "", found.metrics, at, pace))
        written.append(_resource(each.resource, identity, scopes))
    if not written:
        written.append(_resource(resource, identity, ours))
    return f'{{"resourceMetrics":[{",".join(written)}],"{COMPLETE}":true}}'


def nanoseconds(at: float) -> int:
    """The whole nanoseconds nearest to an instant: divided by 10**9, as integers, they give the same float."""
    numerator, denominator = at.as_integer_ratio()
    return (numerator * 1_000_000_000 + denominator // 2) // denominator


def _requests(snapshot: RequestSnapshot, at: float) -> Sequence[Metric]:
    explicit = request_metrics(snapshot, at=at, exponential=False)
    exponential = request_metrics(snapshot, at=at, exponential=True, most_buckets=_ANY_NUMBER)
    return [*explicit, *(metric for metric in exponential if isinstance(metric.data, ExponentialHistogram))]


def _resource(resource: Resource, identity: Mapping[str, str], scopes: Sequence[str]) -> str:
    others = {name: value for name, value in resource.attributes.items() if name not in _IDENTITY}
    described = _dumped({"attributes": _attributes({**others, **identity})})
    return f'{{"resource":{described},"scopeMetrics":[{",".join(scopes)}]}}'


def _scope(name: str, version: str, metrics: Iterable[Metric], at: float, pace: Pace) -> str:
    written = ",".join([_metric(metric, at, pace) for metric in metrics])
    return f'{{"scope":{_dumped({"name": name, "version": version})},"metrics":[{written}]}}'


def _metric(metric: Metric, at: float, pace: Pace) -> str:
    data = metric.data
    points = ",".join(_points(data.data_points, str(nanoseconds(at)), pace, started=not isinstance(data, ObservedSum)))
    about: dict[str, Any] = {}
    if not isinstance(data, Gauge):
        about["aggregationTemporality"] = int(getattr(data, "aggregation_temporality", _CUMULATIVE))
    if isinstance(data, Sum):
        about["isMonotonic"] = data.is_monotonic
    head = _dumped({"name": metric.name, "unit": metric.unit or ""})[:-1]
    rest = f",{_dumped(about)[1:-1]}" if about else ""
    return f'{head},"{_kind(data)}":{{"dataPoints":[{points}]{rest}}}}}'


def _dumped(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _kind(data: object) -> str:
    if isinstance(data, Sum):
        return "sum"
    if isinstance(data, Gauge):
        return "gauge"
    return "histogram" if isinstance(data, ExplicitHistogram) else "exponentialHistogram"


def _points(points: Iterable[_Point], stamp: str, pace: Pace, *, started: bool) -> Iterator[str]:
    for point in points:
        written: dict[str, Any] = {"attributes": _attributes(point.attributes or {}), "timeUnixNano": stamp}
        if started and point.start_time_unix_nano:
            written["startTimeUnixNano"] = str(point.start_time_unix_nano)
        if isinstance(point, NumberDataPoint):
            if isinstance(point.value, int):
                written["asInt"] = str(point.value)
            else:
                written["asDouble"] = _double(point.value)
        else:
            written |= {"count": str(point.count), "sum": _double(point.sum)}
            if isinstance(point, HistogramDataPoint):
                written["bucketCounts"] = [str(count) for count in point.bucket_counts]
                written["explicitBounds"] = [_double(bound) for bound in point.explicit_bounds]
            else:
                written |= {"scale": point.scale, "zeroCount": str(point.zero_count)}
                written |= {"positive": _buckets(point.positive), "negative": _buckets(point.negative)}
        yield _dumped(written)
        pace.rest()


def _buckets(buckets: OTelBuckets) -> dict[str, Any]:
    return {"offset": buckets.offset, "bucketCounts": [str(count) for count in buckets.bucket_counts]}


def _double(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _attributes(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": _double(value)}
    if isinstance(value, bytes):
        return {"bytesValue": b64encode(value).decode("ascii")}
    if isinstance(value, Mapping):
        return {"kvlistValue": {"values": _attributes(value)}}
    if isinstance(value, Sequence):
        return {"arrayValue": {"values": [_value(inner) for inner in value]}}
    return {} if value is None else {"stringValue": str(value)}
