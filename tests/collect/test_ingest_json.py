"""OTLP/JSON in whatever spelling is allowed: what protobuf's own reader makes of it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from otelmon.collect.ingest import Ingest
from otelmon.collect.otlp import Signal
from otelmon.sample import Sample, is_stale
from otelmon.server.forward.json_body import protobuf_of
from tests.collect.making import START
from tests.collect.sending import nanoseconds

NOW = nanoseconds(START)
# NaN for the end of a series has a payload, which JSON cannot hold.
numbers = st.floats().filter(lambda value: not is_stale(value))
any_values = st.recursive(
    st.one_of(
        st.just(AnyValue()),
        st.text(max_size=4).map(lambda value: AnyValue(string_value=value)),
        st.booleans().map(lambda value: AnyValue(bool_value=value)),
        st.integers(-(2**63), 2**63 - 1).map(lambda value: AnyValue(int_value=value)),
        numbers.map(lambda value: AnyValue(double_value=value)),
        st.binary(max_size=4).map(lambda value: AnyValue(bytes_value=value)),
    ),
    lambda inner: (
        st.lists(inner, max_size=2).map(lambda values: AnyValue(array_value=ArrayValue(values=values)))
        | st.lists(st.builds(lambda key, value: KeyValue(key=key, value=value), st.text(max_size=2), inner), max_size=2)
        .map(lambda values: AnyValue(kvlist_value=KeyValueList(values=values)))
    ),
    max_leaves=3,
)  # fmt: skip
attributes = st.lists(
    st.builds(lambda key, value: KeyValue(key=key, value=value), st.text("a._é1", max_size=3), any_values), max_size=3
)
times = st.sampled_from([0, NOW, NOW - 10**9, NOW - 700 * 10**9, NOW + 90 * 10**9])
counts = st.lists(st.integers(0, 2**53), max_size=4)


@st.composite
def requests(draw: st.DrawFn) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    for name in draw(st.lists(st.sampled_from(["a", "b.c", "%"]), max_size=3, unique=True)):
        resource = request.resource_metrics.add(schema_url="https://x")
        resource.resource.attributes.extend(draw(attributes))
        metric = resource.scope_metrics.add().metrics.add(name=name, unit=draw(st.sampled_from(["", "s", "1"])))
        form = draw(st.sampled_from(["gauge", "sum", "histogram", "exponential_histogram", "summary"]))
        data = getattr(metric, form)
        data.SetInParent()
        if form not in {"gauge", "summary"}:
            data.aggregation_temporality = draw(st.sampled_from([0, 1, 2, 2]))
        if form == "sum":
            data.is_monotonic = draw(st.booleans())
        for _ in range(draw(st.integers(0, 2))):
            fill(draw, form, data.data_points.add(attributes=draw(attributes)))
    return request


def fill(draw: st.DrawFn, form: str, point: Any) -> None:
    point.time_unix_nano, point.start_time_unix_nano = draw(times), draw(times)
    point.flags = draw(st.sampled_from([0, 0, 1, 2]))
    if form in {"gauge", "sum"}:
        if draw(st.booleans()):
            point.as_double = draw(numbers)
        elif draw(st.booleans()):
            point.as_int = draw(st.integers(-(2**63), 2**63 - 1))
        return
    point.count = draw(st.integers(0, 2**64 - 1))
    if draw(st.booleans()):
        point.sum = draw(numbers)
    if form == "histogram":
        point.bucket_counts.extend(draw(counts))
        point.explicit_bounds.extend(sorted(draw(st.sets(st.floats(-9, 9), max_size=3))))
    elif form == "summary":
        for quantile in draw(st.lists(st.floats(0, 1), max_size=2)):
            point.quantile_values.add(quantile=quantile, value=draw(numbers))
    else:
        point.scale, point.zero_count = draw(st.integers(-5, 20)), draw(st.integers(0, 9))
        point.zero_threshold = draw(st.sampled_from([0.0, 0.5]))
        for side in (point.positive, point.negative):
            side.offset = draw(st.integers(-99, 99))
            side.bucket_counts.extend(draw(counts))


def respelled(draw: st.DrawFn, written: Any) -> Any:
    """The same JSON otherwise: integers as numbers, nulls and what is unknown added."""
    if isinstance(written, list):
        return [respelled(draw, each) for each in written]
    if not isinstance(written, dict):
        return written
    spelled = {key: respelled(draw, each) for key, each in written.items()}
    for key in ("asInt", "count", "timeUnixNano", "intValue", "zeroCount"):
        if key in spelled and draw(st.booleans()):
            spelled[key] = int(spelled[key])
    if draw(st.integers(0, 3)) == 0:
        spelled["comesWithTheNextVersion"] = draw(st.sampled_from([None, 1, "x", [{}], {"attributes": 7}]))
    if draw(st.integers(0, 3)) == 0:
        spelled = {"attributes": None, "startTimeUnixNano": None, "sum": None, **spelled}
    return spelled


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    snake, names = draw(st.integers(0, 3)) == 0, draw(st.booleans())
    written = MessageToDict(draw(requests()), preserving_proto_field_name=snake, use_integers_for_enums=not names)
    return json.dumps(respelled(draw, written)).encode()


def seen(samples: Sequence[Sample]) -> list[tuple[Any, ...]]:
    return sorted((str(each.labels), each.at, repr(each.value), each.start_at or math.nan) for each in samples)


@settings(max_examples=80, deadline=None)
@given(bodies())
def test_json_is_what_protobuf_makes_of_it(body: bytes) -> None:
    here, there = Ingest(), Ingest()
    taken = here.take_json(body, at=START)
    assert taken == there.take(protobuf_of(Signal.METRICS, body), at=START)
    assert seen(here.collect(START + 1)) == seen(there.collect(START + 1))
    assert here.dropped == there.dropped
