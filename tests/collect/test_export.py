from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from opentelemetry import context
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.resources import Resource

from otelmon.collect.collector import Collector
from otelmon.collect.export import OtlpExport, exporter_from_environment
from otelmon.collect.reader import wants_exponential
from otelmon.collect.temporality import Preference
from otelmon.errors import ConfigError
from tests.collect.making import START, Recorder, cell, data_of
from tests.collect.receiver import Received, grpc_receiver, http_receiver

DURATION = "http.server.request.duration"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
AGGREGATION = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
TEMPORALITY = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
CUMULATIVE, DELTA = 2, 1
RECEIVERS = {"http/protobuf": http_receiver, "grpc": grpc_receiver}
Receiver = Callable[[], AbstractContextManager[Received]]


@contextmanager
def export_to(received: Received, protocol: str, **environ: str) -> Iterator[OtlpExport]:
    export = exporter_from_environment({ENDPOINT: received.url, PROTOCOL: protocol, **environ})
    assert export is not None
    try:
        yield export
    finally:
        export.shutdown()


def collector_of(recorder: Recorder, environ: dict[str, str]) -> Collector:
    resource = Resource({"service.name": "shop"})
    exponential = wants_exponential(environ)
    return Collector(None, recorder=recorder, job="shop", instance="h1", resource=resource, exponential=exponential)


def latest(collector: Collector, at: float) -> MetricsData:
    collector.collect(at)
    assert collector.latest is not None
    return collector.latest


def attributes_of(point: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in point.attributes}


@pytest.mark.parametrize("protocol", RECEIVERS)
@pytest.mark.parametrize("temporality", ["", "cumulative", "delta", "lowmemory"])
@pytest.mark.parametrize("aggregation", ["", "base2_exponential_bucket_histogram"])
def test_a_receiver_gets_the_duration_of_requests_as_the_standard_variables_ask(
    protocol: str, temporality: str, aggregation: str
) -> None:
    environ = {TEMPORALITY: temporality, AGGREGATION: aggregation}
    recorder = Recorder(cell([0.1, 0.2], status=500, error_type="ValueError"))
    collector = collector_of(recorder, environ)
    with RECEIVERS[protocol]() as received, export_to(received, protocol, **environ) as export:
        assert export.export(latest(collector, START + 60))
        recorder.count(cell([0.1, 0.2, 30.0], status=500, error_type="ValueError"))
        assert export.export(latest(collector, START + 120))
        kind = "exponential_histogram" if aggregation else "histogram"
        first, second = (received.metric(DURATION, index) for index in (0, 1))
        assert (first.unit, first.WhichOneof("data")) == ("s", kind)
        data = getattr(second, kind)
        (point,) = data.data_points
        assert attributes_of(point) == {
            "http.request.method": "GET",
            "http.route": "/orders/{id}",
            "http.response.status_code": 500,
            "error.type": "ValueError",
            "url.scheme": "https",
        }
        is_delta = temporality in {"delta", "lowmemory"}
        assert data.aggregation_temporality == (DELTA if is_delta else CUMULATIVE)
        assert point.count == (1 if is_delta else 3)
        assert point.start_time_unix_nano / 1e9 == pytest.approx(START + 60 if is_delta else START)
        assert point.time_unix_nano / 1e9 == pytest.approx(START + 120)
        if aggregation:
            assert sum(point.positive.bucket_counts) == point.count
            assert len(point.positive.bucket_counts) <= 160
        else:
            assert list(point.explicit_bounds)[:2] == [0.005, 0.01]
            assert sum(point.bucket_counts) == point.count
        assert not point.HasField("min")
        resource = {
            pair.key: pair.value.string_value for pair in received.requests[0].resource_metrics[0].resource.attributes
        }
        assert resource["service.name"] == "shop"
        assert (export.exports, export.failures) == (2, 0)


@pytest.mark.parametrize("protocol", RECEIVERS)
def test_a_refused_delta_is_covered_by_the_next_and_said_once(protocol: str, caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder(cell([0.1]))
    collector = collector_of(recorder, {})
    with RECEIVERS[protocol]() as received, export_to(received, protocol, **{TEMPORALITY: "delta"}) as export:
        received.refuse = 2
        assert not export.export(latest(collector, START + 60))
        recorder.count(cell([0.1] * 4))
        assert not export.export(latest(collector, START + 120))
        recorder.count(cell([0.1] * 5))
        assert export.export(latest(collector, START + 180))
        assert (export.exports, export.failures) == (1, 2)
        ours = [record for record in caplog.records if "not accepted" in record.getMessage()]
        theirs = [record for record in caplog.records if record.name.startswith("opentelemetry")]
        assert (len(ours), len(theirs)) == (1, 1)
        # Accepted: it does not come again.
        assert export.export(latest(collector, START + 240))
        assert len(received.requests) == 1
        (point,) = received.metric(DURATION).histogram.data_points
        assert (point.count, point.start_time_unix_nano) == (5, round(START * 1e9))
        # What failed has worked meanwhile, so its next failure is news.
        received.refuse = 1
        recorder.count(cell([0.1] * 6))
        assert not export.export(latest(collector, START + 300))
        assert len([record for record in caplog.records if "not accepted" in record.getMessage()]) == 2


def test_a_receiver_that_is_not_there_is_a_failure_and_no_exception(caplog: pytest.LogCaptureFixture) -> None:
    with http_receiver() as received:
        url = received.url
    export = exporter_from_environment({ENDPOINT: url, PROTOCOL: "http/protobuf", "OTEL_METRIC_EXPORT_TIMEOUT": "50"})
    assert export is not None
    data = latest(collector_of(Recorder(cell([0.1])), {}), START)
    for _ in range(3):
        assert not export.export(data)
    assert export.failures == 3
    export.shutdown()
    assert len([record for record in caplog.records if record.name == "otelmon"]) == 1


def test_a_hanging_receiver_holds_an_export_no_longer_than_its_timeout_and_a_shutdown_not_at_all() -> None:
    with http_receiver() as received:
        received.hang.clear()
        with export_to(received, "http/protobuf", OTEL_EXPORTER_OTLP_TIMEOUT="0.3") as export:
            data = latest(collector_of(Recorder(cell([0.1])), {}), START)
            done = threading.Event()
            results: list[bool] = []

            def run() -> None:
                results.append(export.export(data))
                done.set()

            thread = threading.Thread(target=run)
            thread.start()
            export.shutdown()
            assert done.wait(30)
            thread.join()
            assert results == [False]
            assert not export.export(data)


def test_an_exporter_that_raises_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(MetricExporter):
        suppressed: Any = None

        def export(self, *_args: Any, **_kwargs: Any) -> MetricExportResult:
            self.suppressed = context.get_value(context._SUPPRESS_INSTRUMENTATION_KEY)
            raise RuntimeError("torn")

        def force_flush(self, timeout_millis: float = 0) -> bool:
            return True

        def shutdown(self, *_args: Any, **_kwargs: Any) -> None:
            raise RuntimeError("torn")

    exporter = Broken()
    export = OtlpExport(exporter, target="here", preference=Preference.DELTA)
    data = latest(collector_of(Recorder(cell([0.1])), {}), START)
    assert [export.export(data) for _ in range(2)] == [False, False]
    assert (exporter.suppressed, context.get_value(context._SUPPRESS_INSTRUMENTATION_KEY)) == (True, None)
    export.shutdown()
    export.shutdown()
    assert export.failures == 2
    assert len([record for record in caplog.records if "cannot be exported" in record.getMessage()]) == 1


@pytest.mark.parametrize("preference", Preference)
def test_nothing_to_say_is_not_sent(preference: Preference) -> None:
    class Never(MetricExporter):
        def export(self, *_args: Any, **_kwargs: Any) -> MetricExportResult:
            raise AssertionError

        def force_flush(self, timeout_millis: float = 0) -> bool:
            return True

        def shutdown(self, *_args: Any, **_kwargs: Any) -> None:
            pass

    export = OtlpExport(Never(), target="here", preference=preference)
    assert export.export(MetricsData(resource_metrics=[]))
    if preference is not Preference.CUMULATIVE:
        assert export.export(data_of())


def test_headers_and_compression_are_the_exporters_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-token=abc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    with http_receiver() as received, export_to(received, "http/protobuf") as export:
        assert export.export(latest(collector_of(Recorder(cell([0.1])), {}), START))
        assert received.headers[0]["x-token"] == "abc"
        assert received.headers[0]["content-encoding"] == "gzip"
        assert received.metric(DURATION) is not None


@pytest.mark.parametrize(
    ("environ", "kind", "endpoint"),
    [
        ({ENDPOINT: "http://c:4318"}, "http", "http://c:4318/v1/metrics"),
        ({ENDPOINT: "http://c:4318/"}, "http", "http://c:4318/v1/metrics"),
        ({ENDPOINT: "https://c/otlp", PROTOCOL: "http/protobuf"}, "http", "https://c/otlp/v1/metrics"),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "https://c/v1/metrics"}, "http", "https://c/v1/metrics"),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://m:4318/here", ENDPOINT: "http://c"}, "http", "http://m:4318/here"),
        ({ENDPOINT: "http://c:4317"}, "grpc", "c:4317"),
        ({ENDPOINT: "c:4317"}, "grpc", "c:4317"),
        ({ENDPOINT: "http://c:4318", PROTOCOL: "grpc"}, "grpc", "c:4318"),
        ({ENDPOINT: "http://c:4317", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/protobuf", PROTOCOL: "grpc"}, "http",
         "http://c:4317/v1/metrics"),
        ({ENDPOINT: "http://c:4318", "OTEL_METRICS_EXPORTER": "console, OTLP"}, "http", "http://c:4318/v1/metrics"),
    ],
)  # fmt: skip
def test_endpoint_and_protocol_are_read_as_the_specification_says(
    environ: dict[str, str], kind: str, endpoint: str
) -> None:
    export = exporter_from_environment(environ)
    assert export is not None
    assert f"proto.{kind}." in type(export._exporter).__module__
    assert export._exporter._endpoint == endpoint  # type: ignore[attr-defined]
    export.shutdown()


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {ENDPOINT: " "},
        {"OTEL_METRICS_EXPORTER": "otlp"},
        {ENDPOINT: "http://c:4318", "OTEL_METRICS_EXPORTER": "none"},
        {ENDPOINT: "http://c:4318", "OTEL_METRICS_EXPORTER": "prometheus"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318"},
    ],
)
def test_there_is_no_exporter_unless_metrics_are_to_be_exported(environ: dict[str, str]) -> None:
    assert exporter_from_environment(environ) is None


@pytest.mark.parametrize(
    "environ",
    [
        {ENDPOINT: "http://u:secret@c:port"},
        {ENDPOINT: "ftp://u:secret@c", PROTOCOL: "http/protobuf"},
        {ENDPOINT: "c:4318"},
        {ENDPOINT: "http://"},
    ],
)
def test_an_endpoint_that_is_none_is_refused_without_being_shown(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        exporter_from_environment(environ)
    assert ENDPOINT in str(caught.value)
    assert "secret" not in str(caught.value)


def test_interval_and_target_are_read_and_what_cannot_be_meant_is_ignored_aloud(
    caplog: pytest.LogCaptureFixture,
) -> None:
    base = {ENDPOINT: "http://user:secret@c:4318"}
    export = exporter_from_environment({**base, "OTEL_METRIC_EXPORT_INTERVAL": "15000"})
    assert export is not None
    assert (export.interval_seconds, export.target) == (15.0, "c:4318")
    export.shutdown()
    assert caplog.records == []
    wrong = {
        "OTEL_METRIC_EXPORT_INTERVAL": "-1",
        "OTEL_METRIC_EXPORT_TIMEOUT": "soon",
        TEMPORALITY: "sideways",
        PROTOCOL: "http/json",
    }
    export = exporter_from_environment({**base, **wrong})
    assert export is not None
    assert export.interval_seconds == 60.0
    for name in wrong:
        assert any(name in record.getMessage() for record in caplog.records)
    export.shutdown()


def test_nothing_of_the_exporters_is_loaded_without_an_endpoint() -> None:
    script = (
        "import sys, otelmon.collect.pipeline, otelmon.collect.collector, otelmon.collect.export as export\n"
        "assert export.exporter_from_environment({}) is None\n"
        "heavy = {'grpc', 'requests', 'numpy', 'httpx', 'sqlalchemy'}\n"
        "print([name for name in sys.modules if name.split('.')[0] in heavy or 'exporter' in name])"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=dict(os.environ))
    assert done.stdout.strip() == "[]"
