"""What is sent by somebody who means no good or knows no better, and what the answer to it has to be."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import grpc
import zstandard
from google.protobuf.message import DecodeError
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics.export import Histogram, HistogramDataPoint, Metric

from otelmon.collect.otlp import Signal
from otelmon.server.forward.messages import request_type
from tests.collect.making import START, data_of
from tests.collect.sending import CUMULATIVE, SHOP, as_json, counter, encoded, gauge, nanoseconds, number

AT = START + 10
TOKEN = "0123456789abcdef"
_TYPES = {
    "application/x-protobuf": False,
    "application/json": True,
    "Application/JSON ; charset=utf-8": True,
    "text/plain": None,
    "": None,
    "application/json;;;": True,
    "application/x-protobufs": None,
}
_COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "identity": bytes,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}
_SERVICES = {
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}


def _metrics() -> bytes:
    point = HistogramDataPoint(
        attributes={"k": (1, 2)},
        start_time_unix_nano=nanoseconds(START),
        time_unix_nano=nanoseconds(AT),
        count=3,
        sum=1.5,
        bucket_counts=(1, 2),
        explicit_bounds=(0.5,),
        min=0.0,
        max=1.0,
    )
    took = Metric("took", "", "s", Histogram(data_points=[point], aggregation_temporality=CUMULATIVE))
    orders = counter(number(3, AT, kind="a"), number(4.5, AT, kind="b"))
    request = ExportMetricsServiceRequest.FromString(
        encoded(data_of(orders, gauge(number(1, AT)), took, resource=SHOP))
    )
    metric = request.resource_metrics[0].scope_metrics[0].metrics.add(name="exact")
    metric.exponential_histogram.aggregation_temporality = 1
    exact = metric.exponential_histogram.data_points.add(time_unix_nano=nanoseconds(AT), count=2, scale=3)
    exact.positive.bucket_counts.extend([1, 1])
    return request.SerializeToString()


def _traces() -> bytes:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    span = scope.spans.add(trace_id=bytes(16), span_id=bytes(8), name="GET /", start_time_unix_nano=1)
    span.attributes.add(key="k").value.int_value = 3
    span.events.add(name="e")
    return request.SerializeToString()


def _logs() -> bytes:
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(severity_text="INFO")
    record.body.kvlist_value.values.add(key="k").value.string_value = "v"
    return request.SerializeToString()


WHOLE = {Signal.METRICS: _metrics(), Signal.TRACES: _traces(), Signal.LOGS: _logs()}
JSON = as_json(WHOLE[Signal.METRICS])


@st.composite
def spoiled(draw: st.DrawFn, whole: bytes, most: int = 4) -> bytes:
    """A request of which some bytes are others, are gone, or are there twice."""
    body = bytearray(whole)
    for _ in range(draw(st.integers(1, most))):
        at = draw(st.integers(0, len(body)))
        size = draw(st.integers(0, 9))
        replacement = draw(st.one_of(st.binary(max_size=9), st.just(bytes(body[at : at + size]) * 2)))
        body[at : at + size] = replacement
    return bytes(body)


KEYS = (
    *(
        "resourceMetrics",
        "scopeMetrics",
        "metrics",
        "resource",
        "attributes",
        "key",
        "value",
        "stringValue",
        "intValue",
    ),
    *("arrayValue", "values", "kvlistValue", "bytesValue", "name", "unit", "gauge", "sum", "histogram", "dataPoints"),
    *("exponentialHistogram", "summary", "asInt", "asDouble", "timeUnixNano", "startTimeUnixNano", "flags", "count"),
    *("bucketCounts", "explicitBounds", "scale", "positive", "offset", "quantileValues", "aggregationTemporality"),
    *("resourceSpans", "scopeSpans", "spans", "traceId", "spanId", "resourceLogs", "scopeLogs", "logRecords", "body"),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["NaN", "1", "-1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=20,
)
json_bodies = spoiled(JSON) | json_values.map(lambda value: json.dumps({"resourceMetrics": [value]}).encode())


def bodies(signal: Signal) -> st.SearchStrategy[bytes]:
    """Bodies for a signal: whole, spoiled, another signal's, anything."""
    whole = st.sampled_from([WHOLE[signal], *WHOLE.values()])
    return st.one_of(whole, spoiled(WHOLE[signal]), st.binary(max_size=200))


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A request over HTTP, and the statuses that are right for it."""

    path: str
    headers: dict[str, str]
    body: bytes
    right: frozenset[int]


@st.composite
def http_requests(draw: st.DrawFn, *, guarded: bool) -> HttpRequest:
    """Requests that are wrong in at most two ways or so."""
    signal = draw(st.sampled_from(Signal))
    path = draw(st.sampled_from([signal.path] * 4 + ["/", f"{signal.path}/", "/v1/profiles"]))
    content = draw(st.sampled_from(["application/x-protobuf"] * 5 + ["application/json"] * 3 + list(_TYPES)))
    encoding = draw(st.sampled_from([*_COMPRESS, *_COMPRESS, "br", "gzip, gzip"]))
    token = draw(st.sampled_from([TOKEN] * 4 + ["", TOKEN[:-1], f"{TOKEN}0"]))
    body = draw(json_bodies if _TYPES[content] else bodies(signal))
    compressed = draw(st.sampled_from([True, True, True, False]))
    sent = _COMPRESS.get(encoding, bytes)(body) if compressed else body
    if compressed and draw(st.sampled_from([False] * 5 + [True])):
        sent = draw(spoiled(sent, most=1))
        compressed = False
    said = f"Bearer {token}".strip()
    headers = {"content-type": content, "content-encoding": encoding, "authorization": said}
    return HttpRequest(
        path=path,
        headers={name: value for name, value in headers.items() if value},
        body=sent,
        right=_right(path, content, encoding, body if compressed else None, wrong=guarded and token != TOKEN),
    )


def _right(path: str, content: str, encoding: str, body: bytes | None, *, wrong: bool) -> frozenset[int]:
    signal = next((each for each in Signal if each.path == path), None)
    if signal is None:
        return frozenset({404})
    if wrong:
        return frozenset({401})
    in_json = _TYPES[content]
    if in_json is None or encoding not in _COMPRESS:
        return frozenset({415})
    if body is None or in_json:
        return frozenset({200, 400})
    return _RIGHT[is_right(signal, body)]


def is_right(signal: Signal, body: bytes) -> bool | None:
    """Whether protobuf reads it; None where it may be refused or taken.

    Metrics are read as far as they are evaluated, so what protobuf refuses elsewhere in them may be taken; and groups,
    which OTLP has never had, are refused.
    """
    try:
        request_type(signal).FromString(body)
    except DecodeError:
        return None if signal is Signal.METRICS else False
    return None if signal is Signal.METRICS and _has_groups(body) else True


def _has_groups(body: bytes) -> bool:
    # Some byte that could be the key of one.
    return any(byte & 7 in {3, 4} for byte in body) and body not in WHOLE.values()


_RIGHT = {True: frozenset({200}), False: frozenset({400}), None: frozenset({200, 400})}
_RIGHT_CODES = {
    True: frozenset({grpc.StatusCode.OK}),
    False: frozenset({grpc.StatusCode.INVALID_ARGUMENT}),
    None: frozenset({grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT}),
}
_REFUSED = frozenset(grpc.StatusCode) - {grpc.StatusCode.OK} | {None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call over gRPC: its message, the head of which may say what is not so; and the codes that are right."""

    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    compressed: int
    length: int | None
    right: frozenset[grpc.StatusCode | None]


@st.composite
def calls(draw: st.DrawFn, *, guarded: bool) -> Call:
    """Calls that are wrong in at most two ways or so."""
    signal = draw(st.sampled_from(Signal))
    path = draw(st.sampled_from([_SERVICES[signal]] * 5 + ["/", "/x/Export", f"{_SERVICES[signal]}s"]))
    token = draw(st.sampled_from([TOKEN] * 4 + ["", TOKEN[:-1]]))
    body = draw(bodies(signal))
    encoding = draw(st.sampled_from(["", "", "gzip", "gzip", "deflate", "deflate", "identity", "zstd", "x"]))
    usual = [1, 1, 1, 0, 2] if encoding in {"gzip", "deflate"} else [0, 0, 0, 0, 1, 255]
    compressed = draw(st.sampled_from(usual))
    length = draw(st.one_of(*[st.none()] * 5, st.integers(0, 2**32 - 1)))
    headers = [("authorization", f"Bearer {token}")]
    if encoding:
        headers.append(("grpc-encoding", encoding))
    sound = compressed == 1 and encoding in {"gzip", "deflate"}
    sent = _COMPRESS[encoding](body) if sound else body
    right: frozenset[grpc.StatusCode | None]
    if guarded and token != TOKEN:
        right = frozenset({grpc.StatusCode.UNAUTHENTICATED})
    elif path not in _SERVICES.values():
        right = frozenset({grpc.StatusCode.UNIMPLEMENTED})
    elif compressed > 1 or length not in {None, len(sent)}:
        # Flags that there are none of are gRPC's own to read, and what is shorter may be a request of its own.
        right = _REFUSED | {grpc.StatusCode.OK}
    else:
        right = _RIGHT_CODES[is_right(signal, body)] if sound or not compressed else _REFUSED
    if encoding in {"zstd", "x"}:
        right |= {grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INTERNAL}  # as gRPC itself answers
    return Call(path=path, headers=tuple(headers), body=sent, compressed=compressed, length=length, right=right)


_HEAD = b"POST /v1/metrics HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
_REQUEST = _HEAD + b"Content-Length: %d\r\n\r\n" % len(WHOLE[Signal.METRICS]) + WHOLE[Signal.METRICS]
_CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n"
_TEXTS = (_REQUEST, _CHUNKED, _REQUEST * 3, _HEAD + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
          b"GET /otelmon/v1/paged?job=shop HTTP/1.0\r\n\r\n", _HEAD + b"X: y\r\n" * 200 + b"\r\n",
          b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")  # fmt: skip
http_bytes = st.sampled_from(_TEXTS).flatmap(lambda text: st.just(text) | spoiled(text)) | st.binary(max_size=300)


@st.composite
def http2_frames(draw: st.DrawFn) -> bytes:
    """Frames of any kind, some of them with a length that is not theirs."""
    written = b""
    for _ in range(draw(st.integers(1, 8))):
        payload = draw(st.binary(max_size=40) | st.just(bytes(8)) | st.just(WHOLE[Signal.METRICS]))
        length = draw(st.sampled_from([len(payload)] * 6 + [0, 5, 2**14 + 1, 2**24 - 1]))
        kind, flags = draw(st.integers(0, 11)), draw(st.integers(0, 255))
        stream = draw(st.sampled_from([0, 1, 1, 3, 2, 2**31 - 1, 2**32 - 1]))
        written += length.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
    return written
