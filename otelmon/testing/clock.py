"""A clock that moves when a test says so."""

from __future__ import annotations

import threading

_LOOK_SECONDS = 0.002  # how soon a waiting thread sees an event that somebody set


class FakeClock:
    """An ``otelmon.clock.Clock`` that stands still until it is advanced; usable from many threads.

    ``start`` is the wall-clock time in unix seconds (a Monday in 2026 at noon, UTC, unless said). Threads in ``wait``
    go on when ``advance`` passes their time or their event is set. ::

        clock = FakeClock()
        thread.start()                # runs a loop that does: clock.wait(stop, 15)
        clock.wait_for_waiters(1)     # it is there
        clock.advance(15)             # and goes on
    """

    def __init__(self, start: float = 1_767_614_400.0) -> None:
        self._now = start
        self._monotonic = 1000.0
        self._moved = threading.Condition()
        self._waiters = 0

    def now(self) -> float:
        """Wall-clock time in unix seconds."""
        with self._moved:
            return self._now

    def monotonic(self) -> float:
        """Seconds that never go backwards."""
        with self._moved:
            return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass: both the wall clock and the monotonic one."""
        if seconds < 0:
            raise ValueError("time does not run backwards; jump() sets the wall clock back")
        with self._moved:
            self._now += seconds
            self._monotonic += seconds
            self._moved.notify_all()

    def jump(self, seconds: float) -> None:
        """Set the wall clock forwards or backwards, as an administrator or NTP may; no time passes."""
        with self._moved:
            self._now += seconds

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set or ``seconds`` of this clock have passed; true when the event is set."""
        with self._moved:
            deadline = self._monotonic + seconds
            self._waiters += 1
            self._moved.notify_all()
            try:
                while not event.is_set() and self._monotonic < deadline:
                    self._moved.wait(_LOOK_SECONDS)
            finally:
                self._waiters -= 1
        return event.is_set()

    @property
    def waiters(self) -> int:
        """How many threads are in ``wait`` now."""
        with self._moved:
            return self._waiters

    def wait_for_waiters(self, count: int = 1, timeout: float = 5.0) -> None:
        """Return once ``count`` threads are in ``wait``; AssertionError after ``timeout`` real seconds."""
        with self._moved:
            if not self._moved.wait_for(lambda: self._waiters >= count, timeout):
                raise AssertionError(f"{self._waiters} threads wait on the clock, expected {count}")
