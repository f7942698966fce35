"""Values of attributes as OTLP writes them, in protobuf, as Python has them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue


def attributes_of(written: Iterable[KeyValue]) -> dict[str, Any]:
    """Attributes by their keys."""
    return {each.key: _value(each.value) for each in written}


def _value(written: AnyValue) -> Any:
    kind = written.WhichOneof("value")
    if kind is None:
        return None
    value = getattr(written, kind)
    if kind == "array_value":
        return [_value(inner) for inner in value.values]
    if kind == "kvlist_value":
        return attributes_of(value.values)
    return value
