"""Storage in a database, for whatever SQLAlchemy Core connects to."""

from __future__ import annotations

import json
import struct
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from threading import RLock
from typing import Any, Protocol, Self, TypeVar

from sqlalchemy import Connection, delete, select, update

from otelmon.alerts.model import Alert
from otelmon.errors import StateError
from otelmon.incidents.ids import typed_id
from otelmon.incidents.model import Change, Incident, RequestBody
from otelmon.incidents.silence import Silence
from otelmon.labels import Labels
from otelmon.paging.model import Outcome, OwedPage, Page
from otelmon.sample import Sample
from otelmon.storage import history, outbox
from otelmon.storage import incidents as incident_tables
from otelmon.storage.codec import (
    decode_alert,
    decode_request,
    digest,
    encode_alert,
    encode_request,
    instant,
    micros,
    printable,
    to_json,
)
from otelmon.storage.outbox import PageState
from otelmon.storage.store import Delivery, Depth, Request, Restored
from otelmon.storage.tables import ALERTS, INCIDENTS, META, PAGES, REQUESTS

# Incidents resolved so long before the last save may still be reopened; the step forgets them sooner.
_RECENT_MICROSECONDS = 24 * 3600 * 1_000_000
_SAVED_AT = "saved_at"
_Value = TypeVar("_Value")


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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def restore(self) -> Restored:
        """The state as it was last saved."""
        with self._lock, self._database.reading() as connection:
            self._numbers.forget()
            alerts: dict[str, dict[Labels, Alert]] = {}
            rows = connection.execute(select(ALERTS.c.rule, ALERTS.c.body).order_by(ALERTS.c.rule, ALERTS.c.position))
            for row in rows:
                alert = _decoded(decode_alert, row.body)
                alerts.setdefault(row.rule, {})[alert.labels] = alert
            saved_at = connection.scalar(select(META.c.value).where(META.c.name == _SAVED_AT))
            if saved_at is None:
                # What was asked before anything was saved is in the inbox.
                return Restored()
            recent_since = int(saved_at) - _RECENT_MICROSECONDS
            return Restored(
                alerts=alerts,
                incidents=incident_tables.opened(connection),
                recent=incident_tables.resolved_since(connection, recent_since),
                silences=incident_tables.active_silences(connection),
                known_ids=frozenset(connection.scalars(select(INCIDENTS.c.id))),
                saved_at=instant(int(saved_at)),
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
    ) -> None:
        """Saves what a tick decided: state and outbox in one transaction."""
        with self._lock:
            try:
                with self._database.writing() as connection:
                    for rule, of_rule in alerts.items():
                        _write_alerts(connection, printable(rule), of_rule)
                    incident_tables.write(connection, changes, incidents)
                    incident_tables.write_silences(connection, silences)
                    outbox.owe(connection, pages, micros(at))
                    if taken:
                        connection.execute(delete(REQUESTS).where(REQUESTS.c.id.in_(taken)))
                    history.append(connection, self._numbers, samples)
                    history.append(connection, self._numbers, lasting, lasting=True)
                    _write_meta(connection, _SAVED_AT, str(micros(at)))
            except BaseException:
                self._numbers.rolled_back()
                raise
            self._numbers.committed()

    def claim(
        self, at: datetime, *, lease_seconds: float, limit: int, targets: Sequence[str] | None = None
    ) -> list[OwedPage]:
        """Pages to send now, nobody else's until the lease ends; most urgent first."""
        lease_until = micros(at + timedelta(seconds=lease_seconds))
        with self._lock, self._database.writing() as connection:
            return outbox.claim(connection, micros(at), lease_until, limit, targets)

    def record(self, page_id: str, outcome: Outcome, at: datetime) -> None:
        """What became of a claimed page."""
        with self._lock, self._database.writing() as connection:
            outbox.record(connection, page_id, outcome, micros(at))

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

    def ask(self, body: RequestBody, at: datetime) -> str:
        """Leaves a request for the running monitor; the request's id."""
        id_ = uuid.uuid4().hex
        kind, plain = encode_request(body)
        with self._lock, self._database.writing() as connection:
            row = {"id": id_, "asked_at": micros(at), "kind": kind, "body": to_json(plain)}
            connection.execute(REQUESTS.insert().values(row))
        return id_

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

    def shift(self, seconds: float) -> None:
        """The wall clock jumped: whatever is due, leased or sampled moves with it."""
        by = round(seconds * 1_000_000)
        unsent = PAGES.c.state.in_([PageState.DUE, PageState.CLAIMED])
        moved = {name: PAGES.c[name] + by for name in ("due_at", "lease_until", "decided_at")}
        with self._lock, self._database.writing() as connection:
            connection.execute(update(PAGES).where(unsent).values(moved))
            history.shift(connection, seconds)

    def prune(self, *, samples_before: float, finished_before: datetime, lasting_before: float | None = None) -> None:
        """Deletes old samples, and incidents resolved before the instant with all that was sent for them."""
        before = micros(finished_before)
        unsent = select(PAGES.c.incident_id).where(PAGES.c.state.in_([PageState.DUE, PageState.CLAIMED]))
        kept = select(INCIDENTS.c.id)
        with self._lock, self._database.writing() as connection:
            lasting = samples_before if lasting_before is None else lasting_before
            history.prune(connection, self._numbers, samples_before, lasting)
            incident_tables.prune(connection, before, unsent)
            done = (PAGES.c.finished_at < before) & PAGES.c.incident_id.not_in(kept)
            connection.execute(delete(PAGES).where(done))

    def close(self) -> None:
        """Gives up files and connections."""
        with self._lock:
            self._database.close()


def _decoded(decode: Callable[[Mapping[str, Any]], _Value], body: str) -> _Value:
    """A saved value; StateError where it is none that this version knows."""
    try:
        return decode(json.loads(body))
    except (ValueError, KeyError, TypeError) as error:
        raise StateError(f"a saved value cannot be read ({error!r})") from error


def _write_alerts(connection: Connection, rule: str, alerts: Mapping[Labels, Alert]) -> None:
    connection.execute(delete(ALERTS).where(ALERTS.c.rule == rule))
    rows = [
        {"rule": rule, "labels_digest": digest(labels), "position": position, "body": to_json(encode_alert(alert))}
        for position, (labels, alert) in enumerate(alerts.items())
    ]
    if rows:
        connection.execute(ALERTS.insert(), rows)


def _write_meta(connection: Connection, name: str, value: str) -> None:
    updated = connection.execute(update(META).where(META.c.name == name).values(value=value))
    if not updated.rowcount:
        connection.execute(META.insert().values(name=name, value=value))
