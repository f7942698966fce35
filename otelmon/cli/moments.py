"""Times as a person types them, and as they read them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import typer

from otelmon.document.fields import did_you_mean
from otelmon.duration import parse_duration
from otelmon.errors import OtelmonError
from otelmon.oncall.wall import first_instant, last_instant, wall_time

ZoneOption = Annotated[str | None, typer.Option("--zone", help="The time zone to show times in; default: yours (TZ).")]

_WALL = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}[T ]+[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}")
_HINT = 'write "2026-12-24 09:00" (time of the schedule), 2026-12-24T09:00+01:00, now or +2h'


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """The instant that was meant, and what is to be said of it (empty: nothing)."""

    at: datetime
    note: str = ""


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads times: in a zone, None for that of this computer."""

    zone: tzinfo | None

    def shown(self, at: datetime) -> str:
        """``Mon 12 Jan 09:00``; with the offset from UTC for a time that the clock shows twice."""
        local = at.astimezone(self.zone)
        if local.tzinfo is None or not isinstance(self.zone, ZoneInfo):
            return f"{local:%a %d %b %H:%M}"
        wall = local.replace(fold=0)
        twice = wall.utcoffset() != wall.replace(fold=1).utcoffset()
        return f"{local:%a %d %b %H:%M}" + (f"{local:%z}"[:3] if twice else "")

    def offset(self, at: datetime) -> float:
        """Seconds by which the reader's clock is ahead of UTC."""
        offset = at.astimezone(self.zone).utcoffset()
        return 0.0 if offset is None else offset.total_seconds()

    def name(self, at: datetime) -> str:
        """What the zone is called."""
        return self.zone.key if isinstance(self.zone, ZoneInfo) else f"{at.astimezone(self.zone):%Z}, local time"


def reader_for(zone: str | None) -> Reader:
    """The reader's zone: as asked for, else TZ, else that of this computer."""
    if zone is not None:
        return Reader(named_zone(zone))
    declared = os.environ.get("TZ", "").lstrip(":")
    try:
        return Reader(ZoneInfo(declared) if declared else None)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return Reader(None)


def named_zone(name: str) -> ZoneInfo:
    """A zone by its name; OtelmonError for one that there is not."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        hint = did_you_mean(name, available_timezones()) or "write one such as Europe/Lisbon"
        raise OtelmonError(f"{name!r} is no time zone; {hint}") from error


def typed_moment(
    text: str, zone: ZoneInfo, *, now: datetime, since: datetime | None = None, whole_days: bool = False
) -> Typed:
    """The instant that a person typed: by the clock of ``zone`` where they give no offset.

    ``+2h`` counts from ``since`` (else from ``now``). With ``whole_days`` a date alone is the beginning of that
    day. Of a time that the clock shows twice the first is taken, and the note says so. Raises OtelmonError for what is
    no time, and for one that the clock skips.
    """
    text = text.strip()
    if text.lower() == "now":
        return Typed(at=now)
    if text.startswith("+"):
        return Typed(at=(since or now) + _duration(text))
    if _DAY.fullmatch(text) and whole_days:
        return Typed(at=_day_begins(text, zone))
    if _DAY.fullmatch(text):
        raise OtelmonError(f"{text!r} has no time; write it, such as {text} 00:00")
    wall = _WALL.fullmatch(text)
    try:
        if wall is not None:
            year, month, day, hour, minute, second = (*map(int, re.split(r"[-T :]+", text)), 0)[:6]
            return _of_the_clock(datetime(year, month, day, hour, minute, second), zone)  # noqa: DTZ001
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise OtelmonError(f"{text!r} is no date with a time; {_HINT}") from error
    if moment.utcoffset() is None:
        return _of_the_clock(moment, zone)
    return Typed(at=moment.astimezone(UTC))


def _day_begins(text: str, zone: ZoneInfo) -> datetime:
    try:
        year, month, day = map(int, text.split("-"))
        return first_instant(datetime(year, month, day), zone)  # noqa: DTZ001
    except ValueError as error:
        raise OtelmonError(f"{text!r} is no day of the calendar") from error


def _of_the_clock(moment: datetime, zone: ZoneInfo) -> Typed:
    first, last = first_instant(moment, zone), last_instant(moment, zone)
    shown = wall_time(first, zone)
    if shown != moment:
        message = f"{moment:%Y-%m-%d %H:%M} does not exist in {zone.key}: the clock is put forward over it"
        raise OtelmonError(f"{message}; write {shown:%Y-%m-%d %H:%M} or later")
    if first == last:
        return Typed(at=first)
    second = last.astimezone(zone).isoformat(timespec="minutes")
    note = f"{moment:%Y-%m-%d %H:%M} comes twice in {zone.key}; the first is meant (for the second write {second})"
    return Typed(at=first, note=note)


def _duration(text: str) -> timedelta:
    try:
        return timedelta(seconds=parse_duration(text[1:].strip()))
    except (ValueError, OverflowError) as error:
        raise OtelmonError(f"{text!r} is no time from now; write +30m, +2h or +1d") from error
