"""Wall clocks: from what a clock on the wall shows to the instant at which it shows it.

A wall time is a naive datetime, an instant an aware one in UTC. Instants in a named zone are never handed on: Python
compares two datetimes of the same zone by their wall time, which is wrong where a clock was turned back.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

_SECOND = timedelta(seconds=1)


def utc(at: datetime) -> datetime:
    """The instant in UTC. Raises ValueError for a naive datetime: it is no instant."""
    if at.tzinfo is UTC:
        return at
    if at.utcoffset() is None:
        raise ValueError(f"{at.isoformat()} has no time zone; give an aware datetime")
    return at.astimezone(UTC)


def wall_time(at: datetime, zone: tzinfo) -> datetime:
    """What the zone's clock shows at an instant (naive)."""
    return at.astimezone(zone).replace(tzinfo=None, fold=0)


def first_instant(wall: datetime, zone: tzinfo) -> datetime:
    """The first instant at which the zone's clock shows ``wall`` or later.

    So a time that a clock skips is the first instant after the gap, and one that it shows twice is the first of the
    two. The later of two wall times never has the earlier instant; two times of the same gap have the same.
    """
    before, after = _offsets(wall, zone)
    if before < after:
        return _end_of_gap(wall, zone, before, after)
    return (wall - before).replace(tzinfo=UTC)


def last_instant(wall: datetime, zone: tzinfo) -> datetime:
    """The last instant at which the zone's clock shows ``wall`` or earlier; in a gap, the first instant after it.

    It differs from :func:`first_instant` only for a time that the clock shows twice.
    """
    before, after = _offsets(wall, zone)
    if before < after:
        return _end_of_gap(wall, zone, before, after)
    return (wall - after).replace(tzinfo=UTC)


def _offsets(wall: datetime, zone: tzinfo) -> tuple[timedelta, timedelta]:
    """The offsets from UTC by the rule before and the rule after a change (PEP 495); equal away from any change."""
    before = wall.replace(tzinfo=zone, fold=0).utcoffset()
    after = wall.replace(tzinfo=zone, fold=1).utcoffset()
    if before is None or after is None:
        raise ValueError(f"{zone} tells no offset from UTC")
    return before, after


def _end_of_gap(wall: datetime, zone: tzinfo, before: timedelta, after: timedelta) -> datetime:
    """The first instant after the gap that ``wall`` lies in. Clocks change at whole seconds of UTC."""
    low = (wall - after).replace(tzinfo=UTC, microsecond=0)
    high = (wall - before).replace(tzinfo=UTC, microsecond=0) + _SECOND
    seconds = round((high - low).total_seconds())
    shown, not_shown = seconds, 0
    while shown - not_shown > 1:
        middle = (shown + not_shown) // 2
        if wall_time(low + middle * _SECOND, zone) >= wall:
            shown = middle
        else:
            not_shown = middle
    return low + shown * _SECOND
