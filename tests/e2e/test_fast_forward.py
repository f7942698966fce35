"""What the documented rules do, by fast-forwarded time: how soon they page, and when they keep silent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from otelmon.paging.model import PageAction, PageReason
from otelmon.storage.sqlite import SqliteStorage
from tests.e2e.simulation import Simulation

MINUTE = 60.0


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The rules as documented: nothing is tuned."""
    path = tmp_path / "otelmon.yaml"
    path.write_text("service: shop\n", encoding="utf-8")
    return path


def traffic(simulation: Simulation, *, per_second: int, errors: float) -> Callable[[], None]:
    """So many requests a second of which this share fails, spread evenly."""
    count = 0

    def second() -> None:
        nonlocal count
        for _ in range(per_second):
            count += 1
            failed = int(count * errors) > int((count - 1) * errors)
            simulation.request(status=500 if failed else 200)

    return second


@pytest.mark.parametrize("phase", range(0, 15, 2))
def test_a_step_to_30_percent_errors_is_paged_within_one_interval_of_the_floor(config: Path, phase: int) -> None:
    """5 % of 5 minutes is passed after 50 s of 30 %; with ticks each 15 s the page is there after 65 s at most.

    Nothing failed before, so the first error creates its series.
    """
    simulation = Simulation(config)
    simulation.run(10 * MINUTE + phase, traffic(simulation, per_second=50, errors=0.0))
    assert simulation.triggered == []
    fault_at = simulation.clock.now()
    simulation.run(2 * MINUTE, traffic(simulation, per_second=50, errors=0.3))
    assert [name for _, name in simulation.triggered] == ["error_rate"]
    paged_at = simulation.triggered[0][0]
    assert 50 <= paged_at - fault_at <= 65


def test_the_alert_resolves_once_the_errors_are_over_and_says_so_once(config: Path) -> None:
    simulation = Simulation(config)
    simulation.run(10 * MINUTE, traffic(simulation, per_second=20, errors=0.0))
    simulation.run(3 * MINUTE, traffic(simulation, per_second=20, errors=0.3))
    simulation.run(20 * MINUTE, traffic(simulation, per_second=20, errors=0.0))
    assert [name for _, name in simulation.triggered] == ["error_rate"]
    assert [name for _, name in simulation.resolved] == ["error_rate"]


def test_an_alert_that_ends_because_nobody_asks_any_more_says_no_traffic(config: Path) -> None:
    simulation = Simulation(config)
    simulation.run(5 * MINUTE, traffic(simulation, per_second=20, errors=0.3))
    simulation.run(20 * MINUTE)
    (over,) = [page for _, page in simulation.paged_at if page.reason is PageReason.RESOLVED and page.message.short]
    assert over.message.title.endswith(": no traffic")

    mended = Simulation(config)
    mended.run(5 * MINUTE, traffic(mended, per_second=20, errors=0.3))
    mended.run(20 * MINUTE, traffic(mended, per_second=20, errors=0.0))
    (over,) = [page for _, page in mended.paged_at if page.reason is PageReason.RESOLVED and page.message.short]
    assert "traffic" not in over.message.title


def test_one_percent_of_errors_never_pages(config: Path) -> None:
    simulation = Simulation(config)
    simulation.run(2 * 60 * MINUTE, traffic(simulation, per_second=10, errors=0.01))
    assert simulation.paged_at == []


def test_one_failure_at_night_pages_nobody(config: Path) -> None:
    simulation = Simulation(config)
    simulation.run(30 * MINUTE)
    simulation.request(status=500)
    simulation.run(60 * MINUTE)
    assert simulation.paged_at == []


def test_an_outage_at_one_request_a_minute_still_pages(config: Path) -> None:
    simulation = Simulation(config)
    seconds = 0

    def second() -> None:
        nonlocal seconds
        seconds += 1
        if seconds % 60 == 0:
            simulation.request(status=200 if seconds < 30 * MINUTE else 500)

    simulation.run(30 * MINUTE, second)
    assert simulation.paged_at == []
    simulation.run(12 * MINUTE, second)
    assert "error_rate" in [name for _, name in simulation.triggered]


def test_a_route_with_two_percent_of_the_traffic_that_fails_wholly_pages(config: Path) -> None:
    simulation = Simulation(config)
    fails = False

    def second() -> None:
        simulation.request("/items", times=49)
        simulation.request("/export", status=500 if fails else 200)

    simulation.run(10 * MINUTE, second)
    assert simulation.triggered == []
    fails = True
    simulation.run(5 * MINUTE, second)
    assert [name for _, name in simulation.triggered] == ["route_error_rate"]


def test_slow_responses_page_and_a_few_slow_requests_at_night_do_not(config: Path) -> None:
    night = Simulation(config)
    night.run(10 * MINUTE, lambda: None)
    night.request(seconds=4.0, times=10)
    night.run(20 * MINUTE)
    assert night.paged_at == []

    day = Simulation(config)
    day.run(10 * MINUTE, lambda: day.request(seconds=0.1, times=10))
    assert day.paged_at == []
    day.run(2 * MINUTE, lambda: day.request(seconds=1.5, times=10))
    assert [name for _, name in day.triggered] == ["response_time"]


@pytest.mark.parametrize("down_seconds", [2, 40, 900])
def test_a_restart_in_the_middle_of_a_firing_alert_neither_resolves_nor_pages_again(
    config: Path, tmp_path: Path, down_seconds: int
) -> None:
    disk = SqliteStorage(tmp_path / "state.db")
    first = Simulation(config, disk=disk)
    first.run(10 * MINUTE, traffic(first, per_second=20, errors=0.0))
    first.run(5 * MINUTE, traffic(first, per_second=20, errors=0.3))
    assert [name for _, name in first.triggered] == ["error_rate"]

    first.clock.advance(down_seconds)
    second = Simulation(config, clock=first.clock, disk=disk)
    second.run(20 * MINUTE, traffic(second, per_second=20, errors=0.3))
    # What nobody has acknowledged for half an hour is repeated, once and no sooner for the restart.
    reminded = [page.reason for _, page in second.paged_at if page.action is PageAction.POST]
    assert reminded == [PageReason.REMINDER] * (down_seconds == 900)

    second.run(20 * MINUTE, traffic(second, per_second=20, errors=0.0))
    assert [name for _, name in second.resolved] == ["error_rate"]
    assert second.triggered == []


def test_an_alert_that_ended_while_the_app_was_down_resolves_on_what_is_measured(config: Path, tmp_path: Path) -> None:
    disk = SqliteStorage(tmp_path / "state.db")
    first = Simulation(config, disk=disk)
    first.run(10 * MINUTE, traffic(first, per_second=20, errors=0.5))
    first.clock.advance(10 * MINUTE)
    second = Simulation(config, clock=first.clock, disk=disk)
    second.run(1 * MINUTE)  # no traffic: nothing is known
    assert second.paged_at == []
    second.run(10 * MINUTE, traffic(second, per_second=20, errors=0.0))
    assert [name for _, name in second.resolved] == ["error_rate"]
