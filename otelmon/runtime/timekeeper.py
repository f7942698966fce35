"""The engine's time: close to the wall clock, never backwards, and aware of a clock that jumps."""

from __future__ import annotations

from dataclasses import dataclass

from otelmon.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The instant in unix seconds, and by how much the wall clock has jumped since the last reading (0: not)."""

    at: float
    jumped_seconds: float = 0.0


class Timekeeper:
    """Reads the time for the engine.

    Small corrections of the wall clock (up to ``tolerance_seconds``) are followed, held back where time would run
    backwards. A larger difference between the wall clock and the monotonic one is a jump: somebody set the clock, or
    the machine slept. It is reported once, so that the engine can move what it remembers by the same amount instead of
    seeing an hour of silence or samples from the future.
    """

    def __init__(self, clock: Clock, *, tolerance_seconds: float) -> None:
        self._clock = clock
        self._tolerance_seconds = tolerance_seconds
        self._at = clock.now()
        self._monotonic = clock.monotonic()

    def read(self) -> Reading:
        """The time now."""
        wall, monotonic = self._clock.now(), self._clock.monotonic()
        expected = self._at + (monotonic - self._monotonic)
        self._monotonic = monotonic
        drift = wall - expected
        if abs(drift) > self._tolerance_seconds:
            self._at = wall
            return Reading(at=wall, jumped_seconds=drift)
        self._at = max(self._at, wall)
        return Reading(at=self._at)
