"""Notices of who is on call: in a channel, when it changes, or at a time of day."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from otelmon.oncall.wall import first_instant, utc, wall_time

_DAY = timedelta(days=1)
# A week, and one more where the only day is one that the date line took.
_DAYS_AHEAD = 15


def next_notice_at(
    at: datetime, time_of_day: time | None, zone: ZoneInfo, days: Collection[int] | None = None
) -> datetime | None:
    """The next time of day after an instant, never at it, on given days (Monday is 0; None for every day), in UTC.

    None where there is none: no time of day, or no days. By the wall clock of ``zone``; a time that it skips is the
    first instant after the gap, one that it shows twice the first of the two.
    """
    at = utc(at)
    if time_of_day is None:
        return None
    today = wall_time(at, zone).date()
    for ahead in range(_DAYS_AHEAD):
        day = today + ahead * _DAY
        if days is None or day.weekday() in days:
            instant = first_instant(datetime.combine(day, time_of_day), zone)
            if instant > at:
                return instant
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A channel that is told who is on call: on each change, or at a time of day on given days.

    ``time_of_day`` None is on each change. ``next_at`` is when the next notice is due, once that is known.
    """

    channel: str
    time_of_day: time | None = None
    days: frozenset[int] | None = None
    next_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeStep:
    """The channels to tell now, and the subscriptions after that."""

    channels: tuple[str, ...]
    subscriptions: tuple[Subscription, ...]


def step(
    subscriptions: Iterable[Subscription],
    before: Collection[str] | None,
    now: Collection[str],
    *,
    at: datetime,
    zone: ZoneInfo,
) -> NoticeStep:
    """Whom to tell at an instant, where ``before`` were on call and ``now`` are.

    ``before`` is None where it is not known yet, which is a change.
    A notice whose time came while nothing ran is sent once. One without a ``next_at`` is due at its next time.
    """
    at = utc(at)
    changed = before is None or set(before) != set(now)
    channels = []
    after = []
    for one in subscriptions:
        due = changed if one.time_of_day is None else one.next_at is not None and one.next_at <= at
        if due:
            channels.append(one.channel)
        if one.time_of_day is not None and (due or one.next_at is None):
            one = replace(one, next_at=next_notice_at(at, one.time_of_day, zone, one.days))  # noqa: PLW2901
        after.append(one)
    return NoticeStep(channels=tuple(channels), subscriptions=tuple(after))
