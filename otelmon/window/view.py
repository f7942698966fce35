"""View: the part of a window whose series meet one more matcher, read as if the window had nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from otelmon.matching import Matcher
from otelmon.window.selection import Selection

if TYPE_CHECKING:
    from otelmon.window.window import Series, Window


class Readable(Protocol):
    """What an expression is evaluated on: a window, or a view of one."""

    results: dict[object, object]
    """Kept for whoever evaluates: what an expression gave last, and for which versions, see promql."""

    def selection(self, matchers: tuple[Matcher, ...]) -> Selection:
        """The series that meet all matchers, up to date."""

    def select(self, matchers: Sequence[Matcher], start: float = ..., end: float = ...) -> list[Series]:
        """The same with their samples in ``start <= t <= end``."""


class View:
    """Made by ``Window.within``. It has selections and results of its own: what is computed here stays here."""

    def __init__(self, window: Window, matcher: Matcher) -> None:
        self.results: dict[object, object] = {}
        self._window = window
        self._matcher = matcher
        self._selections: dict[tuple[Matcher, ...], Selection] = {}

    def selection(self, matchers: tuple[Matcher, ...]) -> Selection:
        """See ``Window.selection``."""
        return self._window.find(self._selections, (*matchers, self._matcher))

    def select(
        self, matchers: Sequence[Matcher], start: float = float("-inf"), end: float = float("inf")
    ) -> list[Series]:
        """See ``Window.select``."""
        return self._window.select((*matchers, self._matcher), start, end)
