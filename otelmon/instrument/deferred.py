"""Deferred: measurements that wait for the next collection, because the SDK takes tens of microseconds for each."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping

from otelmon.faults import Faults

_Record = Callable[[float, Mapping[str, str]], None]
# At 1,000 a second between collections a minute apart; beyond, measurements are lost and that is said.
_MOST = 60_000
_PORTION = 128


class Deferred:
    """Keeps measurements, from any thread, until ``flush`` hands them to their instruments.

    Adding costs the path of a request less than a microsecond and takes no lock.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[_Record, float, Mapping[str, str]]] = deque()
        self._faults = Faults()

    def begin(self, faults: Faults) -> None:
        """Start with nothing."""
        self._faults = faults
        self._waiting.clear()

    def add(self, record: _Record, value: float, attributes: Mapping[str, str]) -> None:
        """Call ``record(value, attributes)`` at the next flush."""
        if len(self._waiting) < _MOST:
            self._waiting.append((record, value, attributes))
        else:
            self._faults.add("deferred", f"more than {_MOST} measurements since the last collection; some are lost")

    def flush(self) -> None:
        """Hand over what waits now, letting other threads run in between. Never raises."""
        for number in range(1, len(self._waiting) + 1):
            try:
                record, value, attributes = self._waiting.popleft()
                record(value, attributes)
            except Exception as error:  # noqa: BLE001 (one measurement must not cost the others)
                self._faults.add("deferred", "a measurement could not be recorded", error)
            if number % _PORTION == 0:
                time.sleep(0)
