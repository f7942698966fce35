"""otelmon in a pipeline with an agent of other people's before or behind it: every point that goes in comes out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, MetricsData, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource

from otelmon.collect.limits import Taken
from otelmon.collect.otlp import GRPC, HTTP, Signal
from otelmon.config.process import ProcessSettings
from otelmon.faults import Faults
from otelmon.server.arrivals import Arrived, ReceiverSettings
from otelmon.server.forward.forwarder import Forwarder
from otelmon.server.process.process import Process
from otelmon.server.receiver import Receiver
from tests.rotel import rotel
from tests.server.forward.backend import BACKENDS
from tests.server.forward.test_forwarder import running, settings_of

COLLECTIONS = 3


@contextmanager
def passing_on(tmp_path: Path, sends_to: str, protocol: str) -> Iterator[Receiver]:
    """What takes OTLP and sends it on, as a server of ours does."""
    process = Process(ProcessSettings(), faults=Faults())
    with running(tmp_path, settings_of(tmp_path, sends_to, protocol)) as forwarder:
        settings = ReceiverSettings(http_port=0, grpc_port=0)
        receiver = Receiver(settings, {Signal.METRICS: _sink(forwarder, process)}, faults=Faults())
        receiver.start()
        try:
            yield receiver
        finally:
            receiver.stop()


def _sink(forwarder: Forwarder, process: Process) -> Any:
    def take(arrived: Arrived) -> Taken:
        forwarder.put(Signal.METRICS, process.take(arrived.body, 0.0))
        return Taken(points=0)

    return take


def send(url: str, protocol: str) -> Counter[bytes]:
    """An application with every kind of instrument sends some collections; what it has sent."""
    sent: Counter[bytes] = Counter()
    exporter: MetricExporter = (
        GrpcExporter(url, insecure=True) if protocol == GRPC else HttpExporter(f"{url}/v1/metrics")
    )
    export = exporter.export

    def noted(data: MetricsData, *args: Any, **named: Any) -> Any:
        sent.update(points(encode_metrics(data)))
        return export(data, *args, **named)

    exporter.export = noted  # type: ignore[method-assign]
    provider = MeterProvider(
        [PeriodicExportingMetricReader(exporter, export_interval_millis=float("inf"))],
        resource=Resource({"service.name": "shop", "service.instance.id": "web-1"}),
        views=[
            View(
                instrument_type=Histogram,
                instrument_name="fine",
                aggregation=ExponentialBucketHistogramAggregation(),
            )
        ],
        shutdown_on_exit=False,
    )
    meter = provider.get_meter("app", "1")
    meter.create_observable_gauge("level", [_level])
    counter, up_down = meter.create_counter("orders", "{order}"), meter.create_up_down_counter("open")
    coarse, fine = meter.create_histogram("coarse", "s"), meter.create_histogram("fine", "s")
    for number in range(COLLECTIONS):
        for route in range(50):
            labels = {"http.route": f"/{route}", "paid": route % 2 == 0, "size": route}
            counter.add(number + route, labels)
            up_down.add(-route, labels)
            coarse.record(0.1 * route, labels)
            fine.record(0.001 * (number + 1) * (route + 1), labels)
        assert provider.force_flush()
    provider.shutdown()
    return sent


def _level(_options: CallbackOptions) -> list[Observation]:
    return [Observation(0.1, {"kind": "float"}), Observation(7, {"kind": "int"})]


def points(request: ExportMetricsServiceRequest) -> Counter[bytes]:
    """Every point with all that it belongs to, by its bytes."""
    found: Counter[bytes] = Counter()
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                name = f"{metric.name} {metric.unit} {scope.scope.name} {scope.scope.version}".encode()
                of = b"".join(pair.SerializeToString(deterministic=True) for pair in resource.resource.attributes)
                kind = metric.WhichOneof("data")
                data = getattr(metric, kind)
                shape = f"{getattr(data, 'aggregation_temporality', 0)} {getattr(data, 'is_monotonic', 0)}".encode()
                for point in data.data_points:
                    found[name + of + shape + point.SerializeToString(deterministic=True)] += 1
    return found


def arrived(taken: list[tuple[Signal, bytes]]) -> Counter[bytes]:
    total: Counter[bytes] = Counter()
    for _, body in list(taken):
        total.update(points(ExportMetricsServiceRequest.FromString(body)))
    return total


@pytest.mark.slow
@pytest.mark.parametrize("protocol", [HTTP, GRPC])
def test_the_agent_behind_us_and_its_backend_get_every_point(protocol: str, tmp_path: Path) -> None:
    with BACKENDS[protocol]() as backend, rotel(backend.url, protocol, tmp_path) as agent:
        place = agent.grpc if protocol == GRPC else agent.http
        with passing_on(tmp_path, place, protocol) as ours:
            sent = send(f"http://127.0.0.1:{ours.grpc_port if protocol == GRPC else ours.http_port}", protocol)
            backend.wait(lambda: arrived(backend.taken).total() >= sent.total())
    assert arrived(backend.taken) == sent
    assert sent.total() == COLLECTIONS * (4 * 50 + 2)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", [HTTP, GRPC])
def test_the_agent_before_us_loses_no_point_with_us_behind_it(protocol: str, tmp_path: Path) -> None:
    with BACKENDS[protocol]() as backend, passing_on(tmp_path, backend.url, protocol) as ours:
        place = f"http://127.0.0.1:{ours.grpc_port if protocol == GRPC else ours.http_port}"
        with rotel(place, protocol, tmp_path) as agent:
            sent = send(agent.grpc if protocol == GRPC else agent.http, protocol)
            backend.wait(lambda: arrived(backend.taken).total() >= sent.total())
    assert arrived(backend.taken) == sent
