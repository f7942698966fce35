"""Rotation: people who take turns, handing off at the same wall-clock time.

What holds in every time zone, held by tests over all of them:

- Handoffs strictly increase, and every instant belongs to exactly one shift.
- A handoff is at a wall-clock time of the start's zone. A time that the clock skips is the first instant after the
  gap, a time that it shows twice is the first of the two. So an hourly shift over the repeated hour lasts two hours.
- Turn n is computed from the start, never from turn n - 1: nothing drifts. Monthly turns from the 29th, 30th or 31st
  hand off on the last day of a month that is shorter (31 January, 28 February, 31 March).
- A turn that lies wholly in a gap of the clock (an hour skipped in spring, a day lost at the date line) has no length
  and no shift; the turns after it stay where they were.
- Who joins or leaves changes no shift that began before, but that of the one who leaves.
"""

from __future__ import annotations

from bisect import bisect_right
from calendar import monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum

from otelmon.oncall.wall import first_instant, utc, wall_time

NOBODY = "nobody"
"""The participant whose turn is time off on purpose."""

VACANT = ""
"""The participant of a shift for which nobody is left in the rotation."""

_MOST = 9000
_STEPS = {"hourly": timedelta(hours=1), "daily": timedelta(days=1), "weekly": timedelta(weeks=1)}


class RotationUnit(StrEnum):
    """What a turn's length is counted in."""

    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody in a rotation: a name, and from when (included) to when (excluded) they take turns.

    None is always. Whoever joins in mid-shift waits for the next handoff; when the one on call leaves in mid-shift,
    the next in turn takes over at once.
    """

    person: str
    joins_at: datetime | None = None
    leaves_at: datetime | None = None

    def __post_init__(self) -> None:
        for name in ("joins_at", "leaves_at"):
            at = getattr(self, name)
            if at is not None:
                object.__setattr__(self, name, utc(at))
        if self.joins_at is not None and self.leaves_at is not None and self.leaves_at <= self.joins_at:
            raise ValueError(f"{self.person} leaves before joining")

    def takes_turns(self, at: datetime) -> bool:
        """Whether they are in the rotation at an instant."""
        return (self.joins_at is None or self.joins_at <= at) and (self.leaves_at is None or at < self.leaves_at)


@dataclass(frozen=True, slots=True)
class Turn:
    """One shift of a rotation: who, from an instant (included) to the handoff (excluded), both in UTC."""

    participant: str
    start: datetime
    end: datetime

    @property
    def person(self) -> str | None:
        """Who is on call; None for nobody."""
        return None if self.participant in (NOBODY, VACANT) else self.participant


@dataclass(frozen=True, slots=True)
class _Epoch:
    """Turns during which the same people take part: from turn ``first`` on; ``roster[place]`` has turn ``known``."""

    first: int | None
    roster: tuple[int, ...]
    known: int
    place: int

    def position(self, turn: int) -> int | None:
        """Whose turn it is, as a position in the list of participants; None where nobody takes part."""
        return self.roster[(self.place + turn - self.known) % len(self.roster)] if self.roster else None


@dataclass(frozen=True, slots=True)
class Rotation:
    """People who take turns of ``every`` (1 to 9000) hours, days, weeks or months, from ``start`` on and before it.

    ``participants`` are names, in the order of their turns; :data:`NOBODY` among them is a turn off. ``start`` is an
    aware datetime: the first participant's turn begins at its wall-clock time, and its zone is the rotation's. The
    rotation has no end in either direction. ``first`` is the position of whoever has the turn at ``start``, if nobody
    joined or left before it.

    Raises ValueError: no participants, ``every`` out of bounds, a naive ``start``.
    """

    participants: Sequence[str | Participant]
    unit: RotationUnit | str
    every: int
    start: datetime
    first: int = 0
    _zone: tzinfo = field(init=False, repr=False, compare=False)
    _anchor: datetime = field(init=False, repr=False, compare=False)
    _members: tuple[Participant, ...] = field(init=False, repr=False, compare=False)
    _epochs: tuple[_Epoch, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        members = tuple(one if isinstance(one, Participant) else Participant(one) for one in self.participants)
        if not members:
            raise ValueError("a rotation needs participants; write nobody where nobody is meant")
        if not 1 <= self.every <= _MOST:
            raise ValueError(f"a turn lasts 1 to {_MOST} units, not {self.every}")
        zone = self.start.tzinfo
        if zone is None or self.start.utcoffset() is None:
            raise ValueError("the start of a rotation needs a time zone")
        put = object.__setattr__
        put(self, "participants", tuple(self.participants))
        put(self, "unit", RotationUnit(self.unit))
        put(self, "_zone", zone)
        put(self, "_anchor", self.start.replace(tzinfo=None, fold=0))
        put(self, "_members", members)
        put(self, "_epochs", self._make_epochs())

    @property
    def members(self) -> tuple[Participant, ...]:
        """The participants with their dates, in order."""
        return self._members

    def participant_at(self, at: datetime) -> str:
        """Whose shift an instant belongs to; :data:`NOBODY` or :data:`VACANT` for nobody."""
        at = utc(at)
        turn = self._turn(at)
        if len(self._epochs) == 1:
            position = self._epochs[0].position(turn)
            return VACANT if position is None else self._members[position].person
        return next(piece.participant for piece in self._pieces(turn) if at < piece.end)

    def shift_at(self, at: datetime) -> Turn:
        """The one shift that an instant belongs to."""
        at = utc(at)
        return next(piece for piece in self._pieces(self._turn(at)) if at < piece.end)

    def shifts(self, start: datetime, end: datetime) -> tuple[Turn, ...]:
        """The shifts that overlap the time from ``start`` to ``end``, whole, in order, each beginning where one ends.

        Raises ValueError where ``end`` is before ``start``.
        """
        start, end = utc(start), utc(end)
        if end < start:
            raise ValueError("the end is before the start")
        return tuple(self._walk(start, end)) if end > start else ()

    def handoffs(self, start: datetime, end: datetime) -> tuple[datetime, ...]:
        """The instants from ``start`` (included) to ``end`` (excluded) at which a shift begins; strictly increasing."""
        start = utc(start)
        return tuple(shift.start for shift in self.shifts(start, end) if shift.start >= start)

    def without(self, person: str, at: datetime) -> Rotation:
        """The rotation after somebody left at an instant: nothing before it changes.

        Who is on call then stays so if it is somebody else; else the next in turn takes over. Raises ValueError for
        somebody who is not in it.
        """
        at = utc(at)
        if all(member.person != person for member in self._members):
            raise ValueError(f"{person} is not in the rotation")
        members = []
        for member in self._members:
            if member.person == person and (member.joins_at is not None and member.joins_at >= at):
                continue
            leaves = member.person == person and (member.leaves_at is None or member.leaves_at > at)
            members.append(replace(member, leaves_at=at) if leaves else member)
        return replace(self, participants=tuple(members))

    def keeping(self, person: str, at: datetime) -> Rotation:
        """The same rotation with its order turned so that ``person`` has the shift at an instant.

        For a list of participants that was edited: who was on call before the edit stays so. Raises ValueError where
        they take no turns then.
        """
        for first in range(len(self._members)):
            turned = replace(self, first=first)
            if turned.participant_at(at) == person:
                return turned
        raise ValueError(f"{person} takes no turns at that time")

    # --- the arithmetic of turns ------------------------------------------------------------------------------------

    def _wall(self, turn: int) -> datetime:
        """The wall-clock time at which a turn begins."""
        step = _STEPS.get(self.unit)
        if step is not None:
            return self._anchor + turn * self.every * step
        months = self._anchor.year * 12 + self._anchor.month - 1 + turn * self.every
        year, month = months // 12, months % 12 + 1
        return self._anchor.replace(year=year, month=month, day=min(self._anchor.day, monthrange(year, month)[1]))

    def _handoff(self, turn: int) -> datetime:
        return first_instant(self._wall(turn), self._zone)

    def _turn(self, at: datetime) -> int:
        """The last turn that has begun at an instant; its shift is never empty."""
        shown = wall_time(at, self._zone)
        step = _STEPS.get(self.unit)
        if step is not None:
            turn = (shown - self._anchor) // (step * self.every)
        else:
            months = (shown.year - self._anchor.year) * 12 + shown.month - self._anchor.month
            turn = months // self.every
            if self._wall(turn) > shown:
                turn -= 1
        # The clock was turned back: it had shown the time of later handoffs before.
        while self._handoff(turn + 1) <= at:
            turn += 1
        return turn

    def _walk(self, start: datetime, end: datetime) -> Iterator[Turn]:
        turn = self._turn(start)
        while True:
            for piece in self._pieces(turn):
                if piece.start >= end:
                    return
                if piece.end > start:
                    yield piece
            turn += 1

    def _pieces(self, turn: int) -> Iterator[Turn]:
        """A turn's shifts: none where it has no length, several where whoever has it leaves before its end."""
        start, end = self._handoff(turn), self._handoff(turn + 1)
        position = self._position(turn)
        if len(self._epochs) == 1 and position is not None and start < end:
            yield Turn(self._members[position].person, start, end)
            return
        while start < end:
            until, participant = end, VACANT
            if position is not None:
                participant = self._members[position].person
                leaves_at = self._members[position].leaves_at
                until = end if leaves_at is None else min(end, leaves_at)
            else:
                joins = [member.joins_at for member in self._members if member.joins_at is not None]
                until = min((at for at in joins if start < at < end), default=end)
            yield Turn(participant, start, until)
            start = until
            position = self._after(-1 if position is None else position, start)

    # --- who takes turns ---------------------------------------------------------------------------------------------

    def _position(self, turn: int) -> int | None:
        epochs = self._epochs
        if len(epochs) == 1:
            return epochs[0].position(turn)
        return epochs[bisect_right(epochs, turn, lo=1, key=lambda epoch: epoch.first or 0) - 1].position(turn)

    def _after(self, position: int, at: datetime) -> int | None:
        """The position next in order of somebody who takes turns at an instant."""
        count = len(self._members)
        order = ((position + step) % count for step in range(1, count + 1))
        return next((place for place in order if self._members[place].takes_turns(at)), None)

    def _make_epochs(self) -> tuple[_Epoch, ...]:
        """The runs of turns with the same people, worked out from the earliest on."""
        count = len(self._members)
        changes = {at for member in self._members for at in (member.joins_at, member.leaves_at) if at is not None}
        if not changes:
            return (_Epoch(None, tuple(range(count)), 0, self.first % count),)
        bounds = sorted({self._turn(at - timedelta.resolution) + 1 for at in changes})
        roster = self._roster(bounds[0] - 1)
        epochs = [_Epoch(None, roster, 0, _next_place(roster, self.first % count - 1))]
        last = (self.first - 1) % count
        for bound in bounds:
            before = epochs[-1].position(bound - 1)
            last = last if before is None else before
            roster = self._roster(bound)
            epochs.append(_Epoch(bound, roster, bound, _next_place(roster, last)))
        return tuple(epochs)

    def _roster(self, turn: int) -> tuple[int, ...]:
        """The positions of those who take part when a turn begins."""
        at = self._handoff(turn)
        return tuple(place for place, member in enumerate(self._members) if member.takes_turns(at))


def _next_place(roster: Sequence[int], position: int) -> int:
    """Where in a roster the first one after a position in the list of participants is."""
    return next((place for place, known in enumerate(roster) if known > position), 0)
