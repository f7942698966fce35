"""Course: how a rule's value went over the last hour, a value a minute."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

from otelmon.labels import Labels

EVERY_SECONDS = 60.0
_MINUTES = 60

Point = tuple[float, float | None]
"""Unix seconds, and the value then."""


class Course:
    """The worst value among a rule's series, each minute; None where nothing was measured. ``points`` are in order."""

    def __init__(self) -> None:
        self.points: deque[Point] = deque(maxlen=_MINUTES)
        self._latest: Point | None = None
        self._next_at = -math.inf

    def note(self, measured: Mapping[Labels, float] | None, operator: str, at: float) -> None:
        """What was measured at ``at`` (unix seconds); the operator of the limit says which value is worst."""
        worst = min if operator in ("<", "<=") else max
        known = () if measured is None else (value for value in measured.values() if math.isfinite(value))
        self._latest = (at, worst(known, default=None))
        if at < self._next_at:
            return
        # After a gap (the machine slept, the clock jumped) the minutes go on from here.
        following = self._next_at + EVERY_SECONDS
        self._next_at = following if at < following else at + EVERY_SECONDS
        self.points.append(self._latest)

    def so_far(self) -> tuple[Point, ...]:
        """The minutes, and the latest value where that came after them."""
        latest = self._latest
        if latest is None or (self.points and latest[0] <= self.points[-1][0]):
            return tuple(self.points)
        return (*self.points, latest)

    def shift(self, seconds: float) -> None:
        """The wall clock jumped by so many seconds."""
        self._next_at += seconds
        self.points = deque(((at + seconds, value) for at, value in self.points), maxlen=_MINUTES)
        if self._latest is not None:
            self._latest = (self._latest[0] + seconds, self._latest[1])
