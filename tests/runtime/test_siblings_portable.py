"""Workers of an app with an OpenTelemetry pipeline of its own: what its instruments measure becomes one as well."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider

from otelmon.collect.collector import Collector
from otelmon.collect.reader import Reader
from otelmon.faults import Faults
from otelmon.histogram import Histogram
from otelmon.runtime.siblings import Siblings
from otelmon.storage.lease import Moment
from otelmon.storage.sqlite import SqliteStorage
from otelmon.testing import FakeClock

ABOUT = {"job": "shop", "instance": "host"}


class Portable:
    """A process whose app measures with its own provider."""

    def __init__(self, folder: Path, clock: FakeClock, *, lag: float = 0.0) -> None:
        self.clock = clock
        self.faults = Faults()
        provider = MeterProvider(shutdown_on_exit=False)
        reader = Reader(exact_requests=True, faults=self.faults)
        provider.add_metric_reader(reader)
        meter = provider.get_meter("app")
        self.durations = meter.create_histogram("http.server.request.duration", unit="s")
        self.orders = meter.create_counter("orders")
        self.in_use = meter.create_up_down_counter("connections")
        self.collections = 0
        meter.create_observable_counter("gc.runs", callbacks=[lambda _: [Observation(self.collections)]])
        meter.create_observable_gauge("otelmon.event_loop.lag", unit="s", callbacks=[lambda _: [Observation(lag)]])
        meter.create_observable_gauge("system.filesystem.utilization", unit="1", callbacks=[self.disk])
        self.full = 0.5
        self.siblings = Siblings(folder, about=ABOUT, boot="", interval_seconds=15, clock=clock, faults=self.faults)
        self.collector = Collector(reader, recorder=None, **ABOUT, shared=self.siblings)

    def disk(self, _: CallbackOptions) -> list[Observation]:
        return [Observation(self.full)]

    def leave(self) -> None:
        self.collector.count(self.clock.now())
        self.collector.leave()

    def evaluate(self) -> dict[str, float | Histogram]:
        self.clock.advance(1)
        self.collector.gather()
        samples = self.collector.collect(self.clock.now())
        self.collector.leave()
        return {sample.labels.metric_name: sample.value for sample in samples if "le" not in sample.labels}


def quantile(histogram: Histogram, q: float) -> float:
    """The middle of the bucket in which it lies."""
    rank, seen = q * histogram.count, histogram.zero_count
    base = 2.0 ** (2.0**-histogram.scale)
    for index, count in zip(histogram.positive.indices, histogram.positive.counts, strict=True):
        seen += count
        if seen >= rank:
            return float(base ** (index - 0.5))
    raise AssertionError("no such quantile")


def test_the_apps_own_instruments_are_merged_by_kind(tmp_path: Path) -> None:
    # The files' times are the machine's; a clock that stands at them finds every process fresh.
    clock = FakeClock(start=tmp_path.stat().st_mtime)
    storage = SqliteStorage(tmp_path / "state.db")
    holder, other = Portable(tmp_path, clock, lag=0.1), Portable(tmp_path, clock, lag=0.4)
    assert storage.take_lease(holder.siblings.id, Moment(boot="", monotonic=1.0, wall=clock.now()), 20)
    holder.siblings.begin_term(storage)
    chance = random.Random(7)
    seconds = [chance.lognormvariate(-3, 1) for _ in range(4000)]
    for number, each in enumerate(seconds):
        # One process has the slow ones too, so that the SDK gives the two different scales.
        (other if number % 3 else holder).durations.record(min(each, 0.2) if not number % 3 else each)
    spent = sorted(min(each, 0.2) if not number % 3 else each for number, each in enumerate(seconds))
    for process, orders in ((holder, 3), (other, 4)):
        process.orders.add(orders)
        process.in_use.add(10 * orders)
        process.collections = 100 * orders
    other.full = 0.9
    other.leave()
    found = holder.evaluate()
    merged = found["http_server_request_duration_seconds"]
    assert isinstance(merged, Histogram)
    assert merged.count == found["http_server_request_duration_seconds_count"] == len(seconds)
    assert merged.sum == pytest.approx(sum(spent))
    width = 2.0 ** (2.0**-merged.scale) - 1  # the SDK's resolution is what it is; merging loses none of it
    assert merged.scale >= 3
    assert quantile(merged, 0.95) == pytest.approx(spent[int(0.95 * len(spent)) - 1], rel=width)
    assert (found["orders_total"], found["connections"], found["gc_runs_total"]) == (7, 70, 700)
    assert found["otelmon_event_loop_lag_seconds"] == 0.4
    assert found["system_filesystem_utilization_ratio"] == 0.5  # the holder's own
    other.siblings.close()
    found = holder.evaluate()
    assert (found["orders_total"], found["connections"]) == (7, 30)  # what was counted stays, what was held is free
    assert found["otelmon_event_loop_lag_seconds"] == 0.1
    assert holder.evaluate()["orders_total"] == 7
    assert not holder.faults.counts
    storage.close()
