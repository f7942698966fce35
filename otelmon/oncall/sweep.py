"""Going through a stretch of time once, to see who is on call in each part of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from otelmon.oncall.overrides import Override, apply
from otelmon.oncall.rotation import NOBODY
from otelmon.oncall.temporary import TemporarySchedule

Segment = tuple[datetime, datetime, str]
"""Somebody's turn in a layer: from an instant (included) to another (excluded)."""


class Piece(NamedTuple):
    """A stretch of time in which who is on call does not change.

    ``on_purpose`` says that nobody is, because it is a layer's turn of "nobody".
    """

    start: datetime
    end: datetime
    people: tuple[str, ...]
    on_purpose: bool


def sweep(
    start: datetime,
    end: datetime,
    levels: Sequence[Sequence[Sequence[Segment]]],
    overrides: Sequence[Override],
    temporary: Sequence[TemporarySchedule],
) -> list[Piece]:
    """The pieces from ``start`` to ``end``; ``levels`` hold the segments of their layers, the highest first."""
    edges = {at for level in levels for layer in level for begin, finish, _ in layer for at in (begin, finish)}
    edges.update(at for one in overrides for at in (one.start, one.end))
    edges.update(at for one in temporary for at in (one.start, one.end))
    edges.update(at for one in temporary for shift in one.shifts for at in (shift.start, shift.end))
    points = [start, *sorted(at for at in edges if start < at < end), end]
    cursors = [[_Cursor(layer) for layer in level] for level in levels]
    pieces: list[Piece] = []
    for begin, finish in pairwise(points):
        people, on_purpose = _on_call(begin, cursors, overrides, temporary)
        if pieces and pieces[-1].people == people and pieces[-1].on_purpose == on_purpose:
            pieces[-1] = pieces[-1]._replace(end=finish)
        else:
            pieces.append(Piece(begin, finish, people, on_purpose))
    return pieces


class _Cursor:
    """A layer's segments, asked for instants that only increase."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._segments = segments
        self._index = 0

    def at(self, at: datetime) -> str | None:
        """Who has the turn; None where nobody has, not even "nobody"."""
        while self._index < len(self._segments) and self._segments[self._index][1] <= at:
            self._index += 1
        if self._index < len(self._segments) and self._segments[self._index][0] <= at:
            return self._segments[self._index][2]
        return None


def _on_call(
    at: datetime,
    levels: Sequence[Sequence[_Cursor]],
    overrides: Sequence[Override],
    temporary: Sequence[TemporarySchedule],
) -> tuple[tuple[str, ...], bool]:
    plans = [one for one in temporary if one.start <= at < one.end]
    if plans:
        return tuple(sorted({one.person for plan in plans for one in plan.shifts if one.start <= at < one.end})), False
    people: list[str] = []
    off = False
    for level in levels:
        turns = [turn for cursor in level if (turn := cursor.at(at)) is not None]
        off = off or NOBODY in turns
        people = [turn for turn in turns if turn != NOBODY]
        if people:
            break
    active = [one for one in overrides if one.start <= at < one.end]
    on_call = apply(people, active) if active else tuple(sorted(set(people)))
    return on_call, off and not people and not on_call


def person_spans(pieces: Iterable[Piece]) -> Iterator[tuple[datetime, str, datetime]]:
    """Each person's time on call without a break, as (start, person, end); unordered."""
    since: dict[str, datetime] = {}
    last: datetime | None = None
    for piece in pieces:
        for person in [one for one in since if one not in piece.people]:
            yield since.pop(person), person, piece.start
        for person in piece.people:
            since.setdefault(person, piece.start)
        last = piece.end
    if last is not None:
        for person, start in since.items():
            yield start, person, last
