"""OTLP/JSON, walked by hand: protobuf's own reader takes a hundred times as long.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding: camelCase keys, 64-bit integers as texts,
enumerations as numbers, bytes as base64, null for what is not there; what is unknown is passed over. As the collector
does, the fields' names in the .proto files are taken too: better than an answer of "well taken" to what nobody read.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterable, Mapping, Sequence
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


# A key as .proto files have it. In an attribute's key it is a value of the JSON, with no colon after it.
_SNAKE = re.compile(rb'_[a-z]+"\s*:')
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def attributes_from(written: Iterable[_Json] | None) -> dict[str, Any]:
    """Attributes by their keys. Raises one of SHAPES."""
    return {entry.get("key") or "": _value(entry.get("value")) for entry in written or ()}


def _value(written: _Json | None) -> Any:
    for kind, value in (written or {}).items():
        read = _VALUES.get(kind)
        if read is not None and value is not None:
            return read(value)
    return None


def _text(written: Any) -> str:
    if not isinstance(written, str):
        raise TypeError
    # JavaScript cuts texts within a character; no other language's strings can hold what is left then.
    return written if written.isascii() else _LONE_SURROGATE.sub("\ufffd", written)


def _truth(written: Any) -> bool:
    if not isinstance(written, bool):
        raise TypeError
    return written


def _bytes(written: Any) -> bytes:
    text = _text(written).replace("+", "-").replace("/", "_")
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


_VALUES: Mapping[str, Callable[[Any], Any]] = {
    "stringValue": _text,
    "boolValue": _truth,
    "intValue": int,
    "doubleValue": float,
    "bytesValue": _bytes,
    "arrayValue": lambda written: [_value(inner) for inner in written.get("values") or ()],
    "kvlistValue": lambda written: attributes_from(written.get("values")),
}


def temporality_of(kind: _Json) -> int:
    """The AggregationTemporality, 0 where there is none that is known."""
    written = kind.get("aggregationTemporality") or 0
    return _TEMPORALITY.get(written, 0) if isinstance(written, str) and not written.isdecimal() else int(written)


def _camel(written: Any) -> Any:
    """The same with every key in camelCase."""
    if isinstance(written, list):
        return [_camel(each) for each in written]
    if isinstance(written, dict):
        return {_camel_key(key): _camel(each) for key, each in written.items()}
    return written


def _camel_key(key: str) -> str:
    first, *rest = key.split("_")
    return first + "".join(word.capitalize() for word in rest)


class JsonReader:
    """Reads requests into batches."""

    def __init__(self, limits: IngestLimits, senders: Senders) -> None:
        self._limits = limits
        self._senders = senders

    def read(self, request: bytes, batch: Batch, *, tenant: str) -> None:
        """Read all of it. Raises MalformedError."""
        try:
            written = json.loads(request)
            if _SNAKE.search(request):
                written = _camel(written)
            for resource in written.get("resourceMetrics") or ():
                self._resource(resource, batch, tenant)
        except MalformedError:
            raise
        except (*SHAPES, RecursionError) as error:
            raise MalformedError("the body is no ExportMetricsServiceRequest in JSON") from error

    def _resource(self, written: _Json, batch: Batch, tenant: str) -> None:
        described = (written.get("resource") or {}).get("attributes") or []
        key = repr(described)
        # As JSON it takes more room than in protobuf.
        sender = self._senders.find(key, len(key) // _AS_JSON, partial(_checked, described), tenant=tenant)
        batch.heard(sender)
        for scope in written.get("scopeMetrics") or ():
            for metric in scope.get("metrics") or ():
                self._metric(metric, sender, batch)

    def _metric(self, written: _Json, sender: Sender | int, batch: Batch) -> None:
        form = next((form for form in Form if written.get(form.value) is not None), None)
        if form is None:
            return
        data = written[form.value]
        points: Sequence[_Json] = data.get("dataPoints") or ()
        if not batch.has_room(len(points), form) or not points:
            return
        if isinstance(sender, int):
            batch.refuse(sender, None, len(points))
            return
        name, unit = _text(written.get("name") or ""), _text(written.get("unit") or "")
        what = MetricKind(form, temporality_of(data), _truth(data.get("isMonotonic") or False))
        stream = sender.streams.get((name, unit, what))
        if stream is None:
            stream = self._senders.stream(sender, (name, unit, what), name, unit, what)
        if stream is None:
            batch.no_stream(len(points))
            return
        for point in points:
            self._point(point, stream, batch)

    def _point(self, written: _Json, stream: Stream, batch: Batch) -> None:
        described = written.get("attributes") or []
        key = repr(described)
        if len(key) > self._limits.attribute_bytes * _AS_JSON:
            batch.refuse(TOO_WIDE, stream.sender)
            return
        read = partial(_checked, described)
        at = signed(int(written.get("timeUnixNano") or 0))
        batch.came(stream, at)
        if int(written.get("flags") or 0) & _NO_RECORDED_VALUE:
            batch.ended(stream, key, at=at)
        elif stream.form in {Form.GAUGE, Form.SUM}:
            start = signed(int(written.get("startTimeUnixNano") or 0))
            if written.get("asDouble") is not None:
                batch.number(stream, key, read, start=start, at=at, value=float(written["asDouble"]))
            elif written.get("asInt") is not None:
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
        "start_time_unix_nano": int(written.get("startTimeUnixNano") or 0),
        "time_unix_nano": int(written.get("timeUnixNano") or 0),
        "count": int(written.get("count") or 0),
    }
    if written.get("sum") is not None:
        known["sum"] = float(written["sum"])
    return known


def _explicit(written: _Json) -> HistogramDataPoint:
    return HistogramDataPoint(
        **_common(written),
        bucket_counts=[int(count) for count in written.get("bucketCounts") or ()],
        explicit_bounds=[float(bound) for bound in written.get("explicitBounds") or ()],
    )


def _exponential(written: _Json) -> ExponentialHistogramDataPoint:
    return ExponentialHistogramDataPoint(
        **_common(written),
        scale=int(written.get("scale") or 0),
        zero_count=int(written.get("zeroCount") or 0),
        zero_threshold=float(written.get("zeroThreshold") or 0.0),
        positive=_buckets(written.get("positive") or {}),
        negative=_buckets(written.get("negative") or {}),
    )


def _buckets(written: _Json) -> ExponentialHistogramDataPoint.Buckets:
    counts = [int(count) for count in written.get("bucketCounts") or ()]
    return ExponentialHistogramDataPoint.Buckets(offset=int(written.get("offset") or 0), bucket_counts=counts)


def _summary(written: _Json) -> SummaryDataPoint:
    quantiles = [
        SummaryDataPoint.ValueAtQuantile(quantile=float(each.get("quantile") or 0), value=float(each.get("value") or 0))
        for each in written.get("quantileValues") or ()
    ]
    return SummaryDataPoint(**_common(written), quantile_values=quantiles)


_READ = {Form.EXPLICIT: _explicit, Form.EXPONENTIAL: _exponential, Form.SUMMARY: _summary}
