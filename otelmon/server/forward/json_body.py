"""OTLP/JSON as the protobuf that is processed and forwarded.

It is protobuf's own JSON but for the ids of traces and spans, which are hexadecimal where that has base64
(https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from google.protobuf.json_format import ParseDict, ParseError

from otelmon.collect.limits import MalformedError
from otelmon.collect.otlp import Signal
from otelmon.server.forward.messages import request_type

_IDS = frozenset({"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"})


def protobuf_of(signal: Signal, body: bytes) -> bytes:
    """A serialised Export...ServiceRequest of its JSON. Raises MalformedError for what is none."""
    try:
        message = ParseDict(_with_base64(_object(body)), request_type(signal)(), ignore_unknown_fields=True)
    except (ValueError, ParseError, RecursionError, TypeError, AttributeError) as error:
        # The error's own text may hold what is in the request.
        raise MalformedError(f"no OTLP/JSON of {signal.lower()}") from error
    return bytes(message.SerializeToString())


def _object(body: bytes) -> dict[str, Any]:
    parsed = json.loads(body)
    if not isinstance(parsed, dict):
        raise TypeError
    return parsed


def _with_base64(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_base64(each) for each in value]
    if isinstance(value, dict):
        return {
            key: b64encode(bytes.fromhex(each)).decode()
            if key in _IDS and isinstance(each, str)
            else _with_base64(each)
            for key, each in value.items()
        }
    return value
