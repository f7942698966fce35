"""Every zone of tzdata, and rotations in it at random."""

from __future__ import annotations

import random
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

from otelmon.oncall.restriction import Restriction
from otelmon.oncall.rotation import Rotation, RotationUnit

ZONES = sorted(available_timezones() - {"Factory", "localtime"})
NAMED = (
    "America/Havana", "Africa/Cairo", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Monrovia", "America/Sao_Paulo",
    "America/St_Johns", "Africa/Casablanca", "Antarctica/Troll", "Pacific/Kwajalein", "Asia/Gaza", "Europe/Dublin",
)  # fmt: skip
FIRST = datetime(1990, 1, 1, tzinfo=UTC)
LAST = datetime(2060, 1, 1, tzinfo=UTC)
SPANS = {
    "hourly": timedelta(hours=1),
    "daily": timedelta(days=1),
    "weekly": timedelta(days=7),
    "monthly": timedelta(31),
}


def changes(zone: ZoneInfo) -> list[datetime]:
    """The instants, to the second, at which a zone's clock is changed, 1990 to 2060."""
    found = []
    at, step = FIRST, timedelta(days=7)
    while at < LAST:
        if at.astimezone(zone).utcoffset() != (at + step).astimezone(zone).utcoffset():
            low, high = at, at + step
            while high - low > timedelta(seconds=1):
                middle = (low + (high - low) / 2).replace(microsecond=0)
                same = middle.astimezone(zone).utcoffset() == low.astimezone(zone).utcoffset()
                low, high = (middle, high) if same else (low, middle)
            found.append(high)
        at += step
    return found


def any_instant(chance: random.Random) -> datetime:
    return FIRST + timedelta(seconds=chance.randrange(int((LAST - FIRST).total_seconds())))


def any_rotation(chance: random.Random, zone: ZoneInfo, near: datetime) -> Rotation:
    """A rotation whose handoffs are likely to meet a change of the clock near an instant."""
    unit = chance.choice(list(RotationUnit))
    every = chance.choice((1, 1, 1, 2, 3, 7, 24))
    anchor = any_instant(chance).astimezone(zone).replace(tzinfo=None)
    if chance.random() < 0.7:
        shown = near.astimezone(zone).replace(tzinfo=None) + chance.choice((-1, 0, 1)) * timedelta(minutes=30)
        anchor = anchor.replace(hour=shown.hour, minute=shown.minute, second=0)
    if unit is RotationUnit.MONTHLY and chance.random() < 0.5:
        anchor = anchor.replace(month=1, day=chance.choice((29, 30, 31)))
    return Rotation(["a", "b", "nobody", "c"], unit, every, anchor.replace(tzinfo=zone, fold=chance.choice((0, 1))))


def any_restriction(chance: random.Random, zone: ZoneInfo) -> Restriction:
    start, end = (time(chance.randrange(24), chance.choice((0, 1, 30))) for _ in range(2))
    days = chance.sample(range(7), chance.randint(1, 7))
    return Restriction(days, start, start if chance.random() < 0.1 else end, zone)


def check_rotation(rotation: Rotation, near: datetime) -> None:
    """The guarantees of a rotation around an instant."""
    width = min(4 * rotation.every, 60) * SPANS[rotation.unit] + timedelta(days=2)
    start, end = near - width / 2, near + width / 2
    shifts = rotation.shifts(start, end)
    assert shifts[0].start <= start
    assert shifts[-1].end >= end
    for before, after in pairwise(shifts):
        assert before.start < before.end == after.start < after.end
    handoffs = rotation.handoffs(start, end)
    assert list(handoffs) == [shift.start for shift in shifts if shift.start >= start]
    zone = rotation.start.tzinfo
    assert zone is not None
    for at in handoffs:
        check_handoff(rotation, at)
    for shift in shifts:
        for at in (shift.start, shift.start + (shift.end - shift.start) / 2, shift.end - timedelta.resolution):
            assert rotation.shift_at(at) == shift
            assert rotation.participant_at(at) == shift.participant
    for minutes in range(-180, 181, 13):
        # Also where the clock shows a time for the second time, before and after a handoff of the first.
        at = near + timedelta(minutes=minutes)
        (shift,) = [shift for shift in shifts if shift.start <= at < shift.end]
        assert rotation.shift_at(at) == shift
        assert rotation.participant_at(at) == shift.participant


def check_handoff(rotation: Rotation, at: datetime) -> None:
    """A handoff shows the anchor's wall-clock time, or is the first instant after a gap that skips it."""
    zone, anchor = rotation.start.tzinfo, rotation.start.replace(tzinfo=None)
    shown = at.astimezone(zone)
    before = (at - timedelta.resolution).astimezone(zone)
    hourly = rotation.unit is RotationUnit.HOURLY
    same = (shown.minute, shown.second) == (anchor.minute, anchor.second)
    if same and (hourly or shown.hour == anchor.hour):
        assert shown.fold == 0, "the first of two"
        return
    leap = shown.replace(tzinfo=None) - before.replace(tzinfo=None)
    assert leap > timedelta.resolution, f"{at} is neither at the wall-clock time nor after a gap"


def check_restriction(restriction: Restriction, near: datetime) -> None:
    """The answers of a restriction agree with each other, and with the wall clock, around an instant."""
    for hours in range(-30, 31):
        at = near + timedelta(hours=hours, minutes=7)
        active = restriction.is_active(at)
        start, end = restriction.active_from(at), restriction.active_until(at)
        if restriction.always:
            assert (active, start, end) == (True, None, None)
            continue
        assert start is not None
        assert end is not None
        assert (start <= at) == active
        assert at < end
        assert restriction.is_active(start)
        assert restriction.is_active(end - timedelta.resolution)
        assert not restriction.is_active(end)
        assert not restriction.is_active(start - timedelta.resolution)
        zone = restriction.time_zone
        assert isinstance(zone, ZoneInfo)
        shown = at.astimezone(zone)
        clear_of_changes = (
            len({(at + timedelta(days=day)).astimezone(zone).utcoffset() for day in (-2, -1, 0, 1, 2)}) == 1
        )
        if clear_of_changes and "Apia" not in zone.key:
            assert active == by_the_wall(restriction, shown)


def by_the_wall(restriction: Restriction, shown: datetime) -> bool:
    """Whether a restriction is active, away from any change of the clock."""
    days = {day for day in restriction.days if isinstance(day, int)}
    clock, today, yesterday = shown.time().replace(fold=0), shown.weekday(), (shown.weekday() - 1) % 7
    if restriction.end > restriction.start:
        return today in days and restriction.start <= clock < restriction.end
    return (today in days and clock >= restriction.start) or (yesterday in days and clock < restriction.end)
