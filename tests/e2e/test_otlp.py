"""The shop of the demo exports what it measures to a standard OTLP receiver, in the form that is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from otelmon.collect.otlp import GRPC, HTTP
from tests.collect.receiver import Received, grpc_receiver, http_receiver
from tests.e2e.served import Served
from tests.rotel import rotel

pytestmark = pytest.mark.slow

DURATION = "http.server.request.duration"
CUMULATIVE, DELTA = 2, 1  # opentelemetry.proto.metrics.v1.AggregationTemporality
# https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpserverrequestduration
SEMCONV_BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]


def shop(folder: Path, received: Received, **environ: str) -> Served:
    return Served(
        folder,
        config="interval: 1s\npaging: off\n",
        target="examples.shop.app:app",
        environ={
            "OTELMON_CONFIG": str(folder / "otelmon.yaml"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": received.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
            **environ,
        },
    )


def points(received: Received, index: int) -> list[Any]:
    metric = received.metric(DURATION, index)
    if metric is None:
        return []
    return list(getattr(metric, metric.WhichOneof("data")).data_points)


def attributes(point: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in point.attributes}


def counts(received: Received, index: int) -> dict[str, int]:
    return {attributes(point).get("http.route", ""): point.count for point in points(received, index)}


def drive(app: Served, received: Received) -> Any:
    """Three requests in a first export, two in a later one: the last metric that was received."""
    app.get("/products/3", times=3)
    app.until(lambda: any(counts(received, i) for i in range(len(received.requests))), doing=lambda: None)
    app.get("/products/4", times=2)
    seen = len(received.requests)
    app.until(lambda: len(received.requests) > seen + 2, doing=lambda: None)
    return received.metric(DURATION)


def total(received: Received, *, delta: bool) -> int:
    """What a backend would say: the last cumulative count, or the sum of all deltas."""
    found = [counts(received, index).get("/products/{product_id}", 0) for index in range(len(received.requests))]
    return sum(found) if delta else found[-1]


def test_request_durations_arrive_as_explicit_cumulative_buckets_with_semconv_attributes(tmp_path: Path) -> None:
    with http_receiver() as received, shop(tmp_path, received) as app:
        metric = drive(app, received)
        assert metric.unit == "s"
        assert metric.WhichOneof("data") == "histogram"
        assert metric.histogram.aggregation_temporality == CUMULATIVE
        (point,) = metric.histogram.data_points
        assert attributes(point) == {
            "http.request.method": "GET",
            "http.route": "/products/{product_id}",
            "http.response.status_code": 200,
            "url.scheme": "http",
        }
        assert list(point.explicit_bounds) == SEMCONV_BOUNDS
        assert point.count == sum(point.bucket_counts) == 5
        resource = received.requests[-1].resource_metrics[0].resource
        assert "shop" in {pair.value.string_value for pair in resource.attributes if pair.key == "service.name"}
        assert set(received.paths) == {"/v1/metrics"}
        app.get("/products/5", times=4)
        app.stop()
    assert total(received, delta=False) == 9  # the stop exports what came last


def test_exponential_delta_histograms_arrive_where_the_standard_variables_ask_for_them(tmp_path: Path) -> None:
    asked = {
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "base2_exponential_bucket_histogram",
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
    }
    with http_receiver() as received, shop(tmp_path, received, **asked) as app:
        drive(app, received)
        app.get("/products/5", times=4)
        app.stop()
    kinds = {
        (metric.WhichOneof("data"), getattr(metric, metric.WhichOneof("data")).aggregation_temporality)
        for metric in (received.metric(DURATION, index) for index in range(len(received.requests)))
        if metric is not None
    }
    assert kinds == {("exponential_histogram", DELTA)}
    assert total(received, delta=True) == 9


def test_the_same_arrives_over_grpc(tmp_path: Path) -> None:
    with grpc_receiver() as received, shop(tmp_path, received, OTEL_EXPORTER_OTLP_PROTOCOL="grpc") as app:
        metric = drive(app, received)
        assert metric.WhichOneof("data") == "histogram"
        assert total(received, delta=False) == 5


@pytest.mark.parametrize("protocol", [HTTP, GRPC])
def test_an_agent_of_other_people_accepts_it_and_passes_it_on_unchanged(tmp_path: Path, protocol: str) -> None:
    with http_receiver() as received, rotel(received.url, HTTP, tmp_path) as agent:
        endpoint = agent.http if protocol == HTTP else agent.grpc
        asked = {"OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        with shop(tmp_path, received, **asked) as app:
            metric = drive(app, received)
            (point,) = metric.histogram.data_points
            assert attributes(point)["http.route"] == "/products/{product_id}"
            assert list(point.explicit_bounds) == SEMCONV_BOUNDS
            assert point.count == sum(point.bucket_counts) == 5
            resource = received.requests[-1].resource_metrics[0].resource
            assert "shop" in {pair.value.string_value for pair in resource.attributes if pair.key == "service.name"}
