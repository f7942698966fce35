"""OTLP/JSON goes on as protobuf, the same message."""

from __future__ import annotations

import json

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otelmon.collect.limits import MalformedError
from otelmon.collect.otlp import Signal
from otelmon.server.forward.json_body import protobuf_of


def test_ids_are_hexadecimal_numbers_may_be_text_and_what_is_unknown_is_left_out() -> None:
    span = {
        "traceId": "5B8EFFF798038103D269B633813FC60C",
        "spanId": "eee19b7ec3c1b174",
        "name": "I'm a server span",
        "startTimeUnixNano": "1544712660000000000",
        "kind": 2,
        "attributes": [{"key": "traceId", "value": {"stringValue": "5b8e"}}],
        "comesWithTheNextVersion": {"a": 1},
    }
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
    made = ExportTraceServiceRequest.FromString(protobuf_of(Signal.TRACES, body)).resource_spans[0].scope_spans[0]
    assert made.spans[0].trace_id.hex() == "5b8efff798038103d269b633813fc60c"
    assert made.spans[0].span_id.hex() == "eee19b7ec3c1b174"
    assert made.spans[0].start_time_unix_nano == 1544712660000000000
    assert made.spans[0].attributes[0].value.string_value == "5b8e"


def test_an_exemplar_keeps_its_trace() -> None:
    point = {"asInt": "7", "exemplars": [{"asDouble": 0.5, "traceId": "0af7651916cd43dd8448eb211c80319c"}]}
    body = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "n", "gauge": {"dataPoints": [point]}}]}]}]}
    made = ExportMetricsServiceRequest.FromString(protobuf_of(Signal.METRICS, json.dumps(body).encode()))
    (found,) = made.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points
    assert (found.as_int, found.exemplars[0].trace_id.hex()) == (7, "0af7651916cd43dd8448eb211c80319c")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no",
        b"[]",
        b"null",
        b"\xff",
        b'{"resourceSpans": 3}',
        b'{"resourceSpans": [3]}',
        b"[" * 100_000,
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"xyz"}]}]}]}',
        b'{"resourceSpans":[{"schemaUrl":"\\ud800"}]}',
    ],
)
def test_what_is_none_is_refused_without_a_word_of_it(body: bytes) -> None:
    with pytest.raises(MalformedError, match=r"^no OTLP/JSON of traces$"):
        protobuf_of(Signal.TRACES, body)
