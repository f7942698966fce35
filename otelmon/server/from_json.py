"""OTLP/JSON as the protobuf that it stands for, to be sent on.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding: Protobuf's own JSON, but for the ids of traces and
spans, which are hexadecimal and not base64.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from google.protobuf.json_format import ParseDict, ParseError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otelmon.collect.limits import MalformedError
from otelmon.collect.otlp import Signal

_REQUESTS: Mapping[Signal, Any] = {
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}
_IDS = frozenset({"traceId", "spanId", "parentSpanId"})


def protobuf_of(signal: Signal, body: bytes) -> bytes:
    """The serialised request. Raises MalformedError for what is none; keys that are not known are passed over."""
    try:
        document = json.loads(body)
        if not isinstance(document, dict):
            raise TypeError("an object expected")  # noqa: TRY301 (all that is wrong is said in one place)
        request = ParseDict(_with_ids(document), _REQUESTS[signal](), ignore_unknown_fields=True)
    except (ValueError, TypeError, ParseError, RecursionError) as error:
        raise MalformedError(f"no Export...ServiceRequest of {signal.lower()} in JSON") from error
    return bytes(request.SerializeToString())


def _with_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: b64encode(bytes.fromhex(inner)).decode("ascii")
            if key in _IDS and isinstance(inner, str)
            else _with_ids(inner)
            for key, inner in value.items()
        }
    return [_with_ids(each) for each in value] if isinstance(value, list) else value
