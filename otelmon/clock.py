"""Time, read in one place. Every stage from window to paging takes ``at`` as an argument instead."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Where the runtime reads the time; ``otelmon.testing.FakeClock`` is the one that tests fast-forward."""

    def now(self) -> float:
        """Wall-clock time in unix seconds. May jump when somebody sets the machine's clock."""

    def monotonic(self) -> float:
        """Seconds that never go backwards, from an arbitrary origin."""

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set or the seconds have passed; true when the event is set."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Wall-clock time in unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never go backwards."""
        return time.monotonic()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for the event, at most ``seconds``."""
        return event.wait(max(0.0, seconds))
