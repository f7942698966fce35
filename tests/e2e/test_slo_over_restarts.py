"""Thirty days of views, and what they say of the budget, over fifty restarts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from otelmon.matching import Matcher, MatchOperator
from otelmon.storage.sqlite import STATE_FILE, SqliteStorage
from otelmon.testing.clock import FakeClock
from otelmon.window.window import Series
from tests.e2e.simulation import Simulation

DAY = 86_400.0
OFF = ["error_rate", "route_error_rate", "response_time", "database_connections", "disk_usage", "memory_usage"]
CONFIG = f"""
service: shop
interval: 150s
alerts: {{{", ".join(f"{name}: off" for name in OFF)}}}
slo:
  requests: {{objective: 99, page: off, ticket: off}}
"""


def views(simulation: Simulation, what: str) -> Series:
    wanted = Matcher(name="__name__", operator=MatchOperator.EQUAL, value=f"slo:{what}")
    (found,) = simulation.window.select([wanted])
    return found


def live(simulation: Simulation, seconds: float, *, errors: int = 0) -> None:
    """So long with forty requests each interval, some of which fail.

    A view is taken every other interval; an odd number of them between two restarts lets each restart fall between.
    """
    interval = simulation.settings.interval_seconds
    for _ in range(round(seconds / interval)):
        simulation.clock.advance(interval)
        simulation.request(times=40 - errors)
        simulation.request(status=500, times=errors)
        simulation.tick()


def run_over_restarts(tmp_path: Path, *, days: float, restarts: int) -> tuple[Simulation, FakeClock]:
    config = tmp_path / "otelmon.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    clock = FakeClock()
    for number in range(restarts + 1):
        simulation = Simulation(config, clock=clock, disk=SqliteStorage(tmp_path / STATE_FILE))
        live(simulation, days * DAY / (restarts + 1), errors=2 if number < restarts / 2 else 0)
        if number < restarts:
            simulation.close()
            clock.advance(1.0)
    return simulation, clock


def holds_every_view(simulation: Simulation, clock: FakeClock, *, days: float, restarts: int) -> None:
    events, errors = views(simulation, "events:every5m"), views(simulation, "errors:every5m")
    # One view each 5m, neither left out nor taken twice for a restart.
    assert events.times.size >= days * DAY / 300 - 2
    gaps = events.times[1:] - events.times[:-1]
    assert gaps.min() >= 299
    assert gaps.max() <= 301
    # With two samples in a view, `increase` extrapolates a little less over a counter that begins anew.
    values = events.values.astype(float)
    assert np.median(values) == pytest.approx(80.0)
    assert np.count_nonzero(np.abs(values - 80.0) > 1.0) <= restarts + 2
    assert errors.times[-1] <= clock.now()


def test_views_hold_over_restarts_and_are_taken_every_five_minutes(tmp_path: Path) -> None:
    simulation, clock = run_over_restarts(tmp_path, days=0.5, restarts=6)
    holds_every_view(simulation, clock, days=0.5, restarts=6)
    spent = views(simulation, "budget_spent:30d").values[-1]
    # 2 of 40 failed for three sevenths of half a day, where 1 % of thirty days may.
    assert spent == pytest.approx(3 / 7 * 0.05 / 0.01 * 0.5 / 30, rel=0.03)


@pytest.mark.soak
def test_thirty_days_of_views_hold_over_fifty_restarts(tmp_path: Path) -> None:
    simulation, clock = run_over_restarts(tmp_path, days=30.0, restarts=50)
    holds_every_view(simulation, clock, days=30.0, restarts=50)
    assert views(simulation, "budget_spent:30d").values[-1] == pytest.approx(25 / 51 * 0.05 / 0.01, rel=0.03)
    # What is collected is not kept for it: 20 minutes of the requests, as other rules look back. A table lets go of
    # what is over once it is full, and it has places for half as much again and a few more.
    assert simulation.window.retention_seconds == 1200.0
    raw = Matcher(name="__name__", operator=MatchOperator.EQUAL, value="http_server_request_duration_seconds_count")
    assert all(series.times.size <= 8 + 4 + 4 for series in simulation.window.select([raw]))
    assert simulation.window.size_bytes < 6_000_000
    assert (tmp_path / STATE_FILE).stat().st_size < 16_000_000
    live(simulation, DAY)
    events = views(simulation, "events:every5m")
    assert events.times[0] >= clock.now() - 31.5 * DAY
