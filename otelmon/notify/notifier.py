"""What a notifier is."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from otelmon.paging.model import Outcome, OwedPage


class Notifier(Protocol):
    """Sends pages to one target.

    ``send`` tries once and says what became of it, with a reason that holds no secret; it keeps its own time limits
    and is not expected to raise (the worker takes an exception for a failed attempt). ``at`` is the instant of the
    attempt, aware UTC. One thread at a time calls it.
    """

    @property
    def name(self) -> str:
        """The target's name, as pages name it."""

    def send(self, owed: OwedPage, at: datetime) -> Outcome:
        """Try once to deliver the page."""

    def close(self) -> None:
        """Let connections go. Nothing is sent after it."""
