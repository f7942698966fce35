"""Our own failures: counted each time, logged once for each cause. They never reach the host application."""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from weakref import WeakSet

logger = logging.getLogger("otelmon")


class Faults:
    """Counts what went wrong inside otelmon, by kind.

    A cause (kind and text of the error) is logged when it is first seen; repetitions are only counted, so that a
    fault that lasts fills no log. ``clear`` says that a kind works again: its next fault is logged anew. Any thread
    may call.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._logged: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        _living.add(self)

    def add(self, kind: str, message: str, error: BaseException | None = None) -> None:
        """Count a fault of this kind, and log it unless the same was logged before."""
        cause = (kind, f"{message} {type(error).__name__}" if error is not None else message)
        with self._lock:
            self.counts[kind] += 1
            if cause in self._logged or len(self._logged) > _MOST_CAUSES:
                return
            self._logged.add(cause)
        if error is None:
            logger.error("otelmon: %s", message)
        else:
            logger.error("otelmon: %s: %s: %s", message, type(error).__name__, error, exc_info=error)

    def clear(self, kind: str) -> None:
        """Say that this kind works again."""
        with self._lock:
            self._logged = {cause for cause in self._logged if cause[0] != kind}


_living: WeakSet[Faults] = WeakSet()


def _after_fork_in_child() -> None:
    """A thread of the parent may have held a lock that no thread of the child will ever release."""
    for faults in list(_living):
        faults._lock = threading.Lock()  # noqa: SLF001 (of this module)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)

# Beyond so many different causes nothing new is said; the counts go on.
_MOST_CAUSES = 1000
