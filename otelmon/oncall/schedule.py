"""Schedule: who is on call at any time, from layers, overrides and temporary schedules.

What it is made of, each over the one before:

1. Layers. At any instant the highest level that has somebody wins; layers of the same level are on call together. A
   layer has nobody outside of its restriction, before its start, after its end, and in a turn of "nobody": a lower
   level then counts.
2. Overrides, in their order, each seeing what those before it did: replace one person by another (nothing happens
   where the replaced one is not on call), add somebody, or remove somebody.
3. Temporary schedules, which leave nothing of the others in their period.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from otelmon.oncall.layer import Layer
from otelmon.oncall.overrides import Override, apply
from otelmon.oncall.report import Paged, Report, make_report
from otelmon.oncall.rotation import NOBODY
from otelmon.oncall.sweep import Piece, person_spans, sweep
from otelmon.oncall.temporary import TemporarySchedule
from otelmon.oncall.wall import utc

# Most schedules change hands within days; few within a year.
_LOOKS_AHEAD = (timedelta(days=1), timedelta(days=10), timedelta(days=60), timedelta(days=400))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """Somebody on call without a break, from an instant (included) to another (excluded), both in UTC.

    ``truncated`` says that they are still on call at the end, which is where the asked time ends.
    """

    person: str
    start: datetime
    end: datetime
    truncated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Nobody on call, from an instant (included) to another (excluded), both in UTC.

    ``on_purpose`` says that a layer had a turn of "nobody" all the while.
    """

    start: datetime
    end: datetime
    on_purpose: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Who is on call at any time. Every instant that it gives is in UTC; ``time_zone`` is how people read it.

    ``layers`` are in order, the lowest first; see the module for what wins over what.
    """

    name: str = ""
    time_zone: ZoneInfo | str = "UTC"
    layers: Sequence[Layer] = ()
    overrides: Sequence[Override] = ()
    temporary: Sequence[TemporarySchedule] = ()
    _levels: tuple[tuple[Layer, ...], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        levels: dict[int, list[Layer]] = {}
        for place, layer in enumerate(self.layers, start=1):
            levels.setdefault(place if layer.level is None else layer.level, []).append(layer)
        put = object.__setattr__
        put(self, "time_zone", self.zone)
        put(self, "layers", tuple(self.layers))
        put(self, "overrides", tuple(self.overrides))
        put(self, "temporary", tuple(self.temporary))
        put(self, "_levels", tuple(tuple(levels[level]) for level in sorted(levels, reverse=True)))

    @property
    def zone(self) -> ZoneInfo:
        """The zone in which people read the schedule."""
        return self.time_zone if isinstance(self.time_zone, ZoneInfo) else ZoneInfo(self.time_zone)

    def on_call(self, at: datetime) -> tuple[str, ...]:
        """Who is on call at an instant: each person once, by name; empty for nobody."""
        at = utc(at)
        temporary = [one for one in self.temporary if one.start <= at < one.end]
        if temporary:
            return tuple(sorted({one.person for plan in temporary for one in plan.shifts if one.start <= at < one.end}))
        people: list[str] = []
        for level in self._levels:
            people = [one for layer in level if (one := layer.participant_at(at)) is not None and one != NOBODY]
            if people:
                break
        return apply(people, (override for override in self.overrides if override.start <= at < override.end))

    def shifts(self, start: datetime, end: datetime) -> tuple[Shift, ...]:
        """The final schedule from ``start`` to ``end``, cut to it: by start, then by name.

        One person's turns that follow each other without a break are one shift.
        """
        start, end = utc(start), utc(end)
        if end <= start:
            return ()
        still = set(self.on_call(end))
        return tuple(
            Shift(person=person, start=begin, end=finish, truncated=finish == end and person in still)
            for begin, person, finish in sorted(person_spans(self.pieces(start, end)))
        )

    def gaps(self, start: datetime, end: datetime) -> tuple[Gap, ...]:
        """When nobody is on call from ``start`` to ``end``, cut to it, in order."""
        found: list[Gap] = []
        for piece in self.pieces(start, end):
            if piece.people:
                continue
            if found and found[-1].end == piece.start and found[-1].on_purpose == piece.on_purpose:
                found[-1] = Gap(start=found[-1].start, end=piece.end, on_purpose=piece.on_purpose)
            else:
                found.append(Gap(start=piece.start, end=piece.end, on_purpose=piece.on_purpose))
        return tuple(found)

    def report(self, start: datetime, end: datetime, pages: Iterable[Paged] = ()) -> Report:
        """What each person carried from ``start`` to ``end``, and how much of that time was covered."""
        return make_report(self.pieces(start, end), utc(start), utc(end), self.zone, pages)

    def next_on_call(self, at: datetime) -> Shift | None:
        """The next shift that begins after an instant, of somebody who is not on call at it.

        None where none begins within 400 days. Its ``end`` may be cut where that time ends.
        """
        at = utc(at)
        now = set(self.on_call(at))
        for ahead in _LOOKS_AHEAD:
            following = next((shift for shift in self.shifts(at, at + ahead) if shift.person not in now), None)
            if following is not None and (not following.truncated or ahead == _LOOKS_AHEAD[-1]):
                return following
        return None

    def everyone(self, at: datetime) -> tuple[str, ...]:
        """Everybody who takes turns at an instant, on call or not, and whoever is on call; by name."""
        at = utc(at)
        layers = (one for one in self.layers if one.in_force(at))
        named = {member.person for layer in layers for member in layer.rotation.members if member.takes_turns(at)}
        return tuple(sorted((named | set(self.on_call(at))) - {NOBODY}))

    def people(self) -> frozenset[str]:
        """Everybody who is named in it."""
        named = {member.person for layer in self.layers for member in layer.rotation.members}
        named |= {name for override in self.overrides for name in (override.person, override.replaces)}
        named |= {shift.person for plan in self.temporary for shift in plan.shifts}
        return frozenset(named - {NOBODY, ""})

    def pieces(self, start: datetime, end: datetime) -> list[Piece]:
        """The time from ``start`` to ``end``, cut where who is on call changes; without a hole, in order."""
        start, end = utc(start), utc(end)
        if end <= start:
            return []
        levels = [[list(layer.segments(start, end)) for layer in level] for level in self._levels]
        overrides = [one for one in self.overrides if one.start < end and start < one.end]
        temporary = [one for one in self.temporary if one.start < end and start < one.end]
        return sweep(start, end, levels, overrides, temporary)
