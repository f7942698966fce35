"""What otelmon measures and tells of alerts goes the way of what comes in."""

from __future__ import annotations

from pathlib import Path

from opentelemetry._logs import LogRecord
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource

from otelmon.collect.export import OtlpExport
from otelmon.collect.log_export import LogExport
from otelmon.collect.otlp import Signal
from otelmon.faults import Faults
from otelmon.server.forward.own import ForwardedLogs, ForwardedMetrics
from tests.server.forward.backend import http_backend
from tests.server.forward.test_forwarder import running, settings_of


def test_own_metrics_and_events_reach_the_backend_also_one_that_was_down(tmp_path: Path) -> None:
    with http_backend() as backend:
        targets = settings_of(tmp_path, backend.url)
    resource, faults, reader = Resource({"service.name": "server"}), Faults(), InMemoryMetricReader()
    provider = MeterProvider([reader], resource=resource)
    with running(tmp_path, targets) as forwarder:
        metrics = OtlpExport(ForwardedMetrics(forwarder), target="forward", faults=faults)
        logs = LogExport(ForwardedLogs(forwarder), target="forward", resource=resource, version="1", faults=faults)
        forwarder.measure(provider.get_meter("otelmon"))
        data = reader.get_metrics_data()
        assert data is not None
        assert metrics.export(data)
        assert logs.export([LogRecord(event_name="otelmon.alert.firing", body="it burns")])
        with http_backend(backend):
            backend.wait(lambda: len(backend.taken) == 2)
        metrics.shutdown()
        logs.shutdown()
    provider.shutdown()
    bodies = dict(backend.taken)
    (measured,) = ExportMetricsServiceRequest.FromString(bodies[Signal.METRICS]).resource_metrics
    assert measured.resource.attributes[0].value.string_value == "server"
    assert "otelmon.forward.queue.limit" in [each.name for each in measured.scope_metrics[0].metrics]
    (told,) = ExportLogsServiceRequest.FromString(bodies[Signal.LOGS]).resource_logs
    assert told.scope_logs[0].log_records[0].event_name == "otelmon.alert.firing"
    assert faults.counts == {}
