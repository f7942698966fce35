"""Threads for what blocks: only so many at once, whatever comes in from outside."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from otelmon.server.mount import in_thread

BUSY = "Too many pages are being read at once. Try again in a moment."
"""What a page says where there was no slot."""

_Value = TypeVar("_Value")


class BusyError(Exception):
    """As many threads read for pages as may."""


class Slots:
    """Runs blocking calls off the event loop, at most ``most`` at once."""

    def __init__(self, most: int = 8) -> None:
        self._free = threading.BoundedSemaphore(most)

    async def run(self, call: Callable[[], _Value]) -> _Value:
        """What the call returns or raises, run in a thread; raises BusyError where there is no slot."""
        if not self._free.acquire(blocking=False):
            raise BusyError
        try:
            return await in_thread(call)
        finally:
            self._free.release()
