"""OTLP/JSON, walked by hand: protobuf's own reader takes a hundred times as long.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding: camelCase keys, 64-bit integers as texts,
enumerations as numbers, bytes as base64.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    SummaryDataPoint,
)

from otelmon.collect.batch import Batch, signed
from otelmon.collect.limits import IngestLimits, MalformedError
from otelmon.collect.senders import TOO_WIDE, Form, MetricKind, Sender, Senders, Stream

_Json: TypeAlias = Mapping[str, Any]
SHAPES = (KeyError, TypeError, ValueError, AttributeError, OverflowError)
"""What reading raises where something is not of the kind that OTLP has there."""
_TEMPORALITY = {"AGGREGATION_TEMPORALITY_DELTA": 1, "AGGREGATION_TEMPORALITY_CUMULATIVE": 2}
_NO_RECORDED_VALUE = 1


def attributes_from(written: Iterable[_Json]) -> dict[str, Any]:
    """Attributes by their keys. Raises one of SHAPES."""
    return {entry["key"]: _value(entry.get("value", {})) for entry in written}


def _value(written: _Json) -> Any:
    for kind, value in written.items():
        if kind == "intValue":
            return int(value)
        if kind == "doubleValue":
            return float(value)
        if kind == "bytesValue":
            return b64decode(value)
        if kind == "arrayValue":
            return [_value(inner) for inner in value.get("values", ())]
        if kind == "kvlistValue":
            return attributes_from(value.get("values", ()))
        return value
    return None


def temporality_of(kind: _Json) -> int:
    """The AggregationTemporality, 0 where there is none that is known."""
    written = kind.get("aggregationTemporality", 0)
    return _TEMPORALITY.get(written, 0) if isinstance(written, str) and not written.isdecimal() else int(written)


class JsonReader:
    """Reads requests into batches."""

    def __init__(self, limits: IngestLimits, senders: Senders) -> None:
        self._limits = limits
        self._senders = senders

    def read(self, request: bytes, batch: Batch, *, tenant: str) -> None:
        """Read all of it. Raises MalformedError."""
        try:
            written = json.loads(request)
            for resource in written.get("resourceMetrics", ()):
                self._resource(resource, batch, tenant)
        except MalformedError:
            raise
        except (*SHAPES, RecursionError) as error:
            raise MalformedError("the body is no ExportMetricsServiceRequest in JSON") from error

    def _resource(self, written: _Json, batch: Batch, tenant: str) -> None:
        described = written.get("resource", {}).get("attributes", [])
        key = repr(described)
        # As JSON it takes more room than in protobuf.
        sender = self._senders.find(key, len(key) // _AS_JSON, partial(_checked, described), tenant=tenant)
        batch.heard(sender)
        for scope in written.get("scopeMetrics", ()):
            for metric in scope.get("metrics", ()):
                self._metric(metric, sender, batch)

    def _metric(self, written: _Json, sender: Sender | int, batch: Batch) -> None:
        form = next((form for form in Form if form.value in written), None)
        if form is None:
            return
        data = written[form.value]
        points: Sequence[_Json] = data.get("dataPoints", ())
        if not batch.has_room(len(points), form):
            return
        if isinstance(sender, int):
            batch.refuse(sender, None, len(points))
            return
        name, unit = str(written.get("name", "")), str(written.get("unit", ""))
        what = MetricKind(form, temporality_of(data), bool(data.get("isMonotonic", False)))
        stream = sender.streams.get((name, unit, what))
        if stream is None:
            stream = self._senders.stream(sender, (name, unit, what), name, unit, what)
        if stream is None:
            batch.no_stream(len(points))
            return
        for point in points:
            self._point(point, stream, batch)

    def _point(self, written: _Json, stream: Stream, batch: Batch) -> None:
        described = written.get("attributes", [])
        key = repr(described)
        if len(key) > self._limits.attribute_bytes * _AS_JSON:
            batch.refuse(TOO_WIDE, stream.sender)
            return
        read = partial(_checked, described)
        at = signed(int(written.get("timeUnixNano", 0)))
        stream.came(at)
        if int(written.get("flags", 0)) & _NO_RECORDED_VALUE:
            batch.ended(stream, key, at=at)
        elif stream.form in {Form.GAUGE, Form.SUM}:
            start = signed(int(written.get("startTimeUnixNano", 0)))
            if "asDouble" in written:
                batch.number(stream, key, read, start=start, at=at, value=float(written["asDouble"]))
            elif "asInt" in written:
                batch.number(stream, key, read, start=start, at=at, value=float(int(written["asInt"])))
            else:
                batch.without_value()
        else:
            batch.histogram(stream, key, read, _READ[stream.form](written))


# Attributes take more room in JSON than in protobuf.
_AS_JSON = 4


def _checked(written: Iterable[_Json]) -> dict[str, Any]:
    attributes = attributes_from(written)
    if not all(isinstance(key, str) for key in attributes):
        raise MalformedError("the key of an attribute is no text")
    return attributes


def _common(written: _Json) -> dict[str, Any]:
    known: dict[str, Any] = {
        "start_time_unix_nano": int(written.get("startTimeUnixNano", 0)),
        "time_unix_nano": int(written.get("timeUnixNano", 0)),
        "count": int(written.get("count", 0)),
    }
    if written.get("sum") is not None:
        known["sum"] = float(written["sum"])
    return known


def _explicit(written: _Json) -> HistogramDataPoint:
    return HistogramDataPoint(
        **_common(written),
        bucket_counts=[int(count) for count in written.get("bucketCounts", ())],
        explicit_bounds=[float(bound) for bound in written.get("explicitBounds", ())],
    )


def _exponential(written: _Json) -> ExponentialHistogramDataPoint:
    return ExponentialHistogramDataPoint(
        **_common(written),
        scale=int(written.get("scale", 0)),
        zero_count=int(written.get("zeroCount", 0)),
        zero_threshold=float(written.get("zeroThreshold", 0.0)),
        positive=_buckets(written.get("positive", {})),
        negative=_buckets(written.get("negative", {})),
    )


def _buckets(written: _Json) -> ExponentialHistogramDataPoint.Buckets:
    counts = [int(count) for count in written.get("bucketCounts", ())]
    return ExponentialHistogramDataPoint.Buckets(offset=int(written.get("offset", 0)), bucket_counts=counts)


def _summary(written: _Json) -> SummaryDataPoint:
    quantiles = [
        SummaryDataPoint.ValueAtQuantile(quantile=float(each.get("quantile", 0)), value=float(each.get("value", 0)))
        for each in written.get("quantileValues", ())
    ]
    return SummaryDataPoint(**_common(written), quantile_values=quantiles)


_READ = {Form.EXPLICIT: _explicit, Form.EXPONENTIAL: _exponential, Form.SUMMARY: _summary}
