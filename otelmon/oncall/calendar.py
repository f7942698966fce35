"""Calendar feeds of schedules and people, in iCalendar (RFC 5545).

One event a shift, in UTC. An event's UID is of the schedule, the person and the instant at which the shift begins, so
that it is the same in every feed and at every reading, whatever stretch of time was asked for. A shift longer than 31
days becomes one event a calendar month of the schedule's zone: it may have no end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from icalendar import Calendar, Event

from otelmon.oncall.schedule import Gap, Schedule, Shift
from otelmon.oncall.wall import first_instant, utc, wall_time

_LONGEST_EVENT = timedelta(days=31)
# Enough on both sides to see whether a shift is longer than an event may be, and how long a month's part of it is.
_MARGIN = timedelta(days=70)
_REFRESH = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """What becomes an event: ``person`` is empty for a gap."""

    schedule: Schedule
    person: str
    start: datetime
    end: datetime

    @property
    def summary(self) -> str:
        if not self.person:
            return f"NOBODY on call: {self.schedule.name}"
        return f"{self.person} on call: {self.schedule.name}"

    @property
    def uid(self) -> str:
        """The same for the same shift, and safe to show: it tells nothing."""
        identity = "\n".join((self.schedule.name, self.person, self.start.isoformat()))
        return f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}@otelmon"


def schedule_feed(schedule: Schedule, start: datetime, end: datetime, *, at: datetime) -> bytes:
    """The calendar of a schedule: whole shifts that overlap the time, and its gaps that are not on purpose.

    ``at`` is when the feed is made (its DTSTAMP).
    """
    return _feed(f"On call: {schedule.name}", _stretches(schedule, utc(start), utc(end), gaps=True), at)


def person_feed(person: str, schedules: Iterable[Schedule], start: datetime, end: datetime, *, at: datetime) -> bytes:
    """The calendar of a person: their whole shifts, in all of these schedules, that overlap the time."""
    theirs = (
        stretch
        for schedule in schedules
        for stretch in _stretches(schedule, utc(start), utc(end), gaps=False)
        if stretch.person == person
    )
    return _feed(f"On call: {person}", theirs, at)


def _stretches(schedule: Schedule, start: datetime, end: datetime, *, gaps: bool) -> Iterator[_Stretch]:
    if end <= start:
        return
    first, last = start - _MARGIN, end + _MARGIN
    whole: list[Shift | Gap] = list(schedule.shifts(first, last))
    if gaps:
        whole += [gap for gap in schedule.gaps(first, last) if not gap.on_purpose]
    for one in whole:
        person = one.person if isinstance(one, Shift) else ""
        for begin, finish in _months(one.start, one.end, schedule.zone):
            if begin < end and finish > start:
                yield _Stretch(schedule, person, begin, finish)


def _months(start: datetime, end: datetime, zone: ZoneInfo) -> Iterator[tuple[datetime, datetime]]:
    """A shift as it is, or one that is longer than an event may be, by calendar months."""
    if end - start <= _LONGEST_EVENT:
        yield start, end
        return
    while start < end:
        shown = wall_time(start, zone)
        following = shown.replace(day=1, hour=0, minute=0, second=0, microsecond=0) + timedelta(days=32)
        until = min(end, first_instant(following.replace(day=1), zone))
        yield start, until
        start = until


def _feed(name: str, stretches: Iterable[_Stretch], at: datetime) -> bytes:
    calendar = Calendar()
    calendar.add("prodid", "-//otelmon//on call//EN")
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    calendar.add("x-wr-calname", name)
    calendar.add("refresh-interval", _REFRESH, parameters={"VALUE": "DURATION"})
    for stretch in sorted(stretches, key=lambda one: (one.start, one.schedule.name, one.person)):
        event = Event()
        event.add("uid", stretch.uid)
        event.add("dtstamp", utc(at).replace(microsecond=0))
        event.add("dtstart", stretch.start)
        event.add("dtend", stretch.end)
        event.add("summary", stretch.summary)
        event.add("transp", "TRANSPARENT")
        calendar.add_component(event)
    return bytes(calendar.to_ical())
