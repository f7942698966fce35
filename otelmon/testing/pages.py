"""Pages captured instead of sent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from otelmon.paging.model import Outcome, OutcomeKind, OwedPage, Page


class CapturedPages:
    """A notifier that keeps what it is given, for tests that need no socket.

    ``answer`` decides what becomes of each page (delivered, unless said otherwise); what it was asked to send is in
    ``pages``, in order, refused ones included.
    """

    def __init__(self, name: str = "captured", answer: Callable[[OwedPage, datetime], Outcome] | None = None) -> None:
        self._name = name
        self._answer = answer
        self._pages: list[Page] = []
        self._arrived = threading.Condition()

    @property
    def name(self) -> str:
        """The target's name."""
        return self._name

    @property
    def pages(self) -> tuple[Page, ...]:
        """What it was asked to send."""
        with self._arrived:
            return tuple(self._pages)

    def send(self, owed: OwedPage, at: datetime) -> Outcome:
        """Keep the page."""
        with self._arrived:
            self._pages.append(owed.page)
            self._arrived.notify_all()
        if self._answer is not None:
            return self._answer(owed, at)
        return Outcome(kind=OutcomeKind.DELIVERED, reason="captured", message_id=f"captured-{owed.page.id}")

    def close(self) -> None:
        """Nothing to let go."""

    def wait_for(self, predicate: Callable[[Page], bool], timeout: float = 5.0) -> Page:
        """The first page of which the predicate is true; AssertionError when none came within ``timeout`` seconds."""
        with self._arrived:
            found = self._arrived.wait_for(lambda: next(filter(predicate, self._pages), None), timeout)
            if found is None:
                raise AssertionError(f"no such page within {timeout:g} s; there were {len(self._pages)} others")
            return found
