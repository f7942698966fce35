"""Swap: two people exchange a shift each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from otelmon.oncall.overrides import Override
from otelmon.oncall.schedule import Schedule, Shift
from otelmon.oncall.wall import utc

LONGEST_SHIFT = timedelta(days=62)
"""A shift longer than this is not swapped: it may have no end."""
_AHEAD = timedelta(days=400)


class SwapError(ValueError):
    """Two people cannot swap; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """What two people exchange: ``given`` was the first one's, ``taken`` the second one's. ``overrides`` do it."""

    given: Shift
    taken: Shift
    overrides: tuple[Override, Override]


def swap(
    schedule: Schedule,
    one: str,
    other: str,
    *,
    now: datetime,
    shift_at: datetime | None = None,
    for_at: datetime | None = None,
    reason: str = "",
    by: str = "",
) -> Swap:
    """The swap of a shift of ``one`` for a shift of ``other``; of shifts that have begun, what is left of them.

    ``shift_at`` and ``for_at`` are instants within these shifts; without them it is the one's present or next shift,
    and the other's first after that. Raises SwapError where either is not on call then, or both are.
    """
    now = utc(now)
    if one == other:
        raise SwapError(f"{one} cannot swap with themselves")
    given = _shift(schedule, one, now if shift_at is None else utc(shift_at), exact=shift_at is not None, now=now)
    first = given.end if for_at is None else utc(for_at)
    taken = _shift(schedule, other, first, exact=for_at is not None, now=now)
    for person, theirs in ((other, given), (one, taken)):
        for shift in schedule.shifts(theirs.start, theirs.end):
            if shift.person == person:
                raise SwapError(f"{person} is on call too while {theirs.person} is: nothing can be swapped then")
    return Swap(
        given=given,
        taken=taken,
        overrides=(
            Override(start=given.start, end=given.end, person=other, replaces=one, reason=reason, by=by),
            Override(start=taken.start, end=taken.end, person=one, replaces=other, reason=reason, by=by),
        ),
    )


def _shift(schedule: Schedule, person: str, at: datetime, *, exact: bool, now: datetime) -> Shift:
    """The person's shift at an instant or, if it need not be exact, the first one that ends after it."""
    until = at + (LONGEST_SHIFT if exact else _AHEAD)
    for shift in schedule.shifts(max(now, at - LONGEST_SHIFT), until):
        if shift.person != person or shift.end <= at:
            continue
        if exact and shift.start > at:
            break
        if shift.truncated or shift.end - shift.start > LONGEST_SHIFT:
            raise SwapError(f"the shift of {person} is longer than {LONGEST_SHIFT.days} days: give an override's times")
        return shift
    raise SwapError(f"{person} is not on call then" if exact else f"{person} has no shift within {_AHEAD.days} days")
