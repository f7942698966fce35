"""Restriction: the hours of the week in which a layer counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from otelmon.oncall.spans import Span, merged
from otelmon.oncall.wall import first_instant, last_instant, utc, wall_time

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""The days of the week as they are written; Monday is 0."""

_DAY = timedelta(days=1)
# A run of active days is at most 8 days long, unless it has no end; a day lost at the date line adds a week's wait.
_BACK, _AHEAD = timedelta(days=10), timedelta(days=24)


def parse_days(days: str | Iterable[str | int]) -> frozenset[int]:
    """The days of ``mon-fri``, ``sat,sun``, ``fri-mon``, ``every day``, or of names and numbers (Monday is 0).

    Raises ValueError for a word that is no day.
    """
    if not isinstance(days, str):
        found: set[int] = set()
        for day in days:
            found |= _numbered(day) if isinstance(day, int) else parse_days(day)
        return frozenset(found)
    if days.strip().lower() in ("every day", "all", "daily"):
        return frozenset(range(7))
    found = set()
    for part in days.replace(",", " ").split():
        first, dash, last = part.partition("-")
        start = _day(first)
        end = _day(last) if dash else start
        found |= {(start + step) % 7 for step in range((end - start) % 7 + 1)}
    return frozenset(found)


def _day(word: str) -> int:
    full = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    lowered = word.lower()
    for number, (short, name) in enumerate(zip(DAYS, full, strict=True)):
        if lowered in (short, name):
            return number
    raise ValueError(f"{word!r} is no day of the week; write mon, tue, wed, thu, fri, sat or sun")


def _numbered(day: int) -> set[int]:
    if not 0 <= day <= 6:
        raise ValueError(f"{day} is no day of the week; Monday is 0, Sunday 6")
    return {day}


@dataclass(frozen=True, slots=True)
class Restriction:
    """Active from ``start`` to ``end`` by the wall clock of a zone, on the days on which that time begins.

    ``days`` are as :func:`parse_days` reads them. Where ``end`` is before ``start``, it is on the day after (fri
    18:00-09:00 ends on Saturday); where they are the same, a day lasts until the next one's start, so that mon-fri
    00:00-00:00 is one stretch. A start that the clock skips is the first instant after the gap, one shown twice the
    first of the two; an end shown twice is the last of the two: coverage overlaps rather than leaves a hole. A day of
    which nothing is left (lost at the date line) is not active.
    """

    days: str | Iterable[str | int]
    start: time
    end: time
    time_zone: ZoneInfo | str
    _mask: frozenset[int] = field(init=False, repr=False, compare=False)
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        zone = self.time_zone if isinstance(self.time_zone, ZoneInfo) else ZoneInfo(self.time_zone)
        mask = parse_days(self.days)
        put = object.__setattr__
        put(self, "days", self.days if isinstance(self.days, str) else tuple(sorted(mask)))
        put(self, "_mask", mask)
        put(self, "_zone", zone)

    @property
    def always(self) -> bool:
        """Whether it is active at any time."""
        return len(self._mask) == 7 and self.start == self.end

    def is_active(self, at: datetime) -> bool:
        """Whether it is active at an instant; the end is excluded."""
        at = utc(at)
        if self.always:
            return True
        today = wall_time(at, self._zone).date()
        # Tomorrow too: a clock turned back over midnight shows yesterday's date once more.
        for day in (today, today - _DAY, today + _DAY):
            span = self._span(day)
            if span is not None and span[0] <= at < span[1]:
                return True
        return False

    def active_from(self, at: datetime) -> datetime | None:
        """When the active time that an instant lies in began, or, between two, when the next begins (UTC).

        None where it is never or always active.
        """
        span = self._run(utc(at))
        return None if span is None else span[0]

    def active_until(self, at: datetime) -> datetime | None:
        """When the active time that an instant lies in ends, or, between two, when the next ends (UTC).

        None where it is never or always active.
        """
        span = self._run(utc(at))
        return None if span is None else span[1]

    def spans(self, start: datetime, end: datetime) -> list[Span]:
        """The active times that overlap the time from ``start`` to ``end``, in order, cut to it."""
        start, end = utc(start), utc(end)
        if self.always:
            return [(start, end)] if end > start else []
        found = []
        for begin, finish in self._runs(start, end):
            if begin < end and finish > start:
                found.append((max(begin, start), min(finish, end)))
        return found

    def _run(self, at: datetime) -> Span | None:
        if self.always or not self._mask:
            return None
        return next((span for span in self._runs(at - _BACK, at + _AHEAD) if span[1] > at), None)

    def _runs(self, start: datetime, end: datetime) -> list[Span]:
        """Active times, whole where they begin after ``start`` and end before ``end``."""
        day = wall_time(start, self._zone).date() - 2 * _DAY
        last = wall_time(end, self._zone).date() + _DAY
        spans = []
        while day <= last:
            span = self._span(day)
            if span is not None:
                spans.append(span)
            day += _DAY
        return merged(spans)

    def _span(self, day: date) -> Span | None:
        """The active time that begins on a day; it may be empty."""
        if day.weekday() not in self._mask:
            return None
        return _day_span(day, self.start, self.end, self._zone)


@lru_cache(maxsize=4096)
def _day_span(day: date, start: time, end: time, zone: ZoneInfo) -> Span:
    """The instants of one day's active time. Kept: who is on call is asked for the same days again and again."""
    end_day = day if end > start else day + _DAY
    return first_instant(datetime.combine(day, start), zone), last_instant(datetime.combine(end_day, end), zone)
