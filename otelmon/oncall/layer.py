"""Layer: a rotation within a schedule, and the hours in which it counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from otelmon.oncall.restriction import Restriction
from otelmon.oncall.rotation import Rotation
from otelmon.oncall.spans import merged
from otelmon.oncall.sweep import Segment
from otelmon.oncall.wall import utc


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A rotation that counts while any of ``only`` is active (always, where there is none).

    ``starts_at`` (included) and ``ends_at`` (excluded) bound it. ``level`` is its rank among the layers; None is its
    place in the schedule's list, counted from 1, so that a later layer is a higher one.
    """

    rotation: Rotation
    only: tuple[Restriction, ...] = ()
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    level: int | None = None

    def __post_init__(self) -> None:
        for name in ("starts_at", "ends_at"):
            at = getattr(self, name)
            if at is not None:
                object.__setattr__(self, name, utc(at))

    def in_force(self, at: datetime) -> bool:
        """Whether an instant lies between the layer's start and its end."""
        return (self.starts_at is None or self.starts_at <= at) and (self.ends_at is None or at < self.ends_at)

    def participant_at(self, at: datetime) -> str | None:
        """Who has the turn at an instant (perhaps :data:`~otelmon.oncall.rotation.NOBODY`); None where it is off."""
        at = utc(at)
        if not self.in_force(at):
            return None
        if self.only and not any(restriction.is_active(at) for restriction in self.only):
            return None
        return self.rotation.participant_at(at) or None

    def segments(self, start: datetime, end: datetime) -> Iterator[Segment]:
        """Who has the turn, and when, from ``start`` to ``end``; in order."""
        start = start if self.starts_at is None else max(start, self.starts_at)
        end = end if self.ends_at is None else min(end, self.ends_at)
        if end <= start:
            return
        active = [(start, end)]
        if self.only:
            active = merged(span for restriction in self.only for span in restriction.spans(start, end))
        index = 0
        for turn in self.rotation.shifts(start, end):
            while index < len(active) and active[index][1] <= turn.start:
                index += 1
            at = index
            while at < len(active) and active[at][0] < turn.end:
                if turn.participant:
                    yield max(turn.start, active[at][0]), min(turn.end, active[at][1]), turn.participant
                at += 1
