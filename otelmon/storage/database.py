"""Storage in a database, for whatever SQLAlchemy Core connects to."""

from __future__ import annotations

import json
import secrets
import struct
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from threading import RLock
from typing import Protocol, Self

from pydantic import SecretStr
from sqlalchemy import Connection, delete, select, update

from otelmon.alerts.by_hand import ByHand
from otelmon.alerts.model import Alert
from otelmon.errors import LostLeaseError, StateError
from otelmon.incidents.ids import typed_id
from otelmon.incidents.model import Change, Incident, RequestBody
from otelmon.incidents.noted import Noted, with_noted
from otelmon.incidents.silence import Silence
from otelmon.labels import Labels
from otelmon.oncall.escalation import Escalation
from otelmon.oncall.shifts_told import Told
from otelmon.oncall.stored import StoredOverride
from otelmon.paging.model import Outcome, OwedPage, Page
from otelmon.sample import Sample
from otelmon.storage import alerts as alert_table
from otelmon.storage import escalations as escalation_table
from otelmon.storage import history, lease, meta, outbox, passing
from otelmon.storage import incidents as incident_tables
from otelmon.storage import oncall as oncall_tables
from otelmon.storage.codec import (
    decode_noted,
    decode_request,
    encode_noted,
    encode_request,
    instant,
    micros,
    printable,
    to_json,
)
from otelmon.storage.lease import Moment
from otelmon.storage.store import Backlog, Delivery, Depth, PageState, Ping, Rejection, Request, Restored
from otelmon.storage.tables import INCIDENTS, PAGES, REQUESTS, TOTALS

# Incidents resolved so long before the last save may still be reopened; the step forgets them sooner.
_RECENT_MICROSECONDS = 24 * 3600 * 1_000_000
_SECRET_BYTES = 32
_TOTALS = "processes"
# No lease has it: they count from 1.
_NO_TOKEN = 0


class Database(Protocol):
    """A database that is open: transactions, with every failure as StateError."""

    def reading(self) -> AbstractContextManager[Connection]:
        """A transaction that only reads."""

    def writing(self) -> AbstractContextManager[Connection]:
        """A transaction that writes, alone from its start."""

    def close(self) -> None:
        """Gives up files and connections."""


class DatabaseStorage:
    """Storage over a Database; see ``otelmon.storage.store.Storage`` for what each method does."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # One call at a time: the numbers of the series below belong to one transaction.
        self._lock = RLock()
        self._numbers = history.SeriesNumbers()
        # Of the lease, once it was asked for: from then on whoever does not hold it cannot write for the monitor.
        self._token: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def restore(self) -> Restored:
        """The state as it was last saved."""
        with self._lock, self._database.reading() as connection:
            self._numbers.forget()
            alerts = alert_table.read(connection)
            saved_at = meta.read(connection, meta.SAVED_AT)
            if saved_at is None:
                # What was asked before anything was saved is in the inbox.
                return Restored()
            told = meta.read(connection, meta.TOLD)
            recent_since = int(saved_at) - _RECENT_MICROSECONDS
            return Restored(
                alerts=alerts,
                incidents=incident_tables.opened(connection),
                recent=incident_tables.resolved_since(connection, recent_since),
                silences=incident_tables.active_silences(connection),
                escalations=escalation_table.read(connection),
                known_ids=frozenset(connection.scalars(select(INCIDENTS.c.id))),
                saved_at=instant(int(saved_at)),
                told=None if told is None else oncall_tables.decode_told(told),
            )

    def samples(self, since: float, *, lasting_since: float | None = None) -> Iterator[Sample]:
        """The samples at ``since`` or later (lasting ones from ``lasting_since`` on), in the order of their time."""
        with self._lock, self._database.reading() as connection:
            parts = history.parts(connection, since, since if lasting_since is None else lasting_since)
            labels = history.series_labels(connection)
        for part in parts:
            # One part at a time, so that reading a long window holds up nobody.
            with self._lock, self._database.reading() as connection:
                try:
                    samples = list(history.read(connection, part, labels))
                except (ValueError, struct.error, zlib.error) as error:
                    raise StateError(f"saved samples cannot be read: {error}") from error
            yield from samples

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
        """Saves what a tick decided: state and outbox in one transaction."""
        with self._lock:
            try:
                with self._fenced() as connection:
                    alert_table.write(connection, alerts)
                    incident_tables.write(connection, changes, incidents)
                    incident_tables.write_silences(connection, silences)
                    escalation_table.write(connection, escalations or {})
                    outbox.owe(connection, pages, micros(at))
                    if taken:
                        connection.execute(delete(REQUESTS).where(REQUESTS.c.id.in_(taken)))
                    history.append(connection, self._numbers, samples)
                    if told is not None:
                        meta.write(connection, meta.TOLD, oncall_tables.encode_told(told))
                    history.append(connection, self._numbers, lasting, lasting=True)
                    meta.write(connection, meta.SAVED_AT, str(micros(at)))
            except BaseException:
                self._numbers.rolled_back()
                raise
            self._numbers.committed()

    def claim(
        self, at: datetime, *, lease_seconds: float, limit: int, targets: Sequence[str] | None = None
    ) -> list[OwedPage]:
        """Pages to send now, nobody else's until the lease ends; most urgent first."""
        lease_until = micros(at + timedelta(seconds=lease_seconds))
        with self._lock, self._fenced() as connection:
            return outbox.claim(connection, micros(at), lease_until, limit, targets)

    def record(self, page_id: str, outcome: Outcome, at: datetime, *, fallback: Sequence[str] = ()) -> None:
        """What became of a claimed page; one that was rejected is owed to the fallback."""
        with self._lock, self._fenced() as connection:
            outbox.record(connection, page_id, outcome, micros(at), fallback)

    def pass_on_late(self, at: datetime, *, fallback: Sequence[str]) -> int:
        """Owe to the fallback what is late; how many pages."""
        with self._lock, self._database.reading() as connection:
            if not passing.any_late(connection, micros(at)):
                return 0
        with self._lock, self._fenced() as connection:
            return outbox.pass_on_late(connection, fallback, micros(at))

    def backlog(self, at: datetime) -> dict[str, Backlog]:
        """What is owed to each notifier."""
        with self._lock, self._database.reading() as connection:
            rows = passing.backlog(connection, micros(at))
        return {row.target: Backlog(owed=row.owed, oldest_at=instant(row.oldest_at), late=row.late) for row in rows}

    def rejections(self, limit: int = 20) -> tuple[Rejection, ...]:
        """The last new messages that were rejected, latest first."""
        with self._lock, self._database.reading() as connection:
            return outbox.rejections(connection, limit)

    def depth(self, at: datetime) -> Depth:
        """How many pages the outbox holds."""
        with self._lock, self._database.reading() as connection:
            counts, oldest = outbox.counts(connection, micros(at))
        return Depth(
            due=counts.get(PageState.DUE, 0),
            waiting=counts.get(outbox.WAITING, 0),
            sending=counts.get(PageState.CLAIMED, 0),
            delivered=counts.get(PageState.DELIVERED, 0),
            rejected=counts.get(PageState.REJECTED, 0),
            dropped=counts.get(PageState.DROPPED, 0),
            oldest_due_at=None if oldest is None else instant(oldest),
        )

    def ask(self, body: RequestBody | ByHand, at: datetime) -> str:
        """Leaves a request for the running monitor; the request's id."""
        id_ = uuid.uuid4().hex
        kind, plain = encode_request(body)
        with self._lock, self._database.writing() as connection:
            row = {"id": id_, "asked_at": micros(at), "kind": kind, "body": to_json(plain)}
            connection.execute(REQUESTS.insert().values(row))
        return id_

    def link_secret(self) -> SecretStr:
        """What links to pages are signed with: made once, the same for every process that shares the state."""
        # Writing from its start, so that of two processes that find none only one makes one.
        with self._lock, self._database.writing() as connection:
            secret = meta.read(connection, meta.LINK_SECRET)
            if secret is None:
                secret = secrets.token_urlsafe(_SECRET_BYTES)
                meta.write(connection, meta.LINK_SECRET, secret)
        return SecretStr(secret)

    def note(self, noted: Noted) -> None:
        """Keeps a change that may explain an incident."""
        with self._lock, self._database.writing() as connection:
            kept = decode_noted(meta.read(connection, meta.NOTED))
            meta.write(connection, meta.NOTED, encode_noted(with_noted(kept, noted)))

    def noted(self) -> tuple[Noted, ...]:
        """The changes that were noted, in the order in which they were."""
        with self._lock, self._database.reading() as connection:
            return decode_noted(meta.read(connection, meta.NOTED))

    def requests(self) -> tuple[Request, ...]:
        """The requests that were not handled yet, in the order in which they were made."""
        with self._lock, self._database.reading() as connection:
            rows = connection.execute(select(REQUESTS).order_by(REQUESTS.c.number)).all()
        asked = ((row, decode_request(row.kind, json.loads(row.body))) for row in rows)
        return tuple(
            Request(id=row.id, asked_at=instant(row.asked_at), body=body) for row, body in asked if body is not None
        )

    def incident(self, incident_id: str) -> Incident | None:
        """An incident by its id, open or resolved."""
        with self._lock, self._database.reading() as connection:
            return incident_tables.one(connection, typed_id(incident_id))

    def incidents(self, limit: int = 50) -> tuple[Incident, ...]:
        """The latest incidents, open ones first."""
        with self._lock, self._database.reading() as connection:
            return incident_tables.latest(connection, limit)

    def members(self, storm_id: str, limit: int = 50) -> tuple[Incident, ...]:
        """The incidents that a storm stands for."""
        with self._lock, self._database.reading() as connection:
            return incident_tables.members(connection, storm_id, limit)

    def silences(self, limit: int = 50) -> tuple[Silence, ...]:
        """The latest silences, those that are not over first."""
        with self._lock, self._database.reading() as connection:
            return incident_tables.latest_silences(connection, limit)

    def deliveries(self, incident_id: str) -> tuple[Delivery, ...]:
        """What was sent about an incident, or is owed."""
        with self._lock, self._database.reading() as connection:
            return outbox.deliveries(connection, typed_id(incident_id))

    def overrides(self, ends_after: datetime | None = None) -> tuple[StoredOverride, ...]:
        """The overrides that end after an instant, in the order in which they were made."""
        with self._lock, self._database.reading() as connection:
            return oncall_tables.overrides(connection, ends_after)

    def add_overrides(self, stored: Sequence[StoredOverride]) -> None:
        """Keeps overrides: all of them or none."""
        with self._lock, self._database.writing() as connection:
            oncall_tables.add_overrides(connection, stored)

    def remove_override(self, id_: str, by: str, at: datetime) -> bool:
        """Takes an override back; False where there is none to take back."""
        with self._lock, self._database.writing() as connection:
            return oncall_tables.remove_override(connection, typed_id(id_), printable(by), at)

    def pings(self, start: datetime, end: datetime) -> tuple[Ping, ...]:
        """Who was mentioned in pages about incidents, from one instant to another."""
        with self._lock, self._database.reading() as connection:
            return outbox.pings(connection, micros(start), micros(end))

    def shift(self, seconds: float) -> None:
        """The wall clock jumped: whatever is due, leased or sampled moves with it."""
        by = round(seconds * 1_000_000)
        unsent = PAGES.c.state.in_([PageState.DUE, PageState.CLAIMED])
        moved = {name: PAGES.c[name] + by for name in ("due_at", "lease_until", "decided_at")}
        with self._lock, self._fenced() as connection:
            connection.execute(update(PAGES).where(unsent).values(moved))
            history.shift(connection, seconds)

    def prune(self, *, samples_before: float, finished_before: datetime, lasting_before: float | None = None) -> None:
        """Deletes old samples, and incidents resolved before the instant with all that was sent for them."""
        before = micros(finished_before)
        unsent = select(PAGES.c.incident_id).where(PAGES.c.state.in_([PageState.DUE, PageState.CLAIMED]))
        kept = select(INCIDENTS.c.id)
        with self._lock, self._fenced() as connection:
            lasting = samples_before if lasting_before is None else lasting_before
            history.prune(connection, self._numbers, samples_before, lasting)
            incident_tables.prune(connection, before, unsent)
            done = (PAGES.c.finished_at < before) & PAGES.c.incident_id.not_in(kept)
            connection.execute(delete(PAGES).where(done))

    def take_lease(self, holder: str, now: Moment, seconds: float) -> bool:
        """Takes the lease for so many seconds; false, without a write, where somebody else has it.

        What the former holder was sending is owed again at once.
        """
        with self._lock:
            with self._database.reading() as connection:
                free = lease.is_free(connection, holder, now, seconds)
            token = None
            if free:
                with self._database.writing() as connection:
                    token = lease.take(connection, holder, now, seconds)
                    if token is not None:
                        outbox.release(connection)
            self._token = _NO_TOKEN if token is None else token
            return token is not None

    def renew_lease(self, now: Moment, seconds: float) -> bool:
        """Holds the lease for so many seconds from now; false where somebody else has taken it since."""
        try:
            with self._lock, self._fenced() as connection:
                lease.renew(connection, now, seconds)
        except LostLeaseError:
            return False
        return True

    def release_lease(self) -> None:
        """Gives the lease up, so that another process takes over at once; nothing happens where it is not held."""
        with self._lock:
            token, self._token = self._token, _NO_TOKEN
            if token:
                with self._database.writing() as connection:
                    lease.release(connection, token)

    def totals(self) -> str:
        """What processes that have ended had counted; empty where nothing was kept."""
        with self._lock, self._database.reading() as connection:
            return connection.scalar(select(TOTALS.c.body).where(TOTALS.c.name == _TOTALS)) or ""

    def keep_totals(self, body: str) -> None:
        """Keeps what processes that have ended had counted, in place of what was kept before."""
        with self._lock, self._fenced() as connection:
            connection.execute(delete(TOTALS).where(TOTALS.c.name == _TOTALS))
            connection.execute(TOTALS.insert().values(name=_TOTALS, body=body))

    def close(self) -> None:
        """Gives up files and connections."""
        with self._lock:
            self._database.close()

    @contextmanager
    def _fenced(self) -> Iterator[Connection]:
        """A transaction that writes, unless another process holds the lease by now: LostLeaseError then."""
        with self._database.writing() as connection:
            if self._token is not None:
                lease.check(connection, self._token)
            yield connection
