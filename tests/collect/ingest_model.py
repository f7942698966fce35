"""What becomes of points, point by point: slow and obvious, to compare with.

The rules are those of the OTLP data model (opentelemetry.io/docs/specs/otel/metrics/data-model) where it has one, and
otelmon's where it leaves the choice. Instants are unix nanoseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

SECOND = 1_000_000_000
LATE, AHEAD, RIVAL = 600 * SECOND, 30 * SECOND, 120 * SECOND


class Kind(Enum):
    """Each is a metric of this name."""

    GAUGE = "g"
    LEVEL = "l"
    COUNTER = "c_total"
    DELTA = "d_total"
    DELTA_LEVEL = "v"

    @property
    def adds(self) -> bool:
        return self in {Kind.DELTA, Kind.DELTA_LEVEL}


@dataclass(frozen=True)
class Given:
    """A point; without a value it says that its series ended."""

    kind: Kind
    key: str
    time: int
    start: int
    value: float | None


@dataclass(frozen=True)
class Expected:
    at: int
    value: float | None
    start: int | None


@dataclass
class _Series:
    last: int | None = None
    out: int | None = None
    start: int | None = None
    heard: int = 0
    total: float = 0.0
    begun: bool = False


@dataclass
class Model:
    """All series of one sender."""

    series: dict[tuple[Kind, str], _Series] = field(default_factory=dict)
    samples: dict[tuple[Kind, str], list[Expected]] = field(default_factory=dict)
    newest: int = 0

    def take(self, points: Sequence[Given], now: int) -> tuple[int, int]:
        """How many points of a request are taken and rejected."""
        rejected = 0
        given: dict[tuple[Kind, str], list[Given]] = {}
        for point in points:
            identity = (point.kind, point.key)
            if identity in self.series or point.value is not None:
                self.series.setdefault(identity, _Series())
                given.setdefault(identity, []).append(point)
        for own in given.values():
            for point in sorted(own, key=lambda each: each.time or now):
                rejected += not self._take(point, now)
        self.newest = max([self.newest, *(min(point.time or now, now) for point in points)])
        return len(points) - rejected, rejected

    def _take(self, point: Given, now: int) -> bool:
        known = self.series[point.kind, point.key]
        time = point.time or now
        if time < now - LATE:
            return False
        if known.last is not None and time <= known.last:
            was_ahead_and_is_right = known.last > now + AHEAD >= time
            if not was_ahead_and_is_right:
                return time == known.last
        of_an_older_process = known.start is not None and 0 < point.start < known.start
        if point.kind is Kind.COUNTER and of_an_older_process and known.heard > now - RIVAL:
            return False
        out = time if time <= now + AHEAD else now
        if known.out is not None and out <= known.out:
            out = known.out + SECOND // 1000
        began = self._began(point, known, time, out)
        known.last, known.out, known.heard = time, out, now
        known.start = point.start or known.start
        self.samples.setdefault((point.kind, point.key), []).append(Expected(out, self._value(point, known), began))
        return True

    @staticmethod
    def _began(point: Given, known: _Series, time: int, out: int) -> int | None:
        if point.kind is Kind.COUNTER and point.value is not None:
            is_known = 0 < point.start < time
            return point.start + (out - time) if is_known and point.start != known.start else None
        if point.kind is Kind.DELTA and point.value is not None and not known.begun:
            moment = SECOND // 1000
            return point.start + 1000 if 0 < point.start < out - moment else out - moment
        return None

    @staticmethod
    def _value(point: Given, known: _Series) -> float | None:
        if not point.kind.adds:
            return point.value
        if point.value is None:
            known.total, known.begun = 0.0, False
            return None
        known.total, known.begun = known.total + point.value, True
        return known.total

    def collect(self, now: int) -> dict[tuple[Kind, str], list[Expected]]:
        """What came, and the totals that rest while their sender sends."""
        for identity, known in self.series.items():
            at = min(self.newest, now)
            if identity[0].adds and known.begun and known.out is not None and at > known.out:
                known.out = at
                self.samples.setdefault(identity, []).append(Expected(at, known.total, None))
        found, self.samples = self.samples, {}
        return found
