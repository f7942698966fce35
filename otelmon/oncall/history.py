"""History: who was on call, as it was recorded. For the past it wins over what the schedule says now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from otelmon.oncall.schedule import Schedule, Shift
from otelmon.oncall.spans import merged
from otelmon.oncall.wall import utc


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Somebody was on call from an instant; until another, or still is (None). Times count to the minute."""

    person: str
    start: datetime
    end: datetime | None = None


def shifts_with_history(
    schedule: Schedule, history: Iterable[Recorded], start: datetime, end: datetime, *, at: datetime
) -> tuple[Shift, ...]:
    """The shifts that overlap the time from ``start`` to ``end``: before ``at`` as recorded, from then on as planned.

    A shift keeps its beginning also where that is before ``start``; a recorded one goes on where the plan continues it.
    By start, then by name.
    """
    start, end, at = utc(start), utc(end), utc(at)
    spans: dict[str, list[tuple[datetime, datetime]]] = {}
    for one in history:
        finish = at if one.end is None else min(_minute(one.end), at)
        spans.setdefault(one.person, []).append((_minute(one.start), min(finish, end)))
    still = set(schedule.on_call(end)) if at <= end else set()
    for shift in schedule.shifts(at, end):
        spans.setdefault(shift.person, []).append((shift.start, shift.end))
    found = [
        Shift(person=person, start=begin, end=finish, truncated=finish == end and person in still)
        for person, theirs in spans.items()
        for begin, finish in merged(theirs)
        if begin < end and finish > start
    ]
    return tuple(sorted(found, key=lambda shift: (shift.start, shift.person)))


def _minute(at: datetime) -> datetime:
    return utc(at).replace(second=0, microsecond=0)
