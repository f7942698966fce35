"""The messages of OTLP's three services, by signal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces

from otelmon.collect.limits import MalformedError
from otelmon.collect.otlp import Signal

_REQUESTS: Mapping[Signal, Any] = {
    Signal.METRICS: metrics.ExportMetricsServiceRequest,
    Signal.TRACES: traces.ExportTraceServiceRequest,
    Signal.LOGS: logs.ExportLogsServiceRequest,
}
_RESPONSES: Mapping[Signal, Any] = {
    Signal.METRICS: metrics.ExportMetricsServiceResponse,
    Signal.TRACES: traces.ExportTraceServiceResponse,
    Signal.LOGS: logs.ExportLogsServiceResponse,
}


def request_type(signal: Signal) -> Any:
    """Export...ServiceRequest."""
    return _REQUESTS[signal]


def response_type(signal: Signal) -> Any:
    """Export...ServiceResponse."""
    return _RESPONSES[signal]


def checked(signal: Signal, body: bytes) -> bytes:
    """A serialised Export...ServiceRequest as it is. Raises MalformedError for what is none."""
    try:
        request_type(signal).FromString(body)
    except DecodeError as error:
        raise MalformedError(f"no OTLP request of {signal.lower()}") from error
    return body
