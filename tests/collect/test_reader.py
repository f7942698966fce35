from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from typing import Any

import pytest
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ExponentialHistogram, Histogram, InMemoryMetricReader, MetricsData
from opentelemetry.sdk.metrics.view import DropAggregation, View

from otelmon.collect.reader import ObservedSum, Reader, wants_exponential

SDK_LOGGER = "opentelemetry.sdk.metrics._internal.instrument"


def provider_with(reader: Reader, *others: InMemoryMetricReader, **more: Any) -> MeterProvider:
    return MeterProvider(metric_readers=[reader, *others], shutdown_on_exit=False, **more)


def metrics_of(data: MetricsData | None) -> dict[str, Any]:
    return {
        metric.name: metric.data
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def one(_options: CallbackOptions) -> Iterable[Observation]:
    return [Observation(1)]


def broken(_options: CallbackOptions) -> Iterable[Observation]:
    raise RuntimeError("the sensor is gone")


def test_nothing_measured_is_none_and_not_the_data_of_the_time_before() -> None:
    reader = Reader()
    meter = provider_with(reader).get_meter("app")
    assert reader.pull() is None
    alive = [Observation(1)]
    meter.create_observable_gauge("depth", [lambda _options: alive])
    assert set(metrics_of(reader.pull())) == {"depth"}
    alive.clear()
    assert reader.pull() is None


def test_sums_stay_cumulative_from_collection_to_collection() -> None:
    reader = Reader()
    counter = provider_with(reader).get_meter("app").create_counter("orders")
    for expected in (1, 2, 3):
        counter.add(1)
        assert metrics_of(reader.pull())["orders"].data_points[0].value == expected


def test_an_observable_counter_is_told_from_one_that_the_application_adds_to() -> None:
    reader = Reader()
    meter = provider_with(reader).get_meter("app")
    counter = meter.create_counter("added")
    counter.add(1)
    meter.create_observable_counter("observed", [one])
    for round_number in range(3):
        found = metrics_of(reader.pull())
        assert isinstance(found["observed"], ObservedSum)
        assert not isinstance(found["added"], ObservedSum)
        # Not the time of the first collection: whoever is sent it would take all of it for counted since then.
        assert [point.start_time_unix_nano for point in found["observed"].data_points] == [0]
        assert all(point.start_time_unix_nano for point in found["added"].data_points)
        counter.add(1, {"round": round_number})


def test_a_counter_that_begins_amid_a_collection_is_mistaken_until_it_counts_between_two() -> None:
    reader = Reader()
    meter = provider_with(reader).get_meter("app")
    counter = meter.create_counter("added")

    def adding(_options: CallbackOptions) -> Iterable[Observation]:
        counter.add(1)
        return []

    meter.create_observable_gauge("depth", [adding])
    assert isinstance(metrics_of(reader.pull())["added"], ObservedSum)
    assert isinstance(metrics_of(reader.pull())["added"], ObservedSum)
    counter.add(1, {"k": "v"})
    for _ in range(2):
        assert not isinstance(metrics_of(reader.pull())["added"], ObservedSum)


def test_a_callback_that_raises_costs_its_own_points_only_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    reader = Reader()
    meter = provider_with(reader).get_meter("app")
    meter.create_observable_gauge("first", [one])
    meter.create_observable_gauge("broken", [broken])
    meter.create_observable_gauge("last", [one])
    for _ in range(3):
        assert set(metrics_of(reader.pull())) == {"first", "last"}
    assert reader.faults.counts["callback"] == 3
    assert [record.getMessage() for record in caplog.records] == ["Callback failed for instrument broken."]
    assert "the sensor is gone" in caplog.text


def test_the_application_s_own_readers_log_as_before(caplog: pytest.LogCaptureFixture) -> None:
    reader, other = Reader(), InMemoryMetricReader()
    provider_with(reader, other).get_meter("app").create_observable_gauge("broken", [broken])
    reader.pull()
    reader.pull()
    other.collect()
    other.collect()
    assert len(caplog.records) == 3
    assert reader.faults.counts["callback"] == 2


def test_a_closed_reader_gives_nothing_says_nothing_and_leaves_no_filter(caplog: pytest.LogCaptureFixture) -> None:
    before = list(logging.getLogger(SDK_LOGGER).filters)
    reader = Reader()
    provider = provider_with(reader)
    provider.get_meter("app").create_counter("orders").add(1)
    provider.shutdown()
    reader.shutdown()
    assert reader.closed
    assert reader.pull() is None
    assert reader.force_flush()
    assert caplog.records == []
    assert logging.getLogger(SDK_LOGGER).filters == before


def test_flushing_and_collecting_from_other_threads_takes_nothing_away() -> None:
    reader = Reader()
    provider = provider_with(reader)
    counter = provider.get_meter("app").create_counter("orders")
    stop = threading.Event()

    def disturb() -> None:
        while not stop.is_set():
            provider.force_flush()
            reader.collect()

    others = [threading.Thread(target=disturb) for _ in range(2)]
    for other in others:
        other.start()
    try:
        for expected in range(1, 200):
            counter.add(1)
            assert metrics_of(reader.pull())["orders"].data_points[0].value == expected
    finally:
        stop.set()
        for other in others:
            other.join()


def test_histograms_are_explicit_unless_the_standard_variable_asks_otherwise() -> None:
    assert not wants_exponential({})
    name = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
    assert wants_exponential({name: " BASE2_exponential_bucket_histogram"})
    assert not wants_exponential({name: "explicit_bucket_histogram"})
    for reader, kind in ((Reader(), Histogram), (Reader(exponential=True), ExponentialHistogram)):
        meter = provider_with(reader).get_meter("app")
        meter.create_histogram("took", "s", explicit_bucket_boundaries_advisory=[0.5, 1]).record(0.7)
        data = metrics_of(reader.pull())["took"]
        assert isinstance(data, kind)
        if kind is Histogram:
            assert data.data_points[0].explicit_bounds == (0.5, 1)


def test_the_duration_of_requests_is_exact_where_the_application_measures_it_itself() -> None:
    reader = Reader(exact_requests=True)
    meter = provider_with(reader, views=[View(instrument_name="dropped", aggregation=DropAggregation())]).get_meter("a")
    for name in ("http.server.request.duration", "other", "dropped"):
        meter.create_histogram(name, "s", explicit_bucket_boundaries_advisory=[0.5, 1]).record(0.7)
    found = metrics_of(reader.pull())
    assert isinstance(found["http.server.request.duration"], ExponentialHistogram)
    assert isinstance(found["other"], Histogram)
    assert set(found) == {"http.server.request.duration", "other"}


def test_a_slow_callback_does_not_lose_the_other_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    # The SDK raises, and loses the whole collection, when a callback outlasts the time given; that is a minute.
    clock = [0]
    real = time.time_ns
    monkeypatch.setattr("opentelemetry.sdk.metrics._internal.measurement_consumer.time_ns", lambda: real() + clock[0])

    def slow(_options: CallbackOptions) -> Iterable[Observation]:
        clock[0] += 20 * 10**9
        return [Observation(1)]

    reader = Reader()
    meter = provider_with(reader).get_meter("app")
    meter.create_observable_gauge("slow", [slow])
    meter.create_observable_gauge("after", [one])
    assert set(metrics_of(reader.pull())) == {"slow", "after"}
