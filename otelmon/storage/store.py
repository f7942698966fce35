"""What is kept over a restart, and the protocol of whatever keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from pydantic import SecretStr

from otelmon.alerts.by_hand import ByHand
from otelmon.alerts.model import Alert
from otelmon.incidents.model import Change, Incident, RequestBody
from otelmon.incidents.noted import Noted
from otelmon.incidents.silence import Silence
from otelmon.labels import Labels
from otelmon.oncall.escalation import Escalation
from otelmon.oncall.model import Mention
from otelmon.oncall.shifts_told import Told
from otelmon.oncall.stored import StoredOverride
from otelmon.paging.model import Outcome, OwedPage, Page, PageAction, PageReason
from otelmon.sample import Sample
from otelmon.storage.lease import Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """The state as it was last saved.

    ``alerts`` are the pending and firing ones by rule, ``incidents`` the open ones by id, ``recent`` those that were
    resolved lately, ``silences`` those that are not over, ``escalations`` those of open incidents by their ids,
    ``known_ids`` the ids of all incidents that are kept, resolved ones included. ``told`` is what people were told of
    their shifts. ``saved_at`` is None when nothing was ever saved.
    """

    alerts: Mapping[str, Mapping[Labels, Alert]] = field(default_factory=dict)
    incidents: Mapping[str, Incident] = field(default_factory=dict)
    recent: Mapping[str, Incident] = field(default_factory=dict)
    silences: Mapping[str, Silence] = field(default_factory=dict)
    escalations: Mapping[str, Escalation] = field(default_factory=dict)
    known_ids: frozenset[str] = frozenset()
    saved_at: datetime | None = None
    told: Told | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What another process asked for; ``id`` is unique and handed back to ``save`` once it is handled."""

    id: str
    asked_at: datetime
    body: RequestBody | ByHand


class PageState(StrEnum):
    """Where a page in the outbox stands."""

    DUE = "due"
    CLAIMED = "claimed"
    DELIVERED = "delivered"
    REJECTED = "rejected"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of a page about an incident: ``at`` is when it was sent or given up, else when it was decided."""

    at: datetime
    reason: PageReason
    action: PageAction
    target: str
    title: str
    state: str
    attempts: int
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """Somebody who was mentioned in a page that was sent, and when it was decided on."""

    mention: Mention
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A new message that a notifier rejected at ``at``, and its words (``outcome``) for why."""

    at: datetime
    target: str
    incident_id: str
    reason: PageReason
    title: str
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What is owed to one notifier: how many pages, since when the oldest is, and how many new messages are late."""

    owed: int = 0
    oldest_at: datetime | None = None
    late: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """How many pages the outbox holds, by what became of them.

    ``due`` can be sent now, ``waiting`` wait for their time or for an earlier page, ``sending`` are leased, ``dropped``
    were not sent because their incident was over or acknowledged before, or they were too late to be of use.
    ``oldest_due_at`` is since when the oldest page that is not sent is owed.
    """

    due: int = 0
    waiting: int = 0
    sending: int = 0
    delivered: int = 0
    rejected: int = 0
    dropped: int = 0
    oldest_due_at: datetime | None = None


class Storage(Protocol):
    """Keeps the state; every call is safe from any thread and raises StateError when it cannot be done.

    A call is one transaction: done wholly or not at all, also when the process is killed in the middle of it.
    """

    def restore(self) -> Restored:
        """The state as it was last saved."""

    def samples(self, since: float, *, lasting_since: float | None = None) -> Iterator[Sample]:
        """The samples saved with an instant of ``since`` (unix seconds) or later, in the order of their time.

        Those that were saved as lasting from ``lasting_since`` on, where it is given.
        """

    def save(
        self,
        at: datetime,
        *,
        alerts: Mapping[str, Mapping[Labels, Alert]],
        changes: Sequence[Change] = (),
        incidents: Iterable[Incident] = (),
        pages: Sequence[Page] = (),
        samples: Sequence[Sample] = (),
        lasting: Sequence[Sample] = (),
        taken: Sequence[str] = (),
        silences: Sequence[Silence] = (),
        escalations: Mapping[str, Escalation | None] | None = None,
        told: Told | None = None,
    ) -> None:
        """Saves what a tick decided: state and outbox in one transaction.

        ``alerts`` replaces the alerts of the rules it names and leaves other rules' alone (an empty mapping removes
        them). ``changes`` writes their incidents with the alerts that they name, ``incidents`` further ones whole. A
        page whose id is known already is not owed again. ``taken`` are ids of requests that were handled, ``silences``
        those whose record changed, ``escalations`` those that changed by the ids of their incidents (None: is over),
        ``told`` what people are told of their shifts by these pages (None: as before). ``lasting`` are samples that are
        kept for longer than others.
        """

    def claim(
        self, at: datetime, *, lease_seconds: float, limit: int, targets: Sequence[str] | None = None
    ) -> list[OwedPage]:
        """Pages to send now, nobody else's until the lease ends; most urgent first.

        ``targets`` restricts the claim to these notifiers.
        """

    def record(self, page_id: str, outcome: Outcome, at: datetime, *, fallback: Sequence[str] = ()) -> None:
        """What became of a claimed page; one that was rejected is owed to the first of ``fallback`` not yet tried."""

    def pass_on_late(self, at: datetime, *, fallback: Sequence[str]) -> int:
        """Owe to the fallback what is late (see ``otelmon.paging.fallback``), each once; how many pages."""

    def backlog(self, at: datetime) -> Mapping[str, Backlog]:
        """What is owed to each notifier that anything is owed to."""

    def rejections(self, limit: int = 20) -> tuple[Rejection, ...]:
        """The last new messages that were rejected, latest first."""

    def depth(self, at: datetime) -> Depth:
        """How many pages the outbox holds."""

    def ask(self, body: RequestBody | ByHand, at: datetime) -> str:
        """Leaves a request for the running monitor, from this or another process; the request's id."""

    def link_secret(self) -> SecretStr:
        """What links to pages are signed with: made once, the same for every process that shares the state."""

    def note(self, noted: Noted) -> None:
        """Keeps a change that may explain an incident; of many the latest."""

    def noted(self) -> tuple[Noted, ...]:
        """The changes that were noted, in the order in which they were."""

    def requests(self) -> tuple[Request, ...]:
        """The requests that were not handled yet, in the order in which they were made."""

    def incident(self, incident_id: str) -> Incident | None:
        """An incident by its id, open or resolved."""

    def incidents(self, limit: int = 50) -> tuple[Incident, ...]:
        """The latest incidents: open ones first, then by when they were triggered, latest first."""

    def members(self, storm_id: str, limit: int = 50) -> tuple[Incident, ...]:
        """The incidents that a storm stands for, in the order in which they were triggered."""

    def silences(self, limit: int = 50) -> tuple[Silence, ...]:
        """The latest silences: those that are not over first, then by when they were made, latest first."""

    def deliveries(self, incident_id: str) -> tuple[Delivery, ...]:
        """What was sent about an incident, or is owed, in the order in which it was decided."""

    def overrides(self, ends_after: datetime | None = None) -> tuple[StoredOverride, ...]:
        """The overrides that end after an instant (None: all), those taken back too, in the order they were made."""

    def add_overrides(self, stored: Sequence[StoredOverride]) -> None:
        """Keeps overrides: all of them or none. A running monitor takes them up at its next tick."""

    def remove_override(self, id_: str, by: str, at: datetime) -> bool:
        """Takes an override back; False where there is none of this id, or it was taken back before."""

    def pings(self, start: datetime, end: datetime) -> tuple[Ping, ...]:
        """Who was mentioned in pages about incidents, from one instant to another, as far as pages are kept."""

    def take_lease(self, holder: str, now: Moment, seconds: float) -> bool:
        """Takes the lease on evaluating and paging, for so many seconds; false where another holder has it.

        From the first call on, what writes for the monitor (``save``, ``claim``, ``record``, ``shift``, ``prune``,
        ``keep_totals``) raises LostLeaseError where another holder has taken over since, and writes nothing.
        """

    def renew_lease(self, now: Moment, seconds: float) -> bool:
        """Holds the lease for so many seconds from now; false where another holder has taken it since."""

    def release_lease(self) -> None:
        """Gives the lease up at once, where it is held."""

    def totals(self) -> str:
        """What processes that have ended had counted, as it was kept; empty where nothing was."""

    def keep_totals(self, body: str) -> None:
        """Keeps what processes that have ended had counted."""

    def shift(self, seconds: float) -> None:
        """The wall clock jumped: whatever is due, leased or sampled moves with it."""

    def prune(self, *, samples_before: float, finished_before: datetime, lasting_before: float | None = None) -> None:
        """Deletes samples older than the instant, and incidents resolved before with all that was sent for them.

        Lasting samples go with those from before ``lasting_before`` only, where it is given.
        """

    def close(self) -> None:
        """Gives up files and connections."""
