"""A clock that a test moves."""

from __future__ import annotations

import threading

import pytest

from otelmon.testing import FakeClock


def test_it_stands_still_until_it_is_advanced():
    clock = FakeClock(100.0)
    started = clock.monotonic()
    assert clock.now() == clock.now() == 100.0
    clock.advance(2.5)
    assert (clock.now(), clock.monotonic() - started) == (102.5, 2.5)


def test_a_jump_moves_the_wall_clock_only_in_both_directions():
    clock = FakeClock(100.0)
    started = clock.monotonic()
    clock.jump(3600)
    assert clock.now() == 3700
    clock.jump(-7200)
    assert (clock.now(), clock.monotonic()) == (-3500, started)


def test_time_does_not_run_backwards():
    with pytest.raises(ValueError, match="backwards"):
        FakeClock().advance(-1)


def test_a_thread_waits_until_its_time_has_passed():
    clock = FakeClock()
    results = []
    thread = threading.Thread(target=lambda: results.append(clock.wait(threading.Event(), 15)))
    thread.start()
    clock.wait_for_waiters(1)
    clock.advance(14.9)
    clock.wait_for_waiters(1)
    assert results == []
    clock.advance(0.1)
    thread.join(5)
    assert (results, clock.waiters) == ([False], 0)


def test_a_thread_goes_on_when_its_event_is_set():
    clock = FakeClock()
    event, results = threading.Event(), []
    thread = threading.Thread(target=lambda: results.append(clock.wait(event, 15)))
    thread.start()
    clock.wait_for_waiters(1)
    event.set()
    thread.join(5)
    assert results == [True]


def test_waiting_no_time_returns_at_once():
    assert FakeClock().wait(threading.Event(), 0) is False
    event = threading.Event()
    event.set()
    assert FakeClock().wait(event, -1) is True


def test_waiting_for_waiters_who_do_not_come_fails():
    with pytest.raises(AssertionError, match="0 threads"):
        FakeClock().wait_for_waiters(1, timeout=0.01)
