"""What became of one notifier's pages since the start."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from otelmon.paging.model import Outcome, OutcomeKind, PageAction


@dataclass(slots=True, kw_only=True)
class Tally:
    """Outcomes counted: ``retried`` are attempts that are to be made again, ``rejected`` new messages that never come.

    ``rejected_edits`` leave a message as it was. ``last_error`` says why the last attempt that failed did, at
    ``last_error_at``.
    """

    delivered: int = 0
    retried: int = 0
    rejected: int = 0
    rejected_edits: int = 0
    last_error: str = ""
    last_error_at: datetime | None = None

    def count(self, action: PageAction, outcome: Outcome, at: datetime) -> None:
        """One more attempt and what became of it."""
        if outcome.kind is OutcomeKind.DELIVERED:
            self.delivered += 1
            return
        if outcome.kind is OutcomeKind.RETRY:
            self.retried += 1
        elif action is PageAction.EDIT:
            self.rejected_edits += 1
        else:
            self.rejected += 1
        self.last_error, self.last_error_at = outcome.reason, at


def total(tallies: Iterable[Tally]) -> Tally:
    """Several tallies as one."""
    found = Tally()
    for tally in tallies:
        found.delivered += tally.delivered
        found.retried += tally.retried
        found.rejected += tally.rejected
        found.rejected_edits += tally.rejected_edits
        later = tally.last_error_at is not None and (
            found.last_error_at is None or tally.last_error_at > found.last_error_at
        )
        if later:
            found.last_error, found.last_error_at = tally.last_error, tally.last_error_at
    return found
