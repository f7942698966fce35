"""The engine's time: the wall clock, never backwards, and aware of a jump."""

from __future__ import annotations

import pytest

from otelmon.runtime.timekeeper import Timekeeper
from otelmon.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(start=1000.0)


def test_it_follows_the_wall_clock(clock: FakeClock) -> None:
    keeper = Timekeeper(clock, tolerance_seconds=10)
    clock.advance(15)
    reading = keeper.read()
    assert (reading.at, reading.jumped_seconds) == (1015, 0)


@pytest.mark.parametrize("correction", [-9.0, -0.5, 0.5, 9.0])
def test_a_small_correction_is_followed_without_running_backwards(clock: FakeClock, correction: float) -> None:
    keeper = Timekeeper(clock, tolerance_seconds=10)
    clock.jump(correction)
    first = keeper.read()
    assert first.jumped_seconds == 0
    assert first.at == max(1000, 1000 + correction)
    clock.advance(30)
    second = keeper.read()
    assert second.jumped_seconds == 0
    assert second.at == 1030 + correction


@pytest.mark.parametrize("jump", [-3600.0, -11.0, 11.0, 86400.0 * 365])
def test_a_jump_is_reported_once_and_then_time_goes_on_from_there(clock: FakeClock, jump: float) -> None:
    keeper = Timekeeper(clock, tolerance_seconds=10)
    clock.advance(5)
    clock.jump(jump)
    reading = keeper.read()
    assert (reading.at, reading.jumped_seconds) == (1005 + jump, jump)
    clock.advance(15)
    reading = keeper.read()
    assert (reading.at, reading.jumped_seconds) == (1020 + jump, 0)


def test_a_clock_that_is_slewed_by_a_little_each_time_is_no_jump(clock: FakeClock) -> None:
    keeper = Timekeeper(clock, tolerance_seconds=10)
    before = keeper.read().at
    for _ in range(100):
        clock.advance(15)
        clock.jump(-0.5)
        reading = keeper.read()
        assert reading.jumped_seconds == 0
        assert reading.at > before
        before = reading.at
    assert before == clock.now()


def test_a_machine_that_slept_is_a_jump(clock: FakeClock) -> None:
    """Linux's monotonic clock stands still in suspension; the wall clock does not."""
    keeper = Timekeeper(clock, tolerance_seconds=10)
    clock.jump(8 * 3600)
    assert keeper.read().jumped_seconds == 8 * 3600
