"""The engine's thread: a tick each interval, never a burst, and nothing that fails in it ends it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from otelmon.config.load import load_settings
from otelmon.runtime.monitor import Monitor
from otelmon.runtime.switch import PagingDecision
from otelmon.testing import FakeClock

OFF = PagingDecision(on=False, reason="the test says so")
INTERVAL = 15
# Who waits between two ticks: the engine, the lease, delivery, evidence, and what asks health endpoints.
THREADS = 5


class Ticks:
    """A gauge whose callback notes when it was asked, in seconds of the clock since the start."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.began = clock.monotonic()
        self.at: list[float] = []
        self.during: dict[int, Callable[[], None]] = {}
        metrics.get_meter("test").create_observable_gauge("tick", callbacks=[self])

    def __call__(self, _: CallbackOptions) -> Iterable[Observation]:
        self.at.append(self.clock.monotonic() - self.began)
        self.during.get(len(self.at), lambda: None)()
        return [Observation(1)]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def run(folder: Path, clock: FakeClock, ticks: Ticks, seconds: int, config: str = "") -> Monitor:
    """A monitor for so many seconds of the clock, seen second by second; stopped."""
    path = folder / "otelmon.yaml"
    path.write_text(f"interval: {INTERVAL}s\n{config}", encoding="utf-8")
    environ = {"OTELMON_STATE_DIR": str(folder / "state"), "OTEL_SERVICE_NAME": "shop"}
    monitor = Monitor(load_settings(path, environ=environ, directory=folder), OFF, clock=clock)
    pace = threading.Event()
    try:
        monitor.run()
        while clock.monotonic() - ticks.began < seconds:
            clock.wait_for_waiters(THREADS, 20)
            clock.advance(1)
            pace.wait(0.004)
        clock.wait_for_waiters(THREADS, 20)
    finally:
        ticks.at, seen = [], ticks.at
        monitor.stop()
        ticks.at = seen
    return monitor


def test_the_engine_ticks_at_its_start_and_then_each_interval(here: Path, clock: FakeClock) -> None:
    ticks = Ticks(clock)
    run(here, clock, ticks, 62)
    assert len(ticks.at) == 5
    assert all(0 <= at - expected <= 2 for at, expected in zip(ticks.at, (0, 15, 30, 45, 60), strict=True))


def test_a_tick_that_takes_longer_than_the_interval_is_followed_by_the_next_whole_one_not_by_a_burst(
    here: Path, clock: FakeClock
) -> None:
    ticks = Ticks(clock)
    ticks.during[2] = lambda: clock.advance(40)  # from 15 to 55: those of 30 and 45 are left out
    run(here, clock, ticks, 92)
    expected = (0, 15, 60, 75, 90)
    assert len(ticks.at) == len(expected), ticks.at
    assert all(0 <= at - due <= 2 for at, due in zip(ticks.at, expected, strict=True)), ticks.at


def test_a_callback_that_raises_costs_no_tick_and_is_counted(here: Path, clock: FakeClock) -> None:
    ticks = Ticks(clock)

    def fail() -> None:
        raise RuntimeError("the probe broke")

    ticks.during[2] = fail
    monitor = run(here, clock, ticks, 47)
    assert len(ticks.at) == 4
    assert monitor.faults.counts["callback"] == 1


def test_a_tick_that_fails_whole_is_counted_and_the_next_one_comes(
    here: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Not a fault that the engine foresees: its journal is gone."""
    ticks = Ticks(clock)
    monitor: list[Monitor] = []

    def lose_the_journal() -> None:
        watch = monitor[0]._watch
        assert watch is not None
        assert watch._assembly is not None
        watch._assembly.engine.journal = None

    path = here / "otelmon.yaml"
    path.write_text("interval: 15s\n", encoding="utf-8")
    environ = {"OTELMON_STATE_DIR": str(here / "state")}
    monitor.append(Monitor(load_settings(path, environ=environ, directory=here), OFF, clock=clock))
    ticks.during[1] = lose_the_journal
    pace = threading.Event()
    monitor[0].run()
    for _ in range(50):
        clock.wait_for_waiters(THREADS, 20)
        clock.advance(1)
        pace.wait(0.004)
    monitor[0].stop()
    assert len(ticks.at) >= 4
    assert monitor[0].faults.counts["tick"] >= 3
    assert caplog.text.count("tick failed") == 1


def test_a_state_directory_that_cannot_be_made_is_said_once_and_the_engine_runs_from_memory(
    here: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    (here / "state").write_text("a file, not a folder", encoding="utf-8")
    ticks = Ticks(clock)
    monitor = run(here, clock, ticks, 32)
    assert len(ticks.at) == 3
    assert monitor.faults.counts["state"] >= 1
    assert caplog.text.count("paging goes on from memory") == 1


def test_a_stop_is_noticed_within_its_interval_whatever_the_length(here: Path) -> None:
    """On the real clock: an interval of an hour holds up no stop."""
    path = here / "otelmon.yaml"
    path.write_text("interval: 1h\n", encoding="utf-8")
    monitor = Monitor(load_settings(path, environ={"OTELMON_STATE_DIR": str(here)}, directory=here), OFF)
    monitor.snapshot()
    stopping = threading.Thread(target=monitor.stop)
    stopping.start()
    stopping.join(5)
    assert not stopping.is_alive()
