"""Forks: what a fork may not cut in two.

A forked child has one thread and the locks of all: one that another thread held at that moment is held in the child
for ever. Our threads say when they are in the middle of something (`whole`), and a fork waits for its end, a few
seconds at most. Where that is not enough, `cut` says so in the child.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol
from weakref import WeakSet

# How long a fork waits before it goes on all the same: a callback of the application may hang in a collection.
_MOST_SECONDS = 5.0


class Held(Protocol):
    """Something that a child may not inherit, such as an open database."""

    def let_go(self) -> None:
        """Give it up for now; called before a fork, while nobody is in the middle of anything."""


class Forks:
    """The threads of this process that are in the middle of something, and the forks that wait for them.

    A fork that waits goes first: threads that begin one thing after the other do not hold it up.
    """

    def __init__(self, *, most_seconds: float = _MOST_SECONDS) -> None:
        """``most_seconds`` is how long a fork waits."""
        self.cut = False
        """Whether this process was forked in the middle of something, and may use nothing that its parent used."""
        self._most_seconds = most_seconds
        self._changed = threading.Condition()
        self._mine = threading.local()
        self._inside = 0
        self._forking = 0
        self._held: WeakSet[Held] = WeakSet()

    @contextmanager
    def whole(self) -> Iterator[None]:
        """No fork falls into this block, unless it takes long. May be entered again within itself."""
        depth: int = getattr(self._mine, "depth", 0)
        if not depth:
            with self._changed:
                self._changed.wait_for(lambda: not self._forking)
                self._inside += 1
        self._mine.depth = depth + 1
        changed = self._changed
        try:
            yield
        finally:
            self._mine.depth = depth
            if not depth and changed is self._changed:
                with self._changed:
                    self._inside -= 1
                    self._changed.notify_all()

    def add(self, held: Held) -> None:
        """Have this let go before each fork, for as long as it lives."""
        self._held.add(held)

    def before(self) -> None:
        """Wait for whatever is under way."""
        with self._changed:
            self._forking += 1
            # What this very thread is in the middle of has no end to wait for.
            whole = not getattr(self._mine, "depth", 0) and self._changed.wait_for(
                lambda: not self._inside, self._most_seconds
            )
        for held in list(self._held) if whole else ():
            with suppress(Exception):
                held.let_go()
        self._mine.cutting = not whole

    def in_parent(self) -> None:
        """Go on."""
        with self._changed:
            self._forking -= 1
            self._changed.notify_all()

    def in_child(self) -> None:
        """Nobody is in the middle of anything in a new process."""
        self.cut = self.cut or getattr(self._mine, "cutting", False)
        self._changed = threading.Condition()
        self._mine = threading.local()
        self._inside = self._forking = 0


FORKS = Forks()
"""Those of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=FORKS.before, after_in_parent=FORKS.in_parent, after_in_child=FORKS.in_child)
