"""Matching in linear time, for patterns on which a backtracking matcher may take for ever.

A pattern is a tree of pieces. On ``(a+)+b`` Python's ``re`` tries every way to split the a's, which doubles with each
letter; here all ways are followed at once (Thompson 1968), letter by letter, as RE2 does. It is slower where ``re``
does well, so ``takes_long`` says which patterns need it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

# How many repetitions beside each other are left to backtracking: n letters take it about n ** this many steps.
_MOST_UNBOUNDED = 2
_MOST_OPTIONAL = 6
_SMALL = 4


@dataclass(frozen=True, slots=True)
class One:
    """One character; ``text`` is a pattern of ``re`` for it."""

    text: str


@dataclass(frozen=True, slots=True)
class Between:
    """A place between characters, such as a word's end; ``text`` is a pattern of ``re`` for it."""

    text: str


@dataclass(frozen=True, slots=True)
class Sequence:
    """One piece after the other."""

    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Any of these pieces."""

    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A piece ``least`` to ``most`` times (None: any number of times)."""

    piece: Piece
    least: int
    most: int | None
    lazy: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """A piece whose text is captured, under its number and, if it has one, its name."""

    piece: Piece
    name: str = ""


Piece = One | Between | Sequence | Choice | Repeat | Group


def doubles(piece: Piece, *, repeated: bool = False) -> bool:
    """Whether backtracking may take exponential time: something that varies is repeated as a whole."""
    match piece:
        case Sequence(pieces=pieces):
            return any(doubles(inner, repeated=repeated) for inner in pieces)
        case Choice(pieces=pieces):
            return repeated or any(doubles(inner, repeated=repeated) for inner in pieces)
        case Repeat(piece=inner, least=least, most=most):
            if repeated and most != least:
                return True
            return doubles(inner, repeated=repeated or most is None or most > 1)
        case Group(piece=inner):
            return doubles(inner, repeated=repeated)
    return False


def takes_long(piece: Piece) -> bool:
    """Whether backtracking may take long: exponential time, or a high power of the text's length."""
    unbounded, optional = _varying(piece)
    return doubles(piece) or unbounded > _MOST_UNBOUNDED or optional > _MOST_OPTIONAL


def _varying(piece: Piece) -> tuple[int, int]:
    """How many pieces beside each other may vary much and little in their number."""
    match piece:
        case Sequence(pieces=pieces):
            found = [_varying(inner) for inner in pieces]
            return sum(much for much, _ in found), sum(little for _, little in found)
        case Choice(pieces=pieces):
            found = [_varying(inner) for inner in pieces]
            return max(much for much, _ in found), max(little for _, little in found)
        case Repeat(piece=inner, least=least, most=most):
            much, little = _varying(inner)
            if most == least:
                return much * least, little * least
            return (much, little + 1) if most is not None and most - least <= _SMALL else (much + 1, little)
        case Group(piece=inner):
            return _varying(inner)
    return 0, 0


class Automaton:
    """The states of a pattern: each waits for a character, or leads on to others."""

    def __init__(self, piece: Piece) -> None:
        self._tests: list[Callable[[str], object] | None] = []
        self._places: list[re.Pattern[str] | None] = []
        self._next: list[tuple[int, ...]] = []
        self._end = self._state()
        self._start = self._lead(piece, self._end)

    def matches(self, text: str) -> bool:
        """Whether the whole text matches."""
        current = self._reached([self._start], text, 0)
        for at, char in enumerate(text):
            onward: list[int] = []
            for state in current:
                test = self._tests[state]
                if test is not None and test(char):
                    onward += self._next[state]
            if not onward:
                return False
            current = self._reached(onward, text, at + 1)
        return self._end in current

    def _reached(self, states: list[int], text: str, at: int) -> set[int]:
        """These states and those that they lead to without a character."""
        found: set[int] = set()
        while states:
            state = states.pop()
            if state in found:
                continue
            found.add(state)
            place = self._places[state]
            if self._tests[state] is None and (place is None or place.match(text, at)):
                states += self._next[state]
        return found

    def _state(self, *onward: int, test: Callable[[str], object] | None = None, place: str | None = None) -> int:
        self._tests.append(test)
        self._places.append(None if place is None else re.compile(place))
        self._next.append(onward)
        return len(self._next) - 1

    def _lead(self, piece: Piece, onward: int) -> int:
        """The state at which a piece begins that goes on to ``onward``."""
        match piece:
            case One(text=text):
                return self._state(onward, test=re.compile(text).fullmatch)
            case Between(text=text):
                return self._state(onward, place=text)
            case Choice(pieces=pieces):
                return self._state(*(self._lead(inner, onward) for inner in pieces))
            case Sequence(pieces=pieces):
                for inner in reversed(pieces):
                    onward = self._lead(inner, onward)
                return onward
            case Group(piece=inner):
                return self._lead(inner, onward)
            case Repeat(piece=inner, least=least, most=most):
                if most is None:
                    loop = self._state()
                    self._next[loop] = (onward, self._lead(inner, loop))
                    onward = loop
                else:
                    end = onward
                    for _ in range(most - least):
                        onward = self._state(self._lead(inner, onward), end)
                for _ in range(least):
                    onward = self._lead(inner, onward)
                return onward
