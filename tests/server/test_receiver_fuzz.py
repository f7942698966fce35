"""Whatever comes in: an answer with a right status, no fault of ours, and nothing that grows."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics.export import Histogram, HistogramDataPoint, Metric

from otelmon.collect.ingest import Ingest
from otelmon.collect.limits import IngestLimits, MalformedError
from tests.collect.making import START, data_of
from tests.collect.sending import CUMULATIVE, SHOP, as_json, counter, encoded, gauge, nanoseconds, number
from tests.server.clients import Server, serving

AT = START + 10
HONEST = {200, 400, 413, 415, 404, 405, 401, 408, 503}
MOST_GROWTH = 64 * 1024 * 1024


def _whole() -> bytes:
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


WHOLE = _whole()
JSON = as_json(WHOLE)


@st.composite
def spoiled(draw: st.DrawFn, whole: bytes) -> bytes:
    """A request of which some bytes are others, are gone, or are there twice."""
    body = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(body)))
        size = draw(st.integers(0, 9))
        replacement = draw(st.one_of(st.binary(max_size=9), st.just(bytes(body[at : at + size]) * 2)))
        body[at : at + size] = replacement
    return bytes(body)


anything = st.one_of(st.binary(max_size=200), spoiled(WHOLE))
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
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["NaN", "1", "-1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


def fed(body: bytes, *, in_json: bool) -> None:
    ingest = Ingest(limits=IngestLimits(series=50))
    try:
        taken = (ingest.take_json if in_json else ingest.take)(body, at=AT)
        assert taken.points >= 0
        assert taken.rejected >= 0
    except MalformedError:
        assert not len(ingest.collect(AT))
    assert ingest.series <= 50
    for sample in ingest.collect(AT + 1):
        assert AT - 600 <= sample.at <= AT + 31
        assert sample.start_at is None or sample.start_at < sample.at


@settings(max_examples=120, deadline=None)
@given(anything)
def test_bytes_are_taken_or_refused(body: bytes) -> None:
    fed(body, in_json=False)


@settings(max_examples=80, deadline=None)
@given(spoiled(JSON) | json_values.map(lambda value: json.dumps({"resourceMetrics": [value]}).encode()))
def test_json_is_taken_or_refused(body: bytes) -> None:
    fed(body, in_json=True)


@settings(max_examples=60, deadline=None)
@given(spoiled(WHOLE))
def test_what_is_refused_is_what_protobuf_refuses_too(body: bytes) -> None:
    # Where protobuf reads it, so do we: a request is not refused for the way it is written.
    try:
        ExportMetricsServiceRequest.FromString(body)
    except DecodeError:
        return
    try:
        Ingest().take(body, at=AT)
    except MalformedError as error:
        # Groups, which OTLP has never had.
        assert "unknown kind" in str(error)  # noqa: PT017


media = st.sampled_from(["application/x-protobuf", "application/json", "text/plain", "", "application/json;;;"])
encodings = st.sampled_from(["", "gzip", "deflate", "zstd", "br", "identity", "gzip, gzip"])
paths = st.sampled_from(["/v1/metrics", "/v1/metrics", "/v1/metrics", "/v1/traces", "/", "/v1/metrics/"])


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(grpc_port=0) as running:
        yield running


def ask(client: httpx.Client, server: Server, path: str, body: bytes, headers: dict[str, str]) -> None:
    answer = client.post(server.http + path, content=body, headers=headers, timeout=60)
    assert answer.status_code in HONEST
    assert not server.faults.counts
    server.arrived.clear()


def _fuzz(server: Server, examples: int, seconds: float = 0.0) -> None:
    until = time.monotonic() + seconds
    with httpx.Client() as client:

        @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
        @given(anything | spoiled(JSON), paths, media, encodings, st.booleans())
        def run(body: bytes, path: str, content: str, encoding: str, compressed: bool) -> None:
            sent = gzip.compress(body) if compressed and encoding == "gzip" else body
            headers: dict[str, Any] = {"content-type": content}
            if encoding:
                headers["content-encoding"] = encoding
            ask(client, server, path, sent, headers)

        while True:
            run()
            if time.monotonic() >= until:
                return


def test_every_request_is_answered_and_the_server_goes_on(server: Server) -> None:
    _fuzz(server, 60)
    whole = encoded(data_of(gauge(number(1, time.time())), resource=SHOP))
    assert server.ask(whole)[0] == 200


@pytest.mark.soak
def test_ten_minutes_of_it_leave_no_memory_behind(server: Server) -> None:
    _fuzz(server, 2000)
    server.ingest.collect(time.time())
    before = psutil.Process().memory_info().rss
    for _ in range(60):
        _fuzz(server, 2000, seconds=10.0)
        server.ingest.collect(time.time())
    assert psutil.Process().memory_info().rss - before < MOST_GROWTH
    assert server.ingest.series <= 1000
