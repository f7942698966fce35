"""For any requests and steps, what is done to bytes is what is done the plain way: decoded, changed, encoded."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from otelmon.collect.wire import _skip
from otelmon.config.load import load_settings
from otelmon.faults import Faults
from otelmon.server.process.envelope import REQUEST
from otelmon.server.process.process import Process
from tests.server.process.making import AT, NOW, attributes
from tests.server.process.plain import plainly

STEPS = (
    "drop: 'http.route=\"/x\"'",
    'drop: [\'__name__=~"orders.*"\', "kind!~a.*"]',
    "keep: 'kind=~\"a|b\"'",
    "keep: 'job=shop'",
    "rename: {metric: orders, to: sales}",
    "rename: {label: kind, to: http.route}",
    "rename: {label: user, to: kind, match: '__name__=~\".*_total\"'}",
    "redact: {labels: [user]}",
    "redact: {labels: [kind, http_route], match: ['user!=\"1\"', 'job=shop']}",
    "promote: [cloud.region, user]",
    "limit: {series: 2}",
    "limit: {series: 1, match: 'kind=a'}",
)
KINDS = ("gauge", "sum", "histogram", "exponential_histogram", "summary", "")
LABELS = st.dictionaries(
    st.sampled_from(["http.route", "http_route", "kind", "user", "job"]),
    st.one_of(st.sampled_from(["", "a", "b", "/x", "ä" * 70]), st.integers(-1, 1), st.booleans(), st.just(0.5)),
    max_size=3,
)
POINTS = st.lists(st.tuples(LABELS, st.integers(0, 255)), max_size=4)
METRICS = st.lists(st.tuples(st.sampled_from(["orders", "carts"]), st.sampled_from(KINDS), POINTS), max_size=4)
REQUESTS = st.lists(st.tuples(LABELS, METRICS), max_size=2)


def made(resources: list[Any], seed: int) -> bytes:
    """A request; of what a point has besides attributes, and in which order it is written, the seed decides."""
    sent, random = ExportMetricsServiceRequest(), Random(seed)
    for described, metrics in resources:
        resource = sent.resource_metrics.add(schema_url="of a resource")
        attributes(resource.resource.attributes, {"service.name": "shop", "cloud.region": "eu", **described})
        scope = resource.scope_metrics.add(schema_url="of a scope")
        attributes(scope.scope.attributes, described)
        for name, kind, points in metrics:
            metric = scope.metrics.add(name=name, unit="s", description="what it is")
            attributes(metric.metadata, described)
            if kind:
                data = getattr(metric, kind)
                data.SetInParent()
                if kind not in ("gauge", "summary"):
                    data.aggregation_temporality = 2
                for values, bits in points:
                    attributes(_filled(data.data_points.add(), kind, bits).attributes, values)
            if kind == "sum":
                metric.sum.is_monotonic = bool(seed % 2)
    return _shuffled(sent.SerializeToString(), random) if seed % 3 == 0 else sent.SerializeToString()


def _filled(point: Any, kind: str, bits: int) -> Any:
    point.time_unix_nano = NOW + bits % 2
    if bits & 2:
        point.start_time_unix_nano = NOW - bits
    if bits & 4:
        point.flags = 1
    if bits & 8 and kind != "summary":
        attributes(point.exemplars.add(as_int=bits).filtered_attributes, {"user": "ada", "kind": "a"})
    if kind in ("gauge", "sum"):
        if bits & 16:
            point.as_int = bits
        elif bits & 32:
            point.as_double = bits / 8
        return point
    point.count, point.sum = bits, float(bits)
    if kind == "histogram":
        point.explicit_bounds[:] = [1.0, 2.0][: 1 + bits % 2]
        point.bucket_counts[:] = [bits, 1, 2][: 2 + bits % 2]
    elif kind == "exponential_histogram":
        point.scale, point.positive.offset = bits % 4, bits - 100
        point.positive.bucket_counts[:] = [bits, 0, 3]
    if bits & 64 and kind != "summary":
        point.min, point.max = 0.5, float(bits)
    return point


def _shuffled(body: bytes, random: Random) -> bytes:
    """The same request with the fields of its points in another order, with one that nobody knows."""
    sent = REQUEST.FromString(body)
    for resource in sent.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                if kind := metric.WhichOneof("data"):
                    points = getattr(metric, kind).data_points
                    points[:] = [_reordered(point, random) for point in points]
    return bytes(sent.SerializeToString())


def _reordered(point: bytes, random: Random) -> bytes:
    fields, at = [b"\xf8\x07\x05"], 0
    while at < len(point):
        end = _skip(point, at)
        fields.append(point[at:end])
        at = end
    random.shuffle(fields)
    return b"".join(fields)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.sampled_from(STEPS), min_size=1, max_size=3),
    requests=st.lists(st.tuples(REQUESTS, st.integers(0, 99)), min_size=1, max_size=3),
)
@example(  # a number whose attributes are followed by flags
    steps=["redact: {labels: [user]}"],
    requests=[([({}, [("orders", "sum", [({"user": "a"}, 2 + 16), ({"user": "b"}, 2 + 4 + 16)])])], 1)],
)
def test_what_is_done_to_bytes_is_what_is_done_to_decoded_requests(
    steps: list[str], requests: list[tuple[list[Any], int]], tmp_path: Path
) -> None:
    path = tmp_path / "otelmon.yaml"
    path.write_text("service: server\nprocess:\n" + "".join(f"  - {step}\n" for step in steps), encoding="utf-8")
    read = load_settings(path, environ={}, directory=tmp_path).process
    quick, plain, counts = Process(read, faults=Faults()), plainly(read.steps), [0] * len(steps)
    for resources, seed in requests:
        body = made(resources, seed)
        # The second time all of it is known.
        for _ in range(2):
            expected, more = plain(body)
            counts = [before + each for before, each in zip(counts, more, strict=True)]
            assert _decoded(quick.take(body, AT)) == _decoded(expected)
    assert [quick.counts[number, step.partition(":")[0]] for number, step in enumerate(steps, start=1)] == counts


def _decoded(body: bytes) -> bytes:
    request = ExportMetricsServiceRequest.FromString(body)
    return bytes(request.SerializeToString(deterministic=True))
