"""What people are told of their shifts: that one began or ended, that one is near, that the coming ones changed.

All of it follows from the schedules and from :class:`Told`, which is kept with the state. Each notice has a ``key``
that is the same however often it is decided on. So a restart neither repeats one nor skips one, unless it is too late
for it.

Short turns are told together: of shifts under 6 hours a person is told of the first of a day (by the schedule's
clock), and again after a break of 12 hours; a reminder is for the first shift after a day without one. So of one
schedule nobody is told more than a few times a day, however often it changes hands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from otelmon.oncall.notices import next_notice_at
from otelmon.oncall.people import Team
from otelmon.oncall.schedule import Schedule, Shift
from otelmon.oncall.spans import Span, without
from otelmon.oncall.wall import utc, wall_time

HORIZON = timedelta(days=28)
"""How far ahead people are told of changes."""
HANDOVER_LATEST = timedelta(hours=1)
"""When it is too late to say that a shift began or ended."""
REMINDER_LATEST = timedelta(hours=3)
"""When it is too late for a reminder."""

_SHORT = timedelta(hours=6)
_BREAK = timedelta(hours=12)
_DAY = timedelta(days=1)
# Where shifts are short, a short time around an instant has them whole.
_AROUND = (timedelta(days=2), timedelta(days=35))
_INSTANT = timedelta.resolution


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeSettings:
    """What people are told. ``reminder`` is a time of day, on the evening before by the person's clock; None: never."""

    shift_start: bool = True
    shift_end: bool = True
    reminder: time | None = time(18)
    changes: bool = True


Coming = Mapping[str, Mapping[str, tuple[Span, ...]]]
"""By schedule and by person, when they are on call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What people were told: of shifts that began or ended until ``at``, and who is on call when until ``until``."""

    at: datetime
    until: datetime
    coming: Coming = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """In one schedule, whose shift began and whose ended by ``at``.

    ``on_call`` are all who are now. ``more`` says how many turns those who began have within 12 hours beside this one,
    where turns are short. ``next`` is who comes next where nobody is on call.
    """

    schedule: str
    at: datetime
    began: tuple[Shift, ...]
    ended: tuple[Shift, ...]
    on_call: tuple[str, ...]
    more: int = 0
    next: Shift | None = None

    @property
    def key(self) -> str:
        """The same for the same handover."""
        return f"handover.{self.schedule}.{self.at.isoformat()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reminder:
    """Shifts of a person that begin before the next evening, each with its schedule."""

    person: str
    at: datetime
    shifts: tuple[tuple[str, Shift], ...]

    @property
    def key(self) -> str:
        """The same for the same evening."""
        return f"reminder.{self.person}.{self.at.isoformat()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftsChanged:
    """When a person is on call now and was not to be, and the other way round; each with its schedule.

    ``because`` are the overrides that have to do with it, in words.
    """

    person: str
    at: datetime
    added: tuple[tuple[str, Span], ...]
    removed: tuple[tuple[str, Span], ...]
    because: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The same for the same change."""
        return f"changed.{self.person}.{self.at.isoformat()}"


ShiftNotice = Handover | Reminder | ShiftsChanged


def first_told(team: Team, at: datetime) -> Told:
    """Where nothing was told before: nothing is told of what was, and what comes is as it is."""
    return Told(at=utc(at), until=utc(at) + HORIZON, coming=coming(team, at))


def coming(team: Team, at: datetime) -> Coming:
    """Who is on call when, from ``at`` on for 28 days."""
    found: dict[str, dict[str, tuple[Span, ...]]] = {}
    for name, schedule in team.schedules.items():
        by_person = found.setdefault(name, {})
        for shift in schedule.shifts(at, at + HORIZON):
            by_person[shift.person] = (*by_person.get(shift.person, ()), (shift.start, shift.end))
    return found


def due(told: Told, team: Team, settings: NoticeSettings, at: datetime) -> tuple[ShiftNotice, ...]:
    """The shifts that began and ended, and the reminders, since ``told.at`` and until ``at``."""
    at = utc(at)
    found: list[ShiftNotice] = []
    since = max(told.at, at - HANDOVER_LATEST)
    if since < at and (settings.shift_start or settings.shift_end):
        handovers = (_handover(schedule, since, at, settings) for schedule in team.schedules.values())
        found += [handover for handover in handovers if handover is not None]
    since = max(told.at, at - REMINDER_LATEST)
    if since < at and settings.reminder is not None:
        found += _reminders(team, settings.reminder, since, at)
    return tuple(found)


def changed(told: Told, team: Team, at: datetime) -> tuple[ShiftsChanged, ...]:
    """Whose coming shifts are others than those that were told; one notice for each person, by name."""
    at = utc(at)
    until = min(told.until, at + HORIZON)
    if until <= at:
        return ()
    outside = ((datetime.min.replace(tzinfo=at.tzinfo), at), (until, datetime.max.replace(tzinfo=at.tzinfo)))
    now = coming(team, at)
    added: dict[str, list[tuple[str, Span]]] = {}
    removed: dict[str, list[tuple[str, Span]]] = {}
    for name in sorted({*told.coming, *now}):
        before, after = told.coming.get(name, {}), now.get(name, {})
        for person in sorted({*before, *after} & team.people.keys()):
            was, is_ = (without(by_person.get(person, ()), outside) for by_person in (before, after))
            for found, spans in ((added, without(is_, was)), (removed, without(was, is_))):
                if spans:
                    found.setdefault(person, []).extend((name, span) for span in spans)
    return tuple(
        ShiftsChanged(
            person=person,
            at=at,
            added=tuple(added.get(person, ())),
            removed=tuple(removed.get(person, ())),
            because=_because(team, person, [*added.get(person, ()), *removed.get(person, ())]),
        )
        for person in sorted({*added, *removed})
    )


def _because(team: Team, person: str, spans: Iterable[tuple[str, Span]]) -> tuple[str, ...]:
    """The overrides with a reason or an author that name the person in any of these times."""
    found: dict[str, None] = {}
    for name, (start, end) in spans:
        schedule = team.schedules.get(name)
        for one in () if schedule is None else schedule.overrides:
            if person in (one.person, one.replaces) and one.start < end and start < one.end and (one.reason or one.by):
                found[": ".join(part for part in (one.by, one.reason) if part)] = None
    return tuple(found)


def _handover(schedule: Schedule, since: datetime, at: datetime, settings: NoticeSettings) -> Handover | None:
    pieces = schedule.pieces(since, at + _INSTANT)
    before, now = pieces[0].people, pieces[-1].people
    if before == now:
        return None
    handed_at = pieces[-1].start
    for around in _AROUND:
        shifts = schedule.shifts(at - around, at + around)
        began = [one for one in shifts if one.person in set(now) - set(before) and one.start <= at < one.end]
        ended = [one for one in shifts if one.person in set(before) - set(now) and since < one.end <= at]
        if all(one.start > at - around and not one.truncated for one in (*began, *ended)):
            break
    told = tuple(one for one in began if settings.shift_start and not _goes_on(shifts, one, schedule.zone))
    # Who hands over to somebody is named in that one's message. Where nobody follows, a message is for the end alone.
    alone = not began
    over = tuple(one for one in ended if settings.shift_end and not (alone and _is_followed(shifts, one)))
    if not told and not (alone and over):
        return None
    short = {one.person: one.start for one in told if one.end - one.start < _SHORT}
    more = sum(one.person in short and short[one.person] < one.start < short[one.person] + _BREAK for one in shifts)
    following = schedule.next_on_call(at) if not now else None
    return Handover(
        schedule=schedule.name, at=handed_at, began=told, ended=over, on_call=now, more=more, next=following
    )  # fmt: skip


def _goes_on(shifts: Sequence[Shift], one: Shift, zone: ZoneInfo) -> bool:
    """Whether a short shift follows another of the same person and day."""
    day = wall_time(one.start, zone).date()
    return one.end - one.start < _SHORT and any(
        timedelta(0) <= one.start - other.end < _BREAK and wall_time(other.start, zone).date() == day
        for other in shifts
        if other.person == one.person
    )


def _is_followed(shifts: Sequence[Shift], one: Shift) -> bool:
    """Whether another shift of the same person follows a short one soon."""
    return one.end - one.start < _SHORT and any(
        timedelta(0) <= other.start - one.end < _BREAK for other in shifts if other.person == one.person
    )


def _reminders(team: Team, time_of_day: time, since: datetime, at: datetime) -> Iterable[Reminder]:
    evenings: dict[ZoneInfo, datetime | None] = {}
    found: dict[tuple[str, datetime], list[tuple[str, Shift]]] = {}
    for name, schedule in team.schedules.items():
        for person in sorted(schedule.people() & team.people.keys()):
            zone = team.people[person].time_zone or schedule.zone
            if zone not in evenings:
                evening = next_notice_at(since, time_of_day, zone)
                evenings[zone] = evening if evening is not None and evening <= at else None
            evening = evenings[zone]
            if evening is None:
                continue
            until = next_notice_at(evening, time_of_day, zone) or evening + _DAY
            shifts = [one for one in schedule.shifts(evening - _AROUND[0], until + _AROUND[-1]) if one.person == person]
            near = [
                one
                for one in shifts
                if evening < one.start <= until
                and one.start > at
                and not any(timedelta(0) <= one.start - other.end < _DAY for other in shifts)
            ]
            if near:
                found.setdefault((person, evening), []).extend((name, one) for one in near)
    return (Reminder(person=person, at=evening, shifts=tuple(shifts)) for (person, evening), shifts in found.items())


def told_after(told: Told, team: Team, at: datetime, *, looked_ahead: bool) -> Told:
    """What was told once everything due at ``at`` is; with ``looked_ahead`` the changes too."""
    return first_told(team, at) if looked_ahead else replace(told, at=utc(at))
