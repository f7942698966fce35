from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from opentelemetry import metrics
from opentelemetry.metrics import NoOpMeterProvider, Observation
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider, TraceBasedExemplarFilter
from opentelemetry.sdk.metrics.export import ExponentialHistogram, InMemoryMetricReader
from opentelemetry.sdk.resources import Resource

from otelmon.collect.collector import Collector
from otelmon.collect.pipeline import Pipeline, open_pipeline
from otelmon.runtime.auto import MetricsExporter
from tests.collect.making import START, by_text
from tests.collect.test_reader import metrics_of

pytestmark = pytest.mark.usefixtures("unset_provider")


def opened(**more: Any) -> Pipeline:
    return open_pipeline(**{"service_name": "shop", "host": "h1", **more})


def names(pipeline: Pipeline) -> set[str]:
    return set(metrics_of(pipeline.reader.pull()))


def test_an_app_without_a_provider_gets_one_that_counts_for_instruments_made_before() -> None:
    early = metrics.get_meter("app").create_counter("orders")
    pipeline = opened()
    early.add(1)
    assert metrics.get_meter_provider() is pipeline.provider
    assert not pipeline.portable
    assert names(pipeline) == {"orders"}


def test_the_resource_is_the_service_its_environment_and_host_and_what_the_variable_adds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.version=1.2,service.name=other,host.name=pod-7")
    attributes = opened(environment="production").resource.attributes
    assert attributes["service.name"] == "shop"
    assert attributes["deployment.environment.name"] == "production"
    assert attributes["service.version"] == "1.2"
    assert attributes["host.name"] == "pod-7"


def test_an_app_s_own_provider_is_used_and_never_replaced(caplog: pytest.LogCaptureFixture) -> None:
    theirs = InMemoryMetricReader()
    provider = MeterProvider([theirs], resource=Resource({"service.name": "mine"}), shutdown_on_exit=False)
    metrics.set_meter_provider(provider)
    for portable in (False, True):
        pipeline = opened(portable=portable)
        assert pipeline.provider is metrics.get_meter_provider() is provider
        assert pipeline.portable
        assert pipeline.resource.attributes["service.name"] == "mine"
        meter = metrics.get_meter("app")
        meter.create_counter("orders").add(1)
        meter.create_histogram("http.server.request.duration", "s").record(0.1)
        found = metrics_of(pipeline.reader.pull())
        assert set(found) == {"orders", "http.server.request.duration"}
        assert isinstance(found["http.server.request.duration"], ExponentialHistogram)
        pipeline.close()
    # The application's pipeline goes on.
    metrics.get_meter("app").create_counter("later").add(1)
    assert "later" in metrics_of(theirs.get_metrics_data())
    assert caplog.records == []


@pytest.fixture
def no_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What serves in the process of the tests is left alone."""
    monkeypatch.setattr("otelmon.runtime.auto.watch_servers", lambda: None)


@pytest.mark.usefixtures("no_servers")
def test_a_reader_that_the_sdk_s_configuration_made_is_taken_up_and_no_second_one_added() -> None:
    """OTEL_METRICS_EXPORTER=otelmon: the SDK makes the reader, with its arguments, and puts it on its provider."""
    reader = MetricsExporter(anything="from a declarative configuration")
    provider = MeterProvider([reader], shutdown_on_exit=False)
    metrics.set_meter_provider(provider)
    pipeline = opened()
    assert pipeline.reader is reader
    assert pipeline.portable
    metrics.get_meter("app").create_counter("orders").add(1)
    assert "orders" in names(pipeline)
    pipeline.close()
    again = opened()
    assert again.reader is not reader
    metrics.get_meter("app").create_counter("later").add(1)
    assert "later" in names(again)
    again.close()


def test_switched_off_the_reader_of_the_sdk_s_configuration_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTELMON_ENABLED", "false")
    reader = MetricsExporter()
    metrics.set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))
    pipeline = opened()
    assert pipeline.reader is not reader
    pipeline.close()


def test_a_provider_that_takes_no_readers_is_left_alone_and_said(caplog: pytest.LogCaptureFixture) -> None:
    theirs = NoOpMeterProvider()
    metrics.set_meter_provider(theirs)
    pipeline = opened()
    assert metrics.get_meter_provider() is theirs
    assert "NoOpMeterProvider" in caplog.text
    pipeline.meter.create_counter("ours").add(1)
    assert names(pipeline) == {"ours"}


def test_starting_again_takes_up_the_provider_and_replaces_the_callbacks(caplog: pytest.LogCaptureFixture) -> None:
    first = opened()
    first.meter.create_observable_gauge("depth", [lambda _: [Observation(1)]])
    assert metrics_of(first.reader.pull())["depth"].data_points[0].value == 1
    first.close()
    first.close()
    assert first.reader.closed
    second = opened()
    assert second.provider is first.provider
    assert not second.portable
    # Silent until it is made again: its sampler is gone.
    assert names(second) == set()
    second.meter.create_observable_gauge("depth", [lambda _: [Observation(2)]])
    (point,) = metrics_of(second.reader.pull())["depth"].data_points
    assert point.value == 2
    second.close()
    assert [record for record in caplog.records if "conflict" not in record.getMessage()] == []


def test_a_run_that_ends_late_takes_nothing_from_the_one_after() -> None:
    first, second = opened(), opened()
    first.meter.create_observable_gauge("depth", [lambda _: [Observation(1)]])
    second.meter.create_observable_gauge("depth", [lambda _: [Observation(2)]])
    first.close()
    assert names(second) == {"depth"}
    second.close()


def test_closing_leaves_an_application_that_can_still_measure() -> None:
    pipeline = opened()
    pipeline.close()
    metrics.get_meter("app").create_counter("orders").add(1)
    assert pipeline.reader.pull() is None


def test_the_exemplar_filter_is_the_standard_variable_s_and_a_wrong_one_is_ignored(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from otelmon.collect import pipeline as module

    assert isinstance(module._new_provider(Resource({}))._sdk_config.exemplar_filter, TraceBasedExemplarFilter)
    monkeypatch.setenv("OTEL_METRICS_EXEMPLAR_FILTER", "always_off")
    assert isinstance(module._new_provider(Resource({}))._sdk_config.exemplar_filter, AlwaysOffExemplarFilter)
    assert caplog.records == []
    monkeypatch.setenv("OTEL_METRICS_EXEMPLAR_FILTER", "sometimes")
    assert isinstance(module._new_provider(Resource({}))._sdk_config.exemplar_filter, TraceBasedExemplarFilter)
    assert "OTEL_METRICS_EXEMPLAR_FILTER" in caplog.text


@pytest.mark.parametrize("portable", [False, True])
def test_a_user_s_meter_reaches_the_samples_in_both_modes(portable: bool) -> None:
    if portable:
        metrics.set_meter_provider(MeterProvider(resource=Resource({"service.name": "s"}), shutdown_on_exit=False))
    pipeline = opened(portable=portable)
    collector = Collector(pipeline.reader, recorder=None, job="shop", instance="h1", resource=pipeline.resource)
    metrics.get_meter("app").create_counter("orders", "{order}").add(2, {"kind": "book"})
    assert by_text(collector.collect(START))['orders_total{kind="book"}'] == 2.0


def test_a_process_ends_without_a_word() -> None:
    script = (
        "from otelmon.collect.pipeline import open_pipeline\n"
        "from opentelemetry import metrics\n"
        "import logging, signal\n"
        "logging.basicConfig(level=logging.DEBUG)\n"
        "before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]\n"
        "pipeline = open_pipeline(service_name='shop', host='h1')\n"
        "metrics.get_meter('app').create_counter('orders').add(1)\n"
        "pipeline.reader.pull(); pipeline.close(); metrics.get_meter_provider().shutdown()\n"
        "assert before == [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]\n"
    )
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=dict(os.environ))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
