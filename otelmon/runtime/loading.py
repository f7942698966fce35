"""Loading: one full garbage collection for the engine, not two.

The engine is 60,000 objects and more, loaded within a second or two while the application serves already. Python would
look through all that there is in the middle of it, for about 40 ms in which no request goes on, and as much again at
the end. So full collections wait for the end; young objects are collected as ever, and nothing is frozen.
"""

from __future__ import annotations

import gc
import os

# More collections of the middle generation than there will be while something loads.
_NEVER = 1_000_000


class Loading:
    """Holds full collections off in this process, between `begin` and `end`; any thread may call them, any number of
    times. What the application sets meanwhile stays as it sets it.
    """

    def __init__(self) -> None:
        self._before: tuple[int, int, int] | None = None
        self._set: tuple[int, int, int] | None = None

    def begin(self) -> None:
        """Hold them off."""
        if self._before is None:
            self._before = gc.get_threshold()
            gc.set_threshold(*self._before[:2], _NEVER)
            self._set = gc.get_threshold()

    def end(self) -> None:
        """As it was before."""
        before, self._before = self._before, None
        if before is not None and gc.get_threshold() == self._set:
            gc.set_threshold(*before)


LOADING = Loading()
"""That of this process."""

if hasattr(os, "register_at_fork"):
    # In a child nobody loads any more: the thread that did is the parent's.
    os.register_at_fork(after_in_child=LOADING.end)
