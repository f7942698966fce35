"""OTLP/JSON that is sent on arrives as the protobuf that it stands for, ids of traces included."""

from __future__ import annotations

import json

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otelmon.collect.limits import MalformedError
from otelmon.collect.otlp import Signal
from otelmon.server.from_json import protobuf_of


def test_ids_are_hexadecimal_in_otlp_json() -> None:
    trace, span = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"
    spans = [{"traceId": trace, "spanId": span, "name": "pay", "startTimeUnixNano": "1544712660000000000", "new": 1}]
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()
    request = ExportTraceServiceRequest.FromString(protobuf_of(Signal.TRACES, body))
    (found,) = request.resource_spans[0].scope_spans[0].spans
    assert (found.trace_id.hex(), found.span_id.hex(), found.name) == (trace, span, "pay")
    assert found.start_time_unix_nano == 1544712660000000000


def test_metrics_keep_their_points() -> None:
    point = {"asInt": "18446744073", "timeUnixNano": "1544712660300000000"}
    metrics = [{"name": "orders", "sum": {"dataPoints": [point], "aggregationTemporality": 2, "isMonotonic": True}}]
    body = json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]}).encode()
    request = ExportMetricsServiceRequest.FromString(protobuf_of(Signal.METRICS, body))
    assert request.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points[0].as_int == 18446744073


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"resourceSpans": 3}', b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"x"}]}]}]}'],
)
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedError):
        protobuf_of(Signal.TRACES, body)
