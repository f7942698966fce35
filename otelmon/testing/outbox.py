"""An outbox in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from otelmon.paging.fallback import passed_on
from otelmon.paging.model import Outcome, OutcomeKind, OwedPage, Page, PageAction


@dataclass(slots=True, kw_only=True)
class _Entry:
    owed: OwedPage
    due_at: datetime
    leased_until: datetime | None = None
    outcomes: list[tuple[datetime, Outcome]] = field(default_factory=list)


class MemoryOutbox:
    """Pages owed, kept in memory as the storage keeps them: claims with a lease, retries, edits after what they edit.

    A page is due once the one that it edits or follows was delivered, or never will be. ``owe`` puts pages
    in; owing the same id twice owes once.
    """

    def __init__(self, pages: Iterable[Page] = ()) -> None:
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.Lock()
        self.owe(*pages)

    def owe(self, *pages: Page) -> None:
        """Put pages in."""
        with self._lock:
            for page in pages:
                self._entries.setdefault(page.id, _Entry(owed=OwedPage(page=page), due_at=page.due_at))

    def claim(
        self, at: datetime, *, lease_seconds: float, limit: int, targets: Sequence[str] | None = None
    ) -> list[OwedPage]:
        """Pages due at ``at``, critical before warning, then in the order they fell due."""
        with self._lock:
            due = [entry for entry in self._entries.values() if self._due(entry, at)]
            due = [entry for entry in due if targets is None or entry.owed.page.target in targets]
            due.sort(key=lambda entry: (-entry.owed.page.message.severity.rank, entry.due_at))
            claimed = due[:limit]
            for entry in claimed:
                entry.leased_until = at + timedelta(seconds=lease_seconds)
                if entry.owed.page.action is PageAction.EDIT:
                    entry.owed = replace(entry.owed, edited_message_id=self._message_id(entry.owed.page.edits))
            return [entry.owed for entry in claimed]

    def record(self, page_id: str, outcome: Outcome, at: datetime, *, fallback: Sequence[str] = ()) -> None:
        """Write down what became of an attempt, and end the lease; what is rejected goes to the first fallback."""
        with self._lock:
            entry = self._entries[page_id]
            entry.outcomes.append((at, outcome))
            entry.leased_until = None
            entry.owed = replace(entry.owed, attempts=entry.owed.attempts + 1)
            if outcome.kind is OutcomeKind.RETRY:
                entry.due_at = outcome.retry_at or at
            page = entry.owed.page
            others = [name for name in fallback if name != page.target and not page.instead_of]
            if outcome.kind is OutcomeKind.REJECTED and others and page.action is PageAction.POST:
                why = f"Not delivered to {page.target}: {outcome.reason}"
                copy = passed_on(page, others[0], why=why, at=at)
                self._entries.setdefault(copy.id, _Entry(owed=OwedPage(page=copy), due_at=at))

    def pass_on_late(self, at: datetime, *, fallback: Sequence[str]) -> int:  # noqa: ARG002
        """Nothing: here a page waits for its own notifier for ever."""
        return 0

    def outcomes(self, page_id: str) -> list[Outcome]:
        """What became of each attempt to send the page, in order."""
        with self._lock:
            return [outcome for _, outcome in self._entries[page_id].outcomes]

    @property
    def open(self) -> list[str]:
        """The ids of the pages that are still owed."""
        with self._lock:
            return [page_id for page_id, entry in self._entries.items() if not _settled(entry)]

    def _due(self, entry: _Entry, at: datetime) -> bool:
        if _settled(entry) or entry.due_at > at or (entry.leased_until is not None and entry.leased_until > at):
            return False
        page = entry.owed.page
        earlier = (self._entries.get(page.edits), self._entries.get(page.follows))
        return all(other is None or _settled(other) for other in earlier)

    def _message_id(self, page_id: str) -> str:
        entry = self._entries.get(page_id)
        delivered = (o.message_id for _, o in entry.outcomes if o.kind is OutcomeKind.DELIVERED) if entry else iter(())
        return next(delivered, "")


def _settled(entry: _Entry) -> bool:
    return bool(entry.outcomes) and entry.outcomes[-1][1].kind is not OutcomeKind.RETRY
