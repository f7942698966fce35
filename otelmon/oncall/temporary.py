"""Temporary schedules: a period that is planned by hand, such as a holiday week.

In its period a temporary schedule takes the place of layers and overrides alike: a hole in it stays a hole.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from otelmon.oncall.spans import merged
from otelmon.oncall.wall import utc


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedShift:
    """Somebody on call from an instant (included) to another (excluded)."""

    person: str
    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", utc(self.start))
        object.__setattr__(self, "end", utc(self.end))


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporarySchedule:
    """Who is on call from ``start`` to ``end``, whatever else the schedule says. Shifts count only inside of it."""

    start: datetime
    end: datetime
    shifts: tuple[FixedShift, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", utc(self.start))
        object.__setattr__(self, "end", utc(self.end))
        if self.end <= self.start:
            raise ValueError("a temporary schedule ends after it starts")

    def trim_start(self, at: datetime) -> TemporarySchedule | None:
        """What is left of it from an instant on; None where nothing is."""
        return self._cut(max(self.start, utc(at)), self.end)

    def trim_end(self, at: datetime) -> TemporarySchedule | None:
        """What is left of it before an instant; None where nothing is."""
        return self._cut(self.start, min(self.end, utc(at)))

    def _cut(self, start: datetime, end: datetime) -> TemporarySchedule | None:
        if end <= start:
            return None
        cut = (
            FixedShift(person=shift.person, start=max(shift.start, start), end=min(shift.end, end))
            for shift in self.shifts
        )
        return TemporarySchedule(start=start, end=end, shifts=tuple(shift for shift in cut if shift.start < shift.end))


def merge(schedules: Iterable[TemporarySchedule]) -> tuple[TemporarySchedule, ...]:
    """The same plan in as few temporary schedules as possible, in order, shifts cut to them.

    Schedules that overlap or touch become one; so do one person's shifts in it. Shifts are in the order of their
    start, then of their names.
    """
    given = tuple(schedules)
    found = []
    for start, end in merged((one.start, one.end) for one in given):
        by_person: dict[str, list[tuple[datetime, datetime]]] = {}
        for one in given:
            if start <= one.start < end:
                for shift in one.shifts:
                    inside = (max(shift.start, one.start), min(shift.end, one.end))
                    by_person.setdefault(shift.person, []).append(inside)
        shifts = [
            FixedShift(person=person, start=begin, end=finish)
            for person, spans in by_person.items()
            for begin, finish in merged(spans)
        ]
        shifts.sort(key=lambda shift: (shift.start, shift.person))
        found.append(TemporarySchedule(start=start, end=end, shifts=tuple(shifts)))
    return tuple(found)


def clear(schedules: Iterable[TemporarySchedule], start: datetime, end: datetime) -> tuple[TemporarySchedule, ...]:
    """The schedules without the time from ``start`` to ``end``: one that spans it becomes two."""
    left = []
    for one in schedules:
        if utc(end) <= one.start or one.end <= utc(start):
            left.append(one)
            continue
        left += [part for part in (one.trim_end(start), one.trim_start(end)) if part is not None]
    return tuple(left)
