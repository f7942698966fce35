"""Pace: background work in small portions, between which the application's threads run."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

# A thread that asks for the interpreter while Python code of another runs gets it after 5 ms; a request asks each time
# that it has read from its socket or written to it, and so would be held up several times as long. Work that pauses
# holds it up for one portion at a time.
_WORK_SECONDS = 0.0005
_PAUSE_SECONDS = 0.0001
T = TypeVar("T")


class Pace:
    """The pace of one stretch of work in one thread."""

    __slots__ = ("_begun",)

    def __init__(self) -> None:
        """The first portion begins now."""
        self._begun = time.perf_counter()

    def rest(self) -> None:
        """Pause if a portion of work is done."""
        if time.perf_counter() - self._begun > _WORK_SECONDS:
            time.sleep(_PAUSE_SECONDS)
            self._begun = time.perf_counter()

    def each(self, items: Iterable[T]) -> Iterator[T]:
        """The items, with a rest after each where it is due."""
        for item in items:
            yield item
            self.rest()
