"""The worker: what is due in the outbox goes out, and what became of it is written down."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from otelmon.clock import Clock
from otelmon.notify.backoff import backoff_seconds
from otelmon.notify.log import line
from otelmon.notify.notifier import Notifier
from otelmon.notify.outbox import Outbox
from otelmon.notify.tally import Tally
from otelmon.paging.model import Outcome, OutcomeKind, OwedPage, PageAction
from otelmon.paging.visible import one_line

_LOG = logging.getLogger(__name__)

LEASE_SECONDS = 35.0
"""How long a claimed page is ours: longer than the three exchanges of 10 s that a send may take."""

_PAGES_A_PASS = 500


class Worker:
    """Delivers the pages of an outbox through notifiers, in one thread.

    A page is claimed alone, just before it is sent, so that no lease ends while other pages are being sent. A notifier
    that asked for a later attempt is left alone for the rest of the pass: its other pages stay in the outbox, and other
    notifiers' pages do not wait for its time limits. Nothing here raises: a failure is counted, logged at its first
    occurrence until that notifier delivers again, and the page is kept.

    What a notifier rejects, or does not take in time, goes to the next of ``fallback``.

    ``delivered``, ``retried`` and ``rejected`` count outcomes since the start, ``tallies`` those of each notifier;
    ``failures`` what storage or a notifier raised. ``next_retry_at`` is the earliest retry that is known and still to
    come. ``may_send`` is asked between claim and send: a process that was stopped there, and wakes up when another has
    taken over, leaves the page to that one.
    """

    def __init__(
        self,
        storage: Outbox,
        notifiers: Mapping[str, Notifier],
        clock: Clock,
        *,
        fallback: Sequence[str] = (),
        may_send: Callable[[], bool] = lambda: True,
    ) -> None:
        self.tallies: dict[str, Tally] = {}
        self.failures = 0
        self.next_retry_at: datetime | None = None
        self._storage = storage
        self._notifiers = dict(notifiers)
        self._fallback = tuple(fallback)
        self._clock = clock
        self._may_send = may_send
        self._troubled: set[str] = set()
        self._unrecorded: dict[str, tuple[Outcome, datetime]] = {}

    @property
    def delivered(self) -> int:
        """How many pages and edits were delivered."""
        return sum(tally.delivered for tally in self.tallies.values())

    @property
    def retried(self) -> int:
        """How many attempts failed and are made again."""
        return sum(tally.retried for tally in self.tallies.values())

    @property
    def rejected(self) -> int:
        """How many pages and edits were rejected."""
        return sum(tally.rejected + tally.rejected_edits for tally in self.tallies.values())

    def deliver_due(self, at: datetime, *, stop: threading.Event | None = None, deadline: float | None = None) -> int:
        """One pass over what is due at ``at``; how many pages were delivered.

        No further page is begun once ``stop`` is set or the clock's monotonic time is past ``deadline``.
        """
        started = self._clock.monotonic()
        deferred: set[str] = set()
        sent = 0
        if self.next_retry_at is not None and self.next_retry_at <= at:
            self.next_retry_at = None
        self._record_late()
        self._pass_on_late(at)
        for _ in range(_PAGES_A_PASS):
            now = self._clock.monotonic()
            if (stop is not None and stop.is_set()) or (deadline is not None and now >= deadline):
                break
            moment = at + timedelta(seconds=max(0.0, now - started))
            owed = self._claim(at, deferred)
            if owed is None:
                break
            if owed.page.id in self._unrecorded:  # sent before; only the record of it still fails
                continue
            if not self._may_send():
                break
            outcome = self._outcome(owed, moment)
            self._count(owed, outcome, moment)
            sent += outcome.kind is OutcomeKind.DELIVERED
            self._unrecorded[owed.page.id] = (outcome, moment)
            self._record_late()
            if outcome.retry_at is not None:
                deferred.add(owed.page.target)
                self.next_retry_at = min(outcome.retry_at, self.next_retry_at or outcome.retry_at)
        return sent

    def drain(self, deadline: float) -> int:
        """Deliver what is due, and what falls due, before ``deadline`` (the clock's monotonic seconds).

        For a clean stop, when nothing more is decided. Ends as soon as nothing is left to wait for; no page is begun
        after the deadline, so it ends at the latest one send (20 s when Discord hangs) behind it.
        """
        sent = 0
        never = threading.Event()
        while self._clock.monotonic() < deadline:
            now = self._now()
            sent += self.deliver_due(now, deadline=deadline)
            if self.next_retry_at is None:
                break
            wait = max(0.0, (self.next_retry_at - self._now()).total_seconds())
            if self._clock.monotonic() + wait >= deadline:
                break
            self._clock.wait(never, wait)
        return sent

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now(), UTC)

    def _claim(self, at: datetime, deferred: Collection[str]) -> OwedPage | None:
        # Unrestricted at first, so that a page to a notifier that is no longer configured is found and rejected.
        targets = [name for name in self._notifiers if name not in deferred] if deferred else None
        if targets == []:
            return None
        try:
            claimed = self._storage.claim(at, lease_seconds=LEASE_SECONDS, limit=1, targets=targets)
        except Exception as error:  # noqa: BLE001  # a full or broken disk; the next pass asks again
            self._trouble("outbox", f"pages cannot be claimed ({_short(error)})")
            return None
        self._troubled.discard("outbox")
        return claimed[0] if claimed else None

    def _outcome(self, owed: OwedPage, at: datetime) -> Outcome:
        target = owed.page.target
        notifier = self._notifiers.get(target)
        if notifier is None:
            return Outcome(kind=OutcomeKind.REJECTED, reason=f"no notifier is named {target!r}")
        try:
            return notifier.send(owed, at)
        except Exception as error:  # noqa: BLE001  # a notifier's fault; its text may hold a secret, so only its type
            self.failures += 1
            retry_at = at + timedelta(seconds=backoff_seconds(owed.page.id, owed.attempts))
            reason = f"the notifier raised {type(error).__name__}"
            return Outcome(kind=OutcomeKind.RETRY, reason=reason, retry_at=retry_at, uncertain=True)

    def _pass_on_late(self, at: datetime) -> None:
        if not self._fallback:
            return
        try:
            passed = self._storage.pass_on_late(at, fallback=self._fallback)
        except Exception as error:  # noqa: BLE001  # the next pass asks again
            self._trouble("fallback", f"late pages cannot be passed on ({_short(error)})")
            return
        self._troubled.discard("fallback")
        if passed:
            _LOG.warning("%d late pages are sent through the fallback as well", passed)

    def _count(self, owed: OwedPage, outcome: Outcome, at: datetime) -> None:
        target, page = owed.page.target, owed.page
        self.tallies.setdefault(target, Tally()).count(page.action, outcome, at)
        if outcome.kind is OutcomeKind.DELIVERED:
            if target in self._troubled:
                self._troubled.discard(target)
                _LOG.warning("notifier %s delivers again", target)
        elif outcome.kind is OutcomeKind.RETRY:
            if target not in self._troubled:
                self._troubled.add(target)
                _LOG.warning("notifier %s: page %s will be tried again: %s", target, page.id, outcome.reason)
        else:
            level = (
                logging.WARNING if page.action is PageAction.EDIT else logging.ERROR
            )  # the text of a lost page is kept
            _LOG.log(level, "notifier %s rejected: %s | %s", target, outcome.reason, line(page.message))

    def _record_late(self) -> None:
        """Write down outcomes not yet written: a page whose record failed must not be sent again."""
        for page_id, (outcome, at) in list(self._unrecorded.items()):
            try:
                self._storage.record(page_id, outcome, at, fallback=self._fallback)
            except Exception as error:  # noqa: BLE001
                self._trouble("record", f"outcomes cannot be recorded ({_short(error)})")
                return
            del self._unrecorded[page_id]
            self._troubled.discard("record")

    def _trouble(self, what: str, text: str) -> None:
        self.failures += 1
        if what not in self._troubled:
            self._troubled.add(what)
            _LOG.error("delivery: %s; it is tried again, this is said once", text)


def _short(error: Exception) -> str:
    """An error of the storage: its kind and first line (the following lines of a database's error quote its data)."""
    return f"{type(error).__name__}: {one_line(str(error).partition(chr(10))[0])[:200]}"
