"""What the worker asks of the storage that keeps the pages owed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from otelmon.paging.model import Outcome, OwedPage


class Outbox(Protocol):
    """Pages owed, each claimed by one worker at a time."""

    def claim(
        self, at: datetime, *, lease_seconds: float, limit: int, targets: Sequence[str] | None = None
    ) -> Sequence[OwedPage]:
        """Pages due at ``at``, the most urgent first; nobody else gets them before the lease is over.

        ``targets`` restricts the claim to the pages of these notifiers.
        """

    def record(self, page_id: str, outcome: Outcome, at: datetime, *, fallback: Sequence[str] = ()) -> None:
        """Write down what became of an attempt, and end the lease; what is rejected is owed to the fallback."""

    def pass_on_late(self, at: datetime, *, fallback: Sequence[str]) -> int:
        """Owe to the fallback what is late, each page once; how many."""
