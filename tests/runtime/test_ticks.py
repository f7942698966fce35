"""What a good tick is, and how otelmon's own figures come to the rules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics import MeterProvider

from otelmon.collect.meter import OwnMeter
from otelmon.collect.reader import Reader
from otelmon.labels import Labels
from otelmon.promql.evaluation import Failed
from otelmon.promql.query import Query
from otelmon.runtime.ticks import Flaw, Tick, Ticks
from otelmon.runtime.vitals import Vitals
from tests.e2e.simulation import Simulation
from tests.runtime.broken import BreakingStorage

RULES = "alerts:\n  busy: {expr: 'sum(rate(http_server_request_duration_seconds_count[1m])) > 1'}\n"


class Watched:
    """A simulation whose ticks are judged, with otelmon's own metrics on its reader."""

    def __init__(self, folder: Path, config: str = RULES) -> None:
        (folder / "otelmon.yaml").write_text(config, encoding="utf-8")
        self.reader = Reader()
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.disk = BreakingStorage()
        self.simulation = Simulation(folder / "otelmon.yaml", disk=self.disk, reader=self.reader)
        settings = self.simulation.settings
        self.ticks = Ticks(
            interval_seconds=settings.interval_seconds,
            monotonic=self.simulation.clock.monotonic,
            faults=self.simulation.faults,
        )
        self.ticks.begin()
        self.vitals = Vitals(settings, self.simulation.engine, self.ticks, self.simulation.faults, pages=True)
        self.meter = OwnMeter(self.provider, "otelmon")
        self.vitals.measure(self.meter)

    def tick(self, times: int = 1) -> Tick:
        for _ in range(times):
            self.simulation.clock.advance(15.0)
            self.simulation.request()
            self.ticks.run(self.simulation.engine, self.simulation.clock.now())
        assert self.ticks.last is not None
        return self.ticks.last

    def value(self, expr: str) -> dict[Labels, float]:
        found = Query(expr).evaluate(self.simulation.window, self.simulation.clock.now())
        assert not isinstance(found, Failed)
        return {each.labels: each.value for each in found.vector if isinstance(each.value, float)}

    def one(self, expr: str) -> float:
        (value,) = self.value(expr).values()
        return value


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path)
    yield made
    made.simulation.close()


def test_a_tick_that_collects_evaluates_and_writes_is_good(watched: Watched) -> None:
    assert watched.tick(4).flaw is None
    assert (watched.ticks.count, watched.ticks.failed) == (4, 0)


def test_a_tick_whose_decisions_reach_no_disk_is_not_good_and_the_next_that_do_is(watched: Watched) -> None:
    watched.tick()
    watched.disk.broken = True
    assert watched.tick(2).flaw is Flaw.STATE
    watched.disk.broken = False
    assert watched.tick().flaw is None
    assert (watched.ticks.count, watched.ticks.failed) == (4, 2)


def test_a_tick_without_a_disk_at_all_is_not_good(watched: Watched) -> None:
    watched.simulation.engine.disk = None
    assert watched.tick().flaw is Flaw.STATE


def test_a_metric_of_the_users_that_fails_spoils_no_tick_but_a_source_that_cannot_be_read_does(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def torn(_: object) -> Iterator[object]:
        raise RuntimeError("torn")

    watched.provider.get_meter("shop").create_observable_gauge("carts", [torn])  # type: ignore[list-item]
    assert watched.tick().flaw is None

    def unreadable() -> None:
        raise RuntimeError("torn")

    monkeypatch.setattr(watched.reader, "pull", unreadable)
    assert watched.tick().flaw is Flaw.COLLECT


def test_one_rule_that_fails_spoils_no_tick_but_all_of_them_do(tmp_path: Path) -> None:
    requests = "http_server_request_duration_seconds_count"
    watched = Watched(tmp_path, f"alerts:\n  bad: {{expr: '{requests} + on (job) {requests} > 0'}}\n")
    watched.simulation.request("/other")
    assert watched.tick(2).flaw is None
    assert watched.simulation.faults.counts["rule.bad"] == 2
    rules = list(watched.simulation.engine.rules.watched)
    (bad,) = (each.query for each in rules if each.rule.name == "bad")
    for each in rules:
        each.query = bad
    assert watched.tick().flaw is Flaw.EVALUATE
    watched.simulation.close()


def test_a_tick_that_raises_is_counted_and_told_to_those_who_listen(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Tick] = []

    def raising(_: Tick) -> None:
        raise RuntimeError("a listener broke")

    watched.ticks.follow(raising)
    with watched.ticks.listening(heard.append):
        monkeypatch.setattr(watched.simulation.engine, "journal", None)
        assert watched.tick().flaw is Flaw.TICK
    watched.tick()
    assert [tick.flaw for tick in heard] == [Flaw.TICK]


def test_a_tick_is_late_two_intervals_and_some_seconds_after_the_last(watched: Watched) -> None:
    watched.tick()
    assert watched.ticks.patience_seconds == 35
    watched.simulation.clock.advance(36.0)
    assert watched.ticks.patience_seconds == -1
    watched.tick()
    assert watched.ticks.patience_seconds == 35


def test_rules_see_how_long_ticks_and_rules_take_and_how_many_series_there_are(watched: Watched) -> None:
    watched.tick(4)
    assert watched.one("histogram_count(otelmon_tick_duration_seconds) or otelmon_tick_duration_seconds_count") == 3
    groups = watched.value("otelmon_rule_evaluation_duration_seconds_count")
    assert {labels["otelmon_rule_group"] for labels in groups} >= {"otelmon"}
    assert watched.one("otelmon_series") == pytest.approx(watched.simulation.window.series_count, abs=5)
    assert watched.one("otelmon_series_limit") == watched.simulation.settings.max_series
    assert watched.one("otelmon_series_overflow_total") == 0
    assert watched.value("otelmon_fault_total") == {}


def test_a_tick_that_fails_says_what_it_lacked(watched: Watched) -> None:
    watched.disk.broken = True
    watched.tick(2)
    watched.disk.broken = False
    watched.tick(2)
    (labels,) = watched.value('otelmon_tick_duration_seconds_count{error_type!=""}')
    assert labels["error_type"] == "state"
    assert watched.one('otelmon_fault_total{otelmon_fault_kind="state"}') == 2


def test_faults_of_many_rules_are_one_series(watched: Watched) -> None:
    for number in range(50):
        watched.simulation.faults.add(f"rule.r{number}", "it cannot be evaluated")
    watched.tick()
    assert watched.one('otelmon_fault_total{otelmon_fault_kind="rule"}') == 50


def test_dropped_series_fire_the_rule_and_nothing_fires_before(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.simulation.window.max_series = 200
    watched.tick(8)
    assert watched.simulation.window.overflowed == 0
    assert watched.simulation.triggered == []
    users = watched.provider.get_meter("shop").create_counter("users")
    for number in range(300):
        users.add(1, {"id": number})
    watched.tick(3)
    watched.simulation.deliver()
    assert [name for _, name in watched.simulation.triggered] == ["series_overflow"]
    watched.simulation.close()


def test_otelmons_own_series_are_kept_when_the_users_fill_the_collection(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    meter = watched.provider.get_meter("a")
    users = meter.create_counter("users")
    for number in range(300):
        users.add(1, {"id": number})
    watched.simulation.engine.collector._max_series = 100
    watched.tick(4)
    assert watched.one("otelmon_series_overflow_total") > 200
    watched.simulation.close()
