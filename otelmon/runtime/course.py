"""Course: how a rule's value went over the last hour, a value a minute."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

from otelmon.labels import Labels

EVERY_SECONDS = 60.0
_MINUTES = 60


class Course:
    """The worst value among a rule's series, each minute; None where nothing was measured."""

    def __init__(self) -> None:
        self.values: deque[float | None] = deque(maxlen=_MINUTES)
        self._next_at = -math.inf

    def note(self, measured: Mapping[Labels, float] | None, operator: str, at: float) -> None:
        """What was measured at ``at`` (unix seconds); the operator of the limit says which value is worst."""
        if at < self._next_at:
            return
        # After a gap (the machine slept, the clock jumped) the minutes go on from here.
        following = self._next_at + EVERY_SECONDS
        self._next_at = following if at < following else at + EVERY_SECONDS
        worst = min if operator in ("<", "<=") else max
        known = () if measured is None else (value for value in measured.values() if math.isfinite(value))
        self.values.append(worst(known, default=None))

    def shift(self, seconds: float) -> None:
        """The wall clock jumped by so many seconds."""
        self._next_at += seconds
