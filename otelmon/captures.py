"""The groups of a pattern in linear time, for patterns on which a backtracking matcher may take for ever.

All ways through the pattern are followed at once, letter by letter, each with what its groups have caught so far; of
two ways that meet, the one goes on that a backtracking matcher would have tried first (Pike 1985, as Go's ``regexp``).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from otelmon.automaton import Between, Choice, Group, One, Piece, Repeat, Sequence

_Saved = tuple[int, ...]


class Captures:
    """The states of a pattern: each waits for a character, or leads on to others, the most wanted first."""

    def __init__(self, piece: Piece) -> None:
        self.names: dict[str, int] = {}
        self._groups = 0
        self._tests: list[Callable[[str], object] | None] = []
        self._places: list[re.Pattern[str] | None] = []
        self._saves: list[int | None] = []
        self._next: list[tuple[int, ...]] = []
        self._number(piece)
        self._end = self._state()
        self._start = self._lead(piece, self._end)

    def match(self, text: str) -> tuple[str | None, ...] | None:
        """The whole text, then the text of each group (None for one that took no part); None for no match."""
        current = self._reached([(self._start, (-1,) * (2 * self._groups))], text, 0)
        for at, char in enumerate(text):
            onward: list[tuple[int, _Saved]] = []
            for state, saved in current:
                test = self._tests[state]
                if test is not None and test(char):
                    onward.append((self._next[state][0], saved))
            if not onward:
                return None
            current = self._reached(onward, text, at + 1)
        for state, saved in current:
            if state == self._end:
                pairs = zip(saved[::2], saved[1::2], strict=True)
                return (text, *(None if start < 0 or end < 0 else text[start:end] for start, end in pairs))
        return None

    def _reached(self, ways: list[tuple[int, _Saved]], text: str, at: int) -> list[tuple[int, _Saved]]:
        """The states that wait for a character, or are the end, and are led to from these; in order of preference."""
        found: list[tuple[int, _Saved]] = []
        seen: set[int] = set()
        open_ways = ways[::-1]
        while open_ways:
            state, saved = open_ways.pop()
            if state in seen:
                continue
            seen.add(state)
            if self._tests[state] is not None or state == self._end:
                found.append((state, saved))
                continue
            place, save = self._places[state], self._saves[state]
            if place is not None and not place.match(text, at):
                continue
            if save is not None:
                saved = (*saved[:save], at, *saved[save + 1 :])
            open_ways += [(onward, saved) for onward in reversed(self._next[state])]
        return found

    def _number(self, piece: Piece) -> None:
        """Give the groups their numbers, from left to right."""
        if isinstance(piece, Group):
            self._groups += 1
            if piece.name:
                self.names[piece.name] = self._groups
        for inner in _inner(piece):
            self._number(inner)

    def _state(
        self,
        *onward: int,
        test: Callable[[str], object] | None = None,
        place: str | None = None,
        save: int | None = None,
    ) -> int:
        self._tests.append(test)
        self._places.append(None if place is None else re.compile(place))
        self._saves.append(save)
        self._next.append(onward)
        return len(self._next) - 1

    def _lead(self, piece: Piece, onward: int, first: int = 0) -> int:
        """The state at which a piece begins that goes on to ``onward``; ``first`` groups stand before it."""
        match piece:
            case One(text=text):
                return self._state(onward, test=re.compile(text).fullmatch)
            case Between(text=text):
                return self._state(onward, place=text)
            case Group(piece=inner):
                end = self._state(onward, save=2 * first + 1)
                return self._state(self._lead(inner, end, first + 1), save=2 * first)
            case Repeat():
                return self._repeat(piece, onward, first)
        before = [first]
        for inner in _inner(piece):
            before.append(before[-1] + _groups(inner))
        pairs = list(zip(_inner(piece), before, strict=False))
        if isinstance(piece, Choice):
            return self._state(*(self._lead(inner, onward, number) for inner, number in pairs))
        for inner, number in reversed(pairs):
            onward = self._lead(inner, onward, number)
        return onward

    def _repeat(self, piece: Repeat, onward: int, first: int) -> int:
        def fork(inside: int, after: int) -> tuple[int, int]:
            return (after, inside) if piece.lazy else (inside, after)

        end = onward
        if piece.most is None:
            loop = self._state()
            self._next[loop] = fork(self._lead(piece.piece, loop, first), onward)
            onward = loop
        else:
            for _ in range(piece.most - piece.least):
                onward = self._state(*fork(self._lead(piece.piece, onward, first), end))
        for _ in range(piece.least):
            onward = self._lead(piece.piece, onward, first)
        return onward


def _inner(piece: Piece) -> tuple[Piece, ...]:
    if isinstance(piece, Sequence | Choice):
        return piece.pieces
    return (piece.piece,) if isinstance(piece, Repeat | Group) else ()


def _groups(piece: Piece) -> int:
    return isinstance(piece, Group) + sum(_groups(inner) for inner in _inner(piece))
