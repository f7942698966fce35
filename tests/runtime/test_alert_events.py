"""Alerts and incidents as OpenTelemetry log records: by the application's provider, else by OTLP, else not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import opentelemetry._logs as logs_api
import opentelemetry._logs._internal as logs_internal
import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.util._once import Once

from otelmon.collect.log_export import LogExport, log_export_from_environment
from otelmon.config.load import load_settings
from otelmon.runtime.alert_events import AlertEvents
from otelmon.runtime.monitor import Monitor
from otelmon.runtime.switch import PagingDecision
from tests.collect.receiver import Received, grpc_receiver, http_receiver
from tests.e2e.simulation import Simulation

RECEIVERS = {"http/protobuf": http_receiver, "grpc": grpc_receiver}
Receiver = Callable[[], AbstractContextManager[Received]]
CONFIG = "alerts:\n  error_rate: {threshold: 5%, window: 1m, keep_firing_for: 0s}\n  route_error_rate: off\n"
ON = PagingDecision(on=True, reason="the test says so")


@pytest.fixture(autouse=True)
def _no_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs_internal, "_LOGGER_PROVIDER", None)
    monkeypatch.setattr(logs_internal, "_LOGGER_PROVIDER_SET_ONCE", Once())


def export_to(received: Received, protocol: str, simulation: Simulation) -> LogExport:
    export = log_export_from_environment(
        resource=Resource({"service.name": "shop"}),
        version="1",
        faults=simulation.faults,
        environ={"OTEL_EXPORTER_OTLP_ENDPOINT": received.url, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol},
    )
    assert export is not None
    return export


def telling(simulation: Simulation, export: LogExport | None = None) -> AlertEvents:
    """Events of this simulation."""
    events = AlertEvents(export, version="1", monotonic=simulation.clock.monotonic, faults=simulation.faults)
    simulation.engine.on_transitions = events.transitions
    simulation.engine.on_changes = events.changes
    return events


def sent(events: AlertEvents) -> None:
    """Wait for what is being sent."""
    sender = events._sender
    if sender is not None:
        sender.join(60)


def fault(simulation: Simulation, events: AlertEvents) -> None:
    """Quiet, an outage of two minutes, and its end."""
    simulation.run(60, lambda: simulation.request("/pay"))
    sent(events)
    simulation.run(120, lambda: simulation.request("/pay", 500))
    sent(events)
    simulation.run(120, lambda: simulation.request("/pay"))
    sent(events)


@pytest.fixture
def simulation(tmp_path: Path) -> Iterator[Simulation]:
    (tmp_path / "otelmon.yaml").write_text(CONFIG, encoding="utf-8")
    made = Simulation(tmp_path / "otelmon.yaml")
    yield made
    made.close()


def attributes(record: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in record.attributes}


@pytest.mark.parametrize("protocol", RECEIVERS)
def test_an_otlp_receiver_gets_each_alert_once_as_it_fires_and_as_it_is_resolved(
    protocol: str, simulation: Simulation
) -> None:
    with RECEIVERS[protocol]() as received:
        events = telling(simulation, export_to(received, protocol, simulation))
        simulation.run(60, lambda: simulation.request("/pay"))
        sent(events)
        assert received.logs == []
        began = simulation.clock.now()
        fault(simulation, events)
        events.close(10)
        records = received.log_records()
        of_rate = [each for each in records if attributes(each)["otelmon.alert.name"] == "error_rate"]
        assert [each.event_name for each in of_rate] == [
            "otelmon.alert.firing",
            "otelmon.incident.triggered",
            "otelmon.alert.resolved",
            "otelmon.incident.resolved",
        ]
        firing = of_rate[0]
        assert firing.severity_text == "ERROR"
        assert firing.body.string_value.endswith("% of the requests to shop fail")
        assert began + 60 < firing.time_unix_nano / 1e9 < began + 180
        found = attributes(firing)
        assert (found["otelmon.alert.severity"], found["otelmon.alert.label.job"]) == ("critical", "shop")
        assert 0 < found["otelmon.alert.value"] <= 1
        assert of_rate[2].severity_text == "INFO"
        assert attributes(of_rate[1])["otelmon.incident.id"]
        (resource, *_) = received.logs[0].resource_logs
        assert {pair.key: pair.value.string_value for pair in resource.resource.attributes}["service.name"] == "shop"
        assert resource.scope_logs[0].scope.name == "otelmon"
        assert simulation.faults.counts["export.logs"] == 0


def test_what_a_receiver_refused_is_sent_again_in_order_and_said_once(
    simulation: Simulation, caplog: pytest.LogCaptureFixture
) -> None:
    with http_receiver() as received:
        events = telling(simulation, export_to(received, "http/protobuf", simulation))
        received.refuse = 2
        fault(simulation, events)
        for _ in range(4):
            simulation.run(30)
            sent(events)
        events.close(10)
        names = [record.event_name for record in received.log_records()]
        assert names.count("otelmon.alert.firing") == names.count("otelmon.alert.resolved") >= 1
        assert names.index("otelmon.alert.firing") < names.index("otelmon.alert.resolved")
        ours = [record for record in caplog.records if "events were not accepted" in record.getMessage()]
        assert len(ours) == 1
        assert "OTEL_LOGS_EXPORTER=none" in ours[0].getMessage()


def test_the_applications_provider_is_used_and_no_other(simulation: Simulation) -> None:
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    with http_receiver() as received:
        events = telling(simulation, export_to(received, "http/protobuf", simulation))
        logs_api.set_logger_provider(provider)  # later than otelmon's start
        fault(simulation, events)
        events.close(10)
        assert received.logs == []
    assert logs_api.get_logger_provider() is provider
    names = [each.log_record.event_name for each in exporter.get_finished_logs()]
    assert names.count("otelmon.alert.firing") == names.count("otelmon.alert.resolved") >= 1
    provider.shutdown()


def test_a_processor_that_blocks_or_raises_holds_up_no_tick(simulation: Simulation) -> None:
    entered, leave = threading.Event(), threading.Event()

    class Blocking(SimpleLogRecordProcessor):
        def on_emit(self, log_record: Any) -> None:
            entered.set()
            leave.wait(60)
            raise RuntimeError("torn")

    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(Blocking(InMemoryLogRecordExporter()))
    logs_api.set_logger_provider(provider)
    events = telling(simulation)
    simulation.run(120, lambda: simulation.request("/pay", 500))
    assert entered.wait(60)
    simulation.run(300, lambda: simulation.request("/pay"))
    assert "error_rate" in {name for _, name in simulation.resolved}
    leave.set()
    events.close(20)
    assert simulation.faults.counts["events"] >= 1


def test_without_a_provider_or_an_endpoint_nothing_is_kept(simulation: Simulation) -> None:
    events = telling(simulation)
    fault(simulation, events)
    assert len(events._waiting) == 0
    assert events._sender is None


@pytest.mark.parametrize(
    ("environ", "exports"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://c:4318/v1/logs"}, True),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c:4318/v1/metrics"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_LOGS_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_METRICS_EXPORTER": "none"}, True),
    ],
)
def test_the_standard_variables_say_whether_logs_are_exported(
    environ: dict[str, str], simulation: Simulation, *, exports: bool
) -> None:
    found = log_export_from_environment(resource=Resource({}), version=None, faults=simulation.faults, environ=environ)
    assert (found is not None) is exports
    if found is not None:
        found.shutdown()


def test_a_whole_monitor_exports_its_last_events_before_it_ends(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "otelmon.yaml").write_text("interval: 1s\n", encoding="utf-8")
    with http_receiver() as received:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", received.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.version=1.2,container.id=mine")
        environ = {"OTELMON_STATE_DIR": str(here / "state"), "OTEL_SERVICE_NAME": "shop"}
        monitor = Monitor(load_settings(None, environ=environ, directory=here), ON)
        monitor.run()
        ended = threading.Semaphore(0)
        with monitor.ticks.listening(lambda _: ended.release()):
            assert all(ended.acquire(timeout=60) for _ in range(2))
        monitor.process_alert("error_rate", 0.9)
        monitor.stop()
        names = [record.event_name for record in received.log_records()]
        assert "otelmon.alert.firing" in names
        for resource in (received.logs[0].resource_logs[0].resource, received.requests[0].resource_metrics[0].resource):
            found = {pair.key: pair.value.string_value for pair in resource.attributes}
            assert (found["service.name"], found["service.version"], found["container.id"]) == ("shop", "1.2", "mine")
            assert found["host.name"]
        assert received.metric("otelmon.tick.duration") is not None
        assert received.metric("otelmon.export.sent") is not None
