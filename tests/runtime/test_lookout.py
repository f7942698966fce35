"""Between two ticks: the engine wakes when a service falls silent, for the rules that look at it and nothing else."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from otelmon.alerts.by_hand import ByHand
from otelmon.collect.ingest import Ingest
from otelmon.collect.pipeline import Pipeline
from otelmon.collect.presence import Presence
from otelmon.config.load import load_settings
from otelmon.runtime.fleet import Fleet
from otelmon.runtime.lookout import Lookout
from otelmon.runtime.member import Member
from otelmon.runtime.monitor import Monitor
from otelmon.runtime.switch import PagingDecision
from otelmon.testing import FakeClock
from tests.e2e.fleet_simulation import ReplicaSimulation, ServerSimulation

INTERVAL = 15.0
# Who waits between two ticks: the engine, the lease, delivery, evidence, and what asks health endpoints.
THREADS = 5


class Turning(Presence):
    """Notes when the loop has turned."""

    def __init__(self) -> None:
        super().__init__(interval_seconds=INTERVAL)
        self.turned_at = 0.0
        self.turned = threading.Condition()

    def awake(self, at: float, *, patience_seconds: float) -> None:
        super().awake(at, patience_seconds=patience_seconds)
        with self.turned:
            self.turned_at = at
            self.turned.notify_all()

    def wait_for_turn(self, at: float) -> None:
        with self.turned:
            assert self.turned.wait_for(lambda: self.turned_at >= at, 60)


class Moved:
    """A server whose clock the test moves, and one replica that sends each 15 s until it is killed."""

    def __init__(self, folder: Path, config: str) -> None:
        path = folder / "otelmon.yaml"
        path.write_text(config, encoding="utf-8")
        self.clock = FakeClock()
        self.server = ServerSimulation(path, clock=self.clock)
        self.replica = ReplicaSimulation(self.server, path, "shop-1")

    def run(self, seconds: int, *, alive: bool = False) -> None:
        for _ in range(seconds):
            self.clock.advance(1.0)
            moment = round(self.clock.monotonic())
            if alive and moment % INTERVAL == 1:
                self.replica.send()
            if moment % INTERVAL == 0:
                self.server.tick()
            self.server.turn()

    def fired(self) -> dict[str, float]:
        """After how many seconds of silence each alert was paged, where the replica is killed when it has just sent."""
        return {name: at - self.server.presence.state()[0]["heard_at"] for at, name in self.server.triggered}


def test_the_loop_of_a_real_engine_wakes_before_its_next_tick(tmp_path: Path) -> None:
    clock = FakeClock()
    presence = Turning()

    def widen(member: Member, _: Pipeline) -> Member:
        ingest = Ingest(attendance=presence)
        fleet = Fleet(member.collector, ingest, presence, state_dir=tmp_path, faults=monitor.faults)
        return replace(member, collector=fleet, lookout=Lookout(presence, fleet.senders, interval_seconds=INTERVAL))

    (tmp_path / "otelmon.yaml").write_text("interval: 15s\n", encoding="utf-8")
    environ = {"OTELMON_STATE_DIR": str(tmp_path / "state"), "OTEL_SERVICE_NAME": "otelmon"}
    settings = load_settings(tmp_path / "otelmon.yaml", environ=environ, directory=tmp_path)
    monitor = Monitor(settings, PagingDecision(on=False, reason="the test says so"), clock=clock, widen=widen)
    began = clock.monotonic()
    try:
        monitor.run()
        presence.wait_for_turn(clock.now())
        presence.heard("shop", "shop-1", at=clock.now(), interval_seconds=INTERVAL)
        while not monitor.incidents and clock.monotonic() < began + 60:
            clock.wait_for_waiters(THREADS, 60)
            clock.advance(1.0)
            presence.wait_for_turn(clock.now())
        took = clock.monotonic() - began
    finally:
        monitor.stop()
    assert 1.75 * INTERVAL < took < 2 * INTERVAL  # the next tick was at 30 s


def test_rules_of_ones_own_that_look_at_who_sends_are_as_quick_by_their_own_bounds(tmp_path: Path) -> None:
    moved = Moved(
        tmp_path,
        """
alerts:
  service_silent: off
  instance_silent: off
  gone: {expr: otelmon_service_instances == 0, severity: critical, summary: gone}
  late: {expr: 'min by (job) (otelmon_instance_silence_intervals) > 2.4', severity: critical, summary: late}
  sums: {expr: 'sum(otelmon_instance_up) + 0 < 1', severity: warning, summary: nobody}
""",
    )
    moved.run(46 + 30, alive=True)
    moved.run(60)
    seconds = moved.fired()
    assert seconds["gone"] == seconds["sums"] == 27.0
    assert seconds["late"] == 37.0


def test_what_nobody_looks_at_wakes_nobody(tmp_path: Path) -> None:
    moved = Moved(tmp_path, "alerts: {service_silent: off, instance_silent: off, telemetry_late: off}\n")
    moved.run(76, alive=True)
    before = moved.server.engine._looked_at
    moved.run(120)
    assert moved.server.engine._looked_at == before == 0.0


def test_services_that_die_one_after_the_other_are_seen_together(tmp_path: Path) -> None:
    moved = Moved(tmp_path, "alerts: {error_rate: off}\n")
    moved.run(16, alive=True)
    presence, at = moved.server.presence, moved.clock.now()
    for number in range(200):
        presence.heard(f"job-{number}", "only", at=at + number / 200, interval_seconds=INTERVAL)
    looks = 0
    lookout = moved.server.engine.lookout
    assert lookout is not None
    for _ in range(400):  # as the loop does: it waits as long as it is told
        assert INTERVAL / 20 <= lookout.wait_seconds <= 1.0
        moved.clock.advance(lookout.wait_seconds)
        looks += moved.server.engine.take_requests(moved.clock.now())
        if moved.clock.now() > at + 40:
            break
    assert 1 <= looks <= 4


def test_a_lookout_that_fails_is_counted_and_stops_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = Moved(tmp_path, "{}\n")

    def fail(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(moved.server.presence, "awake", fail)
    moved.server.engine.by_hand.append(ByHand(name="error_rate", value=0.9))
    moved.server.turn()
    assert [name for _, name in moved.server.triggered] == ["error_rate"]
    assert moved.server.faults.counts["lookout"] == 1
