"""The outbox: which of the owed pages may be sent now, and what became of them.

Functions over an open transaction. The rules, in the order in which they are applied to a page that is due:

1. A new message about an incident that is resolved, or was acknowledged or silenced after the message was decided, is
   dropped. (What still fires when the silence ends owes a message of its own.)
2. An edit waits until the message that it edits is delivered or rejected, and is dropped where that one was dropped. So
   does the message that says an incident is resolved; it is sent where any earlier message about the incident arrived,
   or may have arrived (its answer was lost), so that nobody is left with an open page. A message about a reopened
   incident waits for the one that said it was resolved.
3. Of several edits of one message only the latest is sent, and never two at once.
4. What is told of shifts, or tracked, is dropped once it is too old to be of use, and for no other reason.
5. What a notifier does not take goes to the next of the fallback, as ``otelmon.storage.passing`` says.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, case, func, or_, select, update

from otelmon.incidents.model import IncidentState
from otelmon.paging.model import Outcome, OutcomeKind, OwedPage, Page, PageAction, PageReason
from otelmon.rules.model import Severity
from otelmon.storage import passing
from otelmon.storage.codec import decode_page, encode_page, instant, micros, printable, to_json
from otelmon.storage.store import Delivery, PageState, Ping, Rejection
from otelmon.storage.tables import INCIDENTS, PAGES

_BATCH = 500
# How many rows are looked at beside as many as may be claimed, before asking for more.
_SCANNED = 200


class DropReason(StrEnum):
    """Why a page was not sent."""

    ACKNOWLEDGED = "the incident was acknowledged before the page was sent"
    RESOLVED = "the incident was resolved before the page was sent"
    SILENCED = "the incident was silenced before the page was sent"
    NEVER_SENT = "the message it is about was never sent"
    REJECTED = "the message it edits was rejected"
    LATE = "it was too late to be told"
    ARRIVED = "its first notifier took the page after all"
    SUPERSEDED = "a later edit of the same message is owed"


WAITING = "waiting"
_SHIFTS = 4  # what people are told of their shifts, and what only programs keep: after all else of its severity
_LATER = {
    PageReason.REMINDER: 1,
    PageReason.SILENCE_ENDING: 1,
    PageReason.RESOLVED: 2,
    PageReason.HANDOVER: _SHIFTS,
    PageReason.SHIFT_NEAR: _SHIFTS,
    PageReason.SHIFTS_CHANGED: _SHIFTS,
    PageReason.TRACKED: _SHIFTS,
}
# For how long it is worth telling, in microseconds.
_WORTH_TELLING = {
    PageReason.HANDOVER.name: 3600 * 1_000_000,
    PageReason.SHIFT_NEAR.name: 3 * 3600 * 1_000_000,
    PageReason.SHIFTS_CHANGED.name: 24 * 3600 * 1_000_000,
    PageReason.TRACKED.name: 24 * 3600 * 1_000_000,
}
_FINISHED = (PageState.DELIVERED, PageState.REJECTED, PageState.DROPPED)
_UNSENT = (PageState.DUE, PageState.CLAIMED)


def owe(connection: Connection, pages: Sequence[Page], now: int) -> None:
    """Adds pages, and what they owe to fallbacks; one whose id is there already is not owed again."""
    _add(connection, pages, now)
    _add(connection, passing.accompanying(connection, pages), now)


def _add(connection: Connection, pages: Sequence[Page], now: int) -> None:
    wanted = {page.id: page for page in pages}
    ids = list(wanted)
    for start in range(0, len(ids), _BATCH):
        batch = ids[start : start + _BATCH]
        known = set(connection.scalars(select(PAGES.c.id).where(PAGES.c.id.in_(batch))))
        rows = [_row(wanted[id_], now) for id_ in batch if id_ not in known]
        if rows:
            connection.execute(PAGES.insert(), rows)


def claim(
    connection: Connection, now: int, lease_until: int, limit: int, targets: Sequence[str] | None
) -> list[OwedPage]:
    """The pages to send now, leased until ``lease_until``."""
    _expire_leases(connection, now)
    # What is dropped may set free what waited for it, and that may be more urgent: nothing is chosen before the rest.
    while True:
        chosen, dropped = _choose(connection, now, limit, targets)
        if not dropped:
            break
        for row, reason in dropped:
            _drop(connection, row, reason, now)
    if not chosen:
        return []
    for row in chosen:
        leased = {"state": PageState.CLAIMED, "lease_until": lease_until, "attempts": row.attempts + 1}
        connection.execute(update(PAGES).where(PAGES.c.number == row.number).values(leased))
    bodies = select(PAGES.c.number, PAGES.c.body).where(PAGES.c.number.in_([row.number for row in chosen]))
    body_of = {row.number: row.body for row in connection.execute(bodies)}
    return [
        OwedPage(
            page=decode_page(json.loads(body_of[row.number])),
            attempts=row.attempts,
            edited_message_id=row.first_message_id if row.edits else "",
            thread_id=row.first_thread_id if row.edits else _thread_of(connection, row),
        )
        for row in chosen
    ]


def release(connection: Connection) -> None:
    """Every claimed page is due again: whoever claimed it is gone, or may send no more; whether it did nobody knows."""
    claimed = PAGES.c.state == PageState.CLAIMED
    connection.execute(update(PAGES).where(claimed).values(state=PageState.DUE, lease_until=None, uncertain=True))


def record(connection: Connection, page_id: str, outcome: Outcome, now: int, fallback: Sequence[str] = ()) -> None:
    """Writes down an outcome; what is rejected is owed to the fallback at once.

    What was delivered stays delivered, whatever a late second answer says.
    """
    values: dict[str, Any] = {"outcome": printable(outcome.reason), "lease_until": None}
    if outcome.kind is OutcomeKind.RETRY:
        due_at = now if outcome.retry_at is None else micros(outcome.retry_at)
        values |= {"state": PageState.DUE, "due_at": due_at}
        if outcome.uncertain:
            values["uncertain"] = True
    elif outcome.kind is OutcomeKind.DELIVERED:
        identity = {"message_id": printable(outcome.message_id), "thread_id": printable(outcome.thread_id)}
        values |= {"state": PageState.DELIVERED, "finished_at": now, **identity}
    else:
        values |= {"state": PageState.REJECTED, "finished_at": now}
    unless = [PageState.DELIVERED] if outcome.kind is OutcomeKind.DELIVERED else list(_FINISHED)
    wanted = (PAGES.c.id == page_id) & PAGES.c.state.not_in(unless)
    updated = connection.execute(update(PAGES).where(wanted).values(values))
    if fallback and updated.rowcount and outcome.kind is OutcomeKind.REJECTED:
        instead = passing.pass_on(connection, page_id, fallback, now)
        _add(connection, [instead] if instead is not None else [], now)


def pass_on_late(connection: Connection, fallback: Sequence[str], now: int) -> int:
    """Owes to the fallback what is late; how many pages."""
    pages = passing.pass_on_late(connection, fallback, now)
    _add(connection, pages, now)
    return len(pages)


def rejections(connection: Connection, limit: int) -> tuple[Rejection, ...]:
    """The last new messages that were rejected, latest first."""
    rejected = (PAGES.c.state == PageState.REJECTED) & (PAGES.c.action == PageAction.POST.value)
    rows = connection.execute(
        select(PAGES).where(rejected).order_by(PAGES.c.finished_at.desc(), PAGES.c.number.desc()).limit(limit)
    )
    return tuple(
        Rejection(
            at=instant(row.finished_at),
            target=row.target,
            incident_id=row.incident_id,
            reason=PageReason[row.reason],
            title=json.loads(row.body)["message"]["title"],
            outcome=row.outcome,
        )
        for row in rows
    )


def counts(connection: Connection, now: int) -> tuple[dict[str, int], int | None]:
    """How many pages are in each state ("waiting" beside the states), and since when the oldest unsent one is owed."""
    first = PAGES.alias("first")
    waits = (PAGES.c.state == PageState.DUE) & ((PAGES.c.due_at > now) | first.c.state.in_(_UNSENT))
    name = case((waits, WAITING), else_=PAGES.c.state)
    rows = connection.execute(
        select(name, func.count()).select_from(PAGES.outerjoin(first, first.c.id == PAGES.c.follows)).group_by(name)
    )
    oldest = connection.scalar(select(func.min(PAGES.c.decided_at)).where(PAGES.c.state.in_(_UNSENT)))
    return {row[0]: row[1] for row in rows}, oldest


def deliveries(connection: Connection, incident_id: str) -> tuple[Delivery, ...]:
    """What was sent about an incident, or is owed, in the order in which it was decided."""
    rows = connection.execute(
        select(PAGES).where(PAGES.c.incident_id == printable(incident_id)).order_by(PAGES.c.number)
    )
    return tuple(
        Delivery(
            at=instant(row.finished_at or row.decided_at),
            reason=PageReason[row.reason],
            action=PageAction(row.action),
            target=row.target,
            title=json.loads(row.body)["message"]["title"],
            state=row.state,
            attempts=row.attempts,
            outcome=row.outcome,
        )
        for row in rows
    )


def pings(connection: Connection, start: int, end: int) -> tuple[Ping, ...]:
    """Who was mentioned in new messages about incidents that were sent, and decided from ``start`` to ``end``."""
    wanted = (
        (PAGES.c.action == PageAction.POST.value)
        & (PAGES.c.state == PageState.DELIVERED)
        & PAGES.c.reason.not_in([*_WORTH_TELLING, PageReason.TEST.name])
        & (PAGES.c.decided_at >= start)
        & (PAGES.c.decided_at < end)
    )
    rows = connection.execute(select(PAGES.c.body, PAGES.c.decided_at).where(wanted).order_by(PAGES.c.number))
    return tuple(
        Ping(mention=mention, at=instant(row.decided_at))
        for row in rows
        for mention in decode_page(json.loads(row.body)).message.mentions
    )


def _row(page: Page, now: int) -> dict[str, Any]:
    return {
        "id": page.id,
        "incident_id": page.incident_id,
        "reason": page.reason.name,
        "action": page.action.value,
        "target": page.target,
        "urgency": _urgency(page),
        "edits": page.edits,
        "instead_of": page.instead_of,
        "follows": page.edits or page.follows,
        "body": to_json(encode_page(page)),
        "state": PageState.DUE.value,
        "decided_at": now,
        "due_at": micros(page.due_at),
        "attempts": 0,
        "uncertain": False,
        "message_id": "",
        "outcome": "",
    }


def _urgency(page: Page) -> int:
    """Critical before warning before info; among these new messages, then reminders, then "resolved", then edits."""
    kind = 3 if page.action is PageAction.EDIT else _LATER.get(page.reason, 0)
    return 10 * (Severity.CRITICAL.rank - page.message.severity.rank) + kind


def _expire_leases(connection: Connection, now: int) -> None:
    """A page whose sender was never heard of again is due again; whether it was sent nobody knows."""
    connection.execute(_EXPIRED_LEASES, {"now": now})


# These two are asked each second of a process's life, and putting a statement together costs as much as asking it.
_EXPIRED_LEASES = (
    update(PAGES)
    .where(PAGES.c.state == PageState.CLAIMED, PAGES.c.lease_until <= bindparam("now"))
    .values(state=PageState.DUE, lease_until=None, uncertain=True)
)
_FIRST = PAGES.alias("first")
_SENDABLE = (
    select(
        PAGES.c.number,
        PAGES.c.incident_id,
        PAGES.c.reason,
        PAGES.c.target,
        PAGES.c.edits,
        PAGES.c.follows,
        PAGES.c.instead_of,
        PAGES.c.attempts,
        PAGES.c.decided_at,
        _FIRST.c.state.label("first_state"),
        _FIRST.c.uncertain.label("first_uncertain"),
        _FIRST.c.message_id.label("first_message_id"),
        _FIRST.c.thread_id.label("first_thread_id"),
        INCIDENTS.c.state.label("incident_state"),
        INCIDENTS.c.acknowledged_at.label("acknowledged_at"),
    )
    .select_from(
        PAGES.outerjoin(_FIRST, _FIRST.c.id == PAGES.c.follows).outerjoin(
            INCIDENTS, INCIDENTS.c.id == PAGES.c.incident_id
        )
    )
    .where(PAGES.c.state == PageState.DUE, PAGES.c.due_at <= bindparam("now"))
    .where(or_(_FIRST.c.state.is_(None), _FIRST.c.state.not_in(_UNSENT)))
    .order_by(PAGES.c.urgency, PAGES.c.number)
)


def _sendable(targets: Sequence[str] | None) -> Select[Any]:
    """What is due ``now`` and need not wait for an earlier page, most urgent first."""
    return _SENDABLE if targets is None else _SENDABLE.where(PAGES.c.target.in_(targets))


def _drop_reason(connection: Connection, row: Row[Any], now: int) -> DropReason | None:
    """Why a page that could be sent is not to be sent; None for one that is."""
    if row.reason in _WORTH_TELLING:
        return DropReason.LATE if now - row.decided_at > _WORTH_TELLING[row.reason] else None
    if not row.edits:
        if row.reason != PageReason.RESOLVED.name:
            return DropReason.ARRIVED if passing.arrived(connection, row) else _overtaken(connection, row)
        return None if _was_seen(connection, row) else DropReason.NEVER_SENT
    if row.first_state in (None, PageState.DROPPED):
        return DropReason.NEVER_SENT
    if row.first_state == PageState.REJECTED:
        return DropReason.REJECTED
    later = select(PAGES.c.number).where(PAGES.c.edits == row.edits, PAGES.c.number > row.number).limit(1)
    return None if connection.scalar(later) is None else DropReason.SUPERSEDED


def _overtaken(connection: Connection, row: Row[Any]) -> DropReason | None:
    """Whether the incident went on since a new message about it was decided."""
    if row.incident_state == IncidentState.RESOLVED:
        return DropReason.RESOLVED
    if passing.was_acknowledged(row):
        return DropReason.ACKNOWLEDGED
    return DropReason.SILENCED if passing.was_silenced(connection, row) else None


def _thread_of(connection: Connection, row: Row[Any]) -> str:
    """The thread that has the latest message about the incident at this target; empty where there is none."""
    same = (PAGES.c.incident_id == row.incident_id) & (PAGES.c.target == row.target) & (PAGES.c.thread_id != "")
    return connection.scalar(select(PAGES.c.thread_id).where(same).order_by(PAGES.c.number.desc()).limit(1)) or ""


def _was_seen(connection: Connection, row: Row[Any]) -> bool:
    """Whether an earlier new message about the incident reached the target, or may have."""
    earlier = (
        (PAGES.c.incident_id == row.incident_id)
        & (PAGES.c.target == row.target)
        & (PAGES.c.action == PageAction.POST.value)
        & (PAGES.c.reason != PageReason.RESOLVED.name)
        & (PAGES.c.number < row.number)
    )
    dropped = (PAGES.c.state == PageState.DROPPED) & ~PAGES.c.uncertain
    # Where nothing at all was decided before it here (it was owed elsewhere), it is better said twice than never.
    if connection.scalar(select(PAGES.c.number).where(earlier).limit(1)) is None:
        return True
    return connection.scalar(select(PAGES.c.number).where(earlier & ~dropped).limit(1)) is not None


def _choose(
    connection: Connection, now: int, limit: int, targets: Sequence[str] | None
) -> tuple[list[Row[Any]], list[tuple[Row[Any], DropReason]]]:
    """What to send, and what to drop first."""
    chosen: list[Row[Any]] = []
    dropped: list[tuple[Row[Any], DropReason]] = []
    for row in connection.execute(_sendable(targets).limit(limit + _SCANNED), {"now": now}).all():
        if len(chosen) >= limit:
            break
        reason = _drop_reason(connection, row, now)
        if reason is not None:
            dropped.append((row, reason))
        elif not _edited_now(connection, row):
            chosen.append(row)
    return chosen, dropped


def _edited_now(connection: Connection, row: Row[Any]) -> bool:
    """Whether somebody is sending an earlier edit of the same message."""
    if not row.edits:
        return False
    claimed = (PAGES.c.edits == row.edits) & (PAGES.c.state == PageState.CLAIMED)
    return connection.scalar(select(PAGES.c.number).where(claimed).limit(1)) is not None


def _drop(connection: Connection, row: Row[Any], reason: DropReason, now: int) -> None:
    values = {"state": PageState.DROPPED, "outcome": reason.value, "finished_at": now}
    connection.execute(update(PAGES).where(PAGES.c.number == row.number).values(values))
