from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource

from otelmon.collect.collector import Collector
from otelmon.collect.reader import Reader
from otelmon.instrument.model import RequestSnapshot
from otelmon.sample import Sample, is_stale
from tests.collect.making import START, Recorder, by_text, cell, starts

COUNT = "http_server_request_duration_seconds_count"
RESOURCE = Resource({"service.name": "shop", "host.name": "h1"})


def collector_of(recorder: Any = None, *, reader: Reader | None = None, **more: Any) -> Collector:
    return Collector(reader, recorder=recorder, job="shop", instance="h1", resource=RESOURCE, **more)


def app() -> tuple[Reader, Any]:
    reader = Reader()
    return reader, MeterProvider(metric_readers=[reader], resource=RESOURCE, shutdown_on_exit=False).get_meter("app")


def counts(samples: Iterable[Sample]) -> dict[str, tuple[Any, float | None]]:
    """By status: value and start of the request counts."""
    return {
        sample.labels.get("http_response_status_code", ""): (
            "stale" if isinstance(sample.value, float) and is_stale(sample.value) else sample.value,
            sample.start_at,
        )
        for sample in samples
        if sample.labels.metric_name == COUNT
    }


def test_the_first_collection_counts_from_the_recorder_s_start() -> None:
    collector = collector_of(Recorder(cell([0.1])))
    samples = collector.collect(START + 15)
    assert counts(samples) == {"200": (1.0, START)}
    assert {sample.at for sample in samples} == {START + 15}


def test_the_first_error_of_a_new_series_counts_from_the_collection_before() -> None:
    recorder = Recorder(cell([0.1]))
    collector = collector_of(recorder)
    collector.collect(START + 15)
    recorder.count(cell([0.1]), cell([0.1], status=500))
    assert counts(collector.collect(START + 30)) == {"200": (1.0, None), "500": (1.0, START + 15)}
    assert counts(collector.collect(START + 45)) == {"200": (1.0, None), "500": (1.0, None)}


def test_a_start_never_reaches_the_sample_that_it_precedes() -> None:
    (value, start_at) = counts(collector_of(Recorder(cell([0.1]))).collect(START - 5))["200"]
    assert value == 1.0
    assert start_at is not None
    assert START - 6 < start_at < START - 5


def test_a_series_that_is_gone_ends_once() -> None:
    recorder = Recorder(cell([0.1]), cell([0.1], status=500))
    collector = collector_of(recorder)
    collector.collect(START + 15)
    recorder.count(cell([0.1]))
    ended = [
        sample for sample in collector.collect(START + 30) if isinstance(sample.value, float) and is_stale(sample.value)
    ]
    # All series of the cell: count, sum, native and sixteen buckets less the one of no bound.
    assert len(ended) == 3 + 15
    assert {sample.at for sample in ended} == {START + 30}
    assert {sample.labels["http_response_status_code"] for sample in ended} == {"500"}
    assert counts(collector.collect(START + 45)) == {"200": (1.0, None)}


def test_a_series_that_comes_back_counts_from_the_collection_that_missed_it() -> None:
    recorder = Recorder(cell([0.1]))
    collector = collector_of(recorder)
    collector.collect(START + 15)
    recorder.count()
    collector.collect(START + 30)
    recorder.count(cell([0.1]))
    assert counts(collector.collect(START + 45)) == {"200": (1.0, START + 30)}


def test_every_instrument_of_the_application_becomes_samples() -> None:
    reader, meter = app()
    collector = collector_of(reader=reader)
    meter.create_counter("orders").add(3, {"kind": "book"})
    meter.create_up_down_counter("inside").add(-2)
    meter.create_gauge("depth").set(7)
    meter.create_histogram("took", "s", explicit_bucket_boundaries_advisory=[1.0]).record(0.5)
    meter.create_observable_counter("boot", [lambda _: [Observation(9)]], "s")
    meter.create_observable_up_down_counter("open", [lambda _: [Observation(4)]], "{file}")
    meter.create_observable_gauge("used", [lambda _: [Observation(0.5)]], "1")
    assert by_text(collector.collect(START)) == {
        'target_info{host_name="h1"}': 1.0,
        'orders_total{kind="book"}': 3.0,
        "inside{}": -2.0,
        "depth{}": 7.0,
        "took_seconds_count{}": 1.0,
        "took_seconds_sum{}": 0.5,
        'took_seconds_bucket{le="1.0"}': 1.0,
        'took_seconds_bucket{le="+Inf"}': 1.0,
        "boot_seconds_total{}": 9.0,
        "open{}": 4.0,
        "used_ratio{}": 0.5,
    }
    assert collector.failures == 0


def test_a_user_s_first_error_counts_and_a_machine_s_old_counter_does_not_jump() -> None:
    import time

    reader, meter = app()
    collector = collector_of(reader=reader)
    meter.create_observable_counter("boot", [lambda _: [Observation(1e9)]], "s")
    meter.create_counter("orders").add(1)
    first = time.time()
    collector.collect(first)
    meter.create_counter("failed").add(1)
    now = time.time() + 1
    found = starts(collector.collect(now))
    assert found["boot_seconds_total{}"] is None
    assert found["orders_total{}"] is None
    assert first <= (found["failed_total{}"] or 0) < now


def test_a_callback_that_raises_loses_its_own_series_only_and_is_counted() -> None:
    reader, meter = app()
    fails = [False]

    def depth(_options: CallbackOptions) -> Iterable[Observation]:
        if fails[0]:
            raise RuntimeError("gone")
        return [Observation(1)]

    meter.create_observable_gauge("depth", [depth])
    meter.create_counter("orders").add(1)
    collector = collector_of(Recorder(cell([0.1])), reader=reader)
    collector.collect(START)
    fails[0] = True
    found = by_text(collector.collect(START + 15))
    assert found["depth{}"] == "stale"
    assert found["orders_total{}"] == 1.0
    assert collector.failures == 1


def test_a_recorder_that_breaks_neither_stops_the_rest_nor_ends_its_series(caplog: pytest.LogCaptureFixture) -> None:
    reader, meter = app()
    meter.create_counter("orders").add(1)

    class Breaking(Recorder):
        broken = False

        def snapshot(self) -> RequestSnapshot:
            if self.broken:
                raise RuntimeError("torn")
            return super().snapshot()

    recorder = Breaking(cell([0.1]))
    collector = collector_of(recorder, reader=reader)
    collector.collect(START + 15)
    recorder.broken = True
    for at in (START + 30, START + 45):
        found = by_text(collector.collect(at))
        assert found["orders_total{}"] == 1.0
        assert "stale" not in found.values()
    assert collector.failures == 2
    assert len([record for record in caplog.records if "torn" in record.getMessage()]) == 1
    recorder.broken = False
    assert counts(collector.collect(START + 60)) == {"200": (1.0, None)}


def test_an_sdk_that_breaks_neither_stops_the_requests_nor_ends_its_series(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, meter = app()
    meter.create_counter("orders").add(1)
    collector = collector_of(Recorder(cell([0.1])), reader=reader)
    collector.collect(START)

    def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(reader, "_collect", refuse)
        found = by_text(collector.collect(START + 15))
    assert "stale" not in found.values()
    assert any(text.startswith(COUNT) for text in found)
    assert collector.failures == 1
    assert by_text(collector.collect(START + 30))["orders_total{}"] == 1.0


def test_the_same_series_of_two_scopes_is_taken_once_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    reader = Reader()
    provider = MeterProvider(metric_readers=[reader], resource=RESOURCE, shutdown_on_exit=False)
    provider.get_meter("first").create_counter("orders").add(1)
    provider.get_meter("second").create_counter("orders").add(10)
    collector = collector_of(reader=reader)
    for at in (START, START + 15):
        samples = [sample for sample in collector.collect(at) if sample.labels.metric_name == "orders_total"]
        assert [sample.value for sample in samples] == [1.0]
    assert collector.faults.counts["duplicate"] == 2
    assert len([record for record in caplog.records if "orders_total" in record.getMessage()]) == 1


def test_series_are_bounded_and_the_oldest_stay(caplog: pytest.LogCaptureFixture) -> None:
    reader, meter = app()
    counter = meter.create_counter("orders")
    for user in range(50):
        counter.add(1, {"user": user})
    collector = collector_of(reader=reader, max_series=11)
    samples = collector.collect(START)
    assert {sample.labels.get("user") for sample in samples} == {None, *map(str, range(10))}
    assert collector.overflowed == 40
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1


def test_a_clock_that_jumps_leaves_starts_in_order() -> None:
    recorder = Recorder(cell([0.1]))
    collector = collector_of(recorder)
    collector.collect(START + 15)
    collector.shift(-3600)
    recorder.count(cell([0.1]), cell([0.1], status=500))
    assert counts(collector.collect(START - 3570))["500"] == (1.0, pytest.approx(START - 3570, abs=0.01))


def test_the_latest_data_is_the_sdk_s_and_ours_in_the_form_asked_for() -> None:
    reader, meter = app()
    meter.create_counter("orders").add(1)
    for exponential, field in ((False, "histogram"), (True, "exponential_histogram")):
        collector = collector_of(Recorder(cell([0.1])), reader=reader, exponential=exponential)
        assert collector.latest is None
        collector.collect(START + 15)
        assert collector.latest is not None
        request = encode_metrics(collector.latest)
        (resource,) = request.resource_metrics
        metrics = {metric.name: metric for scope in resource.scope_metrics for metric in scope.metrics}
        assert set(metrics) == {"orders", "http.server.request.duration"}
        assert metrics["http.server.request.duration"].WhichOneof("data") == field


def test_without_an_sdk_the_requests_are_data_enough() -> None:
    collector = collector_of(Recorder(cell([0.1])))
    found = by_text(collector.collect(START + 15))
    assert found['target_info{host_name="h1"}'] == 1.0
    assert collector.latest is not None
    assert collector.latest.resource_metrics[0].resource == RESOURCE


@settings(max_examples=40, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from([200, 404, 500, 503]), st.integers(1, 5)), min_size=1, max_size=8))
def test_zeros_at_the_starts_make_increases_add_up_to_what_happened(rounds: list[dict[int, int]]) -> None:
    recorder = Recorder()
    collector = collector_of(recorder)
    total: dict[int, int] = {}
    seen: dict[str, float] = {}
    increase = 0.0
    for number, happened in enumerate(rounds, 1):
        for status, times in happened.items():
            total[status] = total.get(status, 0) + times
        recorder.count(*(cell([0.1] * times, status=status) for status, times in total.items()))
        for status, (value, start_at) in counts(collector.collect(START + 15 * number)).items():
            assert (start_at is not None) is (status not in seen)
            increase += value - seen.get(status, 0.0)
            seen[status] = value
    assert increase == sum(total.values())
