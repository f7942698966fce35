"""What a notifier did not take goes to the next of the fallback. Functions over an open transaction.

A page is passed on when it is rejected, in the transaction that records it, or when it is owed for longer than
``PATIENCE``; once, because the copy's id follows from the page's. It is not when its incident is over or was
acknowledged meanwhile. A page that is only late stays owed: whoever is on call at its notifier was told by nobody else,
so it is sent once that works again, unless somebody has acknowledged by then. If it arrives before its copy was sent,
the copy is dropped. So no notifier gets the same twice, and nobody is missed.

What follows a page that was passed on (edits, the word that it is over) goes to the fallback as well.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, case, func, or_, select, update

from otelmon.duration import format_duration
from otelmon.incidents.model import IncidentState
from otelmon.paging.fallback import NEVER_PASSED_ON, PATIENCE, WAITS, passed_on
from otelmon.paging.model import Page, PageAction, PageReason
from otelmon.rules.model import Severity
from otelmon.storage.codec import decode_page, instant
from otelmon.storage.store import PageState
from otelmon.storage.tables import INCIDENTS, PAGES

_POST = PAGES.c.action == PageAction.POST.value
_URGENCIES = 10  # how many there are of one severity


def pass_on(connection: Connection, page_id: str, fallback: Sequence[str], now: int) -> Page | None:
    """The page that is owed instead of one that was rejected; None where none is."""
    row = _row(connection, page_id)
    if row is None or row.action != PageAction.POST.value or PageReason[row.reason] in NEVER_PASSED_ON:
        return None
    return _passed_on(connection, row, fallback, f"Not delivered to {row.target}: {row.outcome}", now)


def pass_on_late(connection: Connection, fallback: Sequence[str], now: int) -> list[Page]:
    """The pages that are owed instead of those that are late."""
    found = []
    for id_ in connection.scalars(_late(now)).all():
        row = _row(connection, id_)
        assert row is not None  # noqa: S101 (read in this transaction)
        waited = format_duration(PATIENCE[_severity(row.urgency)].total_seconds())
        why = f"Not delivered to {row.target} within {waited}: {row.outcome or 'not tried yet'}"
        page = _passed_on(connection, row, fallback, why, now)
        found += [page] if page is not None else []
    return found


def any_late(connection: Connection, now: int) -> bool:
    """Whether there is anything to pass on for being late."""
    return connection.scalar(_late(now).limit(1)) is not None


def _late(now: int) -> Select[Any]:
    return select(PAGES.c.id).where(is_late(now), PAGES.c.passed_on.is_(False)).order_by(PAGES.c.number)


def is_late(now: int) -> Any:
    """The condition that a new message is owed for too long."""
    waiting = [reason.name for reason in WAITS]
    late = [
        (PAGES.c.urgency >= low) & (PAGES.c.urgency < low + _URGENCIES) & (PAGES.c.decided_at <= now - patience)
        for low, patience in (
            (_low(severity), round(span.total_seconds() * 1_000_000)) for severity, span in PATIENCE.items()
        )
    ]
    return _POST & (PAGES.c.state == PageState.DUE) & PAGES.c.reason.not_in(waiting) & or_(*late)


def accompanying(connection: Connection, pages: Sequence[Page]) -> list[Page]:
    """What these edits and last words owe to the fallbacks that got what they are about."""
    followers = [page for page in pages if page.action is PageAction.EDIT or page.reason is PageReason.RESOLVED]
    if not followers:
        return []
    told_elsewhere = set(connection.scalars(select(PAGES.c.incident_id).where(PAGES.c.instead_of != "").distinct()))
    found = []
    for page in followers:
        if page.instead_of or page.incident_id not in told_elsewhere:
            continue
        copies = _copies(connection, page)
        for target, copy in copies.items():
            sibling = page.id.removesuffix(f".{page.target}") + f".{target}"
            if connection.scalar(select(PAGES.c.id).where(PAGES.c.id == sibling)) is None:
                tie = {"edits": copy} if page.action is PageAction.EDIT else {"follows": copy}
                found.append(passed_on(page, target, why="", at=page.due_at, **tie))
    return found


def arrived(connection: Connection, row: Row[Any]) -> bool:
    """Whether the page that a new message stands for was delivered after all."""
    if not row.instead_of or row.reason == PageReason.RESOLVED.name:
        return False
    state = connection.scalar(select(PAGES.c.state).where(PAGES.c.id == row.instead_of))
    return state == PageState.DELIVERED


def _copies(connection: Connection, page: Page) -> dict[str, str]:
    """The latest copy, at each fallback, of what an edit or a last word is about."""
    first = PAGES.alias("first")
    wanted = (
        select(PAGES.c.id, PAGES.c.target)
        .select_from(PAGES.join(first, first.c.id == PAGES.c.instead_of))
        .where(PAGES.c.incident_id == page.incident_id, first.c.target == page.target, _POST)
        .where(PAGES.c.reason != PageReason.RESOLVED.name)
        .order_by(PAGES.c.number)
    )
    if page.action is PageAction.EDIT:
        wanted = wanted.where(PAGES.c.instead_of == page.edits)
    else:
        # Of an incident that was resolved before and reopened, only what was passed on since.
        last_word = select(func.coalesce(func.max(PAGES.c.number), 0)).where(
            PAGES.c.incident_id == page.incident_id,
            PAGES.c.target == page.target,
            PAGES.c.reason == PageReason.RESOLVED.name,
            PAGES.c.id != page.id,
            _POST,
        )
        wanted = wanted.where(PAGES.c.number > (connection.scalar(last_word) or 0))
    return {row.target: row.id for row in connection.execute(wanted)}


def _row(connection: Connection, page_id: str) -> Row[Any] | None:
    return connection.execute(
        select(PAGES, INCIDENTS.c.state.label("incident_state"), INCIDENTS.c.acknowledged_at)
        .select_from(PAGES.outerjoin(INCIDENTS, INCIDENTS.c.id == PAGES.c.incident_id))
        .where(PAGES.c.id == page_id)
    ).one_or_none()


def _passed_on(connection: Connection, row: Row[Any], fallback: Sequence[str], why: str, now: int) -> Page | None:
    if row.reason != PageReason.RESOLVED.name and _overtaken(connection, row):
        return None
    connection.execute(update(PAGES).where(PAGES.c.number == row.number).values(passed_on=True))
    target = _next(connection, row, fallback)
    if target is None:
        return None
    return passed_on(decode_page(json.loads(row.body)), target, why=why, at=instant(now))


def was_acknowledged(row: Row[Any]) -> bool:
    """Whether the incident was acknowledged since a new message about it was decided."""
    return bool(row.incident_state == IncidentState.ACKNOWLEDGED and (row.acknowledged_at or 0) > row.decided_at)


def was_silenced(connection: Connection, row: Row[Any]) -> bool:
    """Whether silences came to hide the incident since a new message about it was decided."""
    body = connection.scalar(select(INCIDENTS.c.body).where(INCIDENTS.c.id == row.incident_id))
    silenced_at = None if body is None else json.loads(body).get("silenced_at")
    return bool((silenced_at or 0) > row.decided_at)


def _overtaken(connection: Connection, row: Row[Any]) -> bool:
    """Whether a new message says nothing any more that people should be told."""
    over = row.incident_state == IncidentState.RESOLVED
    return bool(over) or was_acknowledged(row) or was_silenced(connection, row)


def _next(connection: Connection, row: Row[Any], fallback: Sequence[str]) -> str | None:
    """The next of the fallback; None where nobody is left. Of a page that was passed on before it is the same again,
    and so is the copy's id, so nothing is owed twice.
    """
    first = row if not row.instead_of else _row(connection, row.instead_of)
    if first is None:
        return None
    names = list(fallback)
    if row.instead_of and row.target in names:
        names = names[names.index(row.target) + 1 :]
    stem = first.id.removesuffix(f".{first.target}")
    for name in names:
        if name == first.target:
            continue
        # Whoever is told by a page of its own needs no copy.
        if connection.scalar(select(PAGES.c.id).where(PAGES.c.id == f"{stem}.{name}")) is None:
            return name
    return None


def _low(severity: Severity) -> int:
    return _URGENCIES * (Severity.CRITICAL.rank - severity.rank)


def _severity(urgency: int) -> Severity:
    return next(severity for severity in PATIENCE if _low(severity) <= urgency < _low(severity) + _URGENCIES)


def backlog(connection: Connection, now: int) -> list[Row[Any]]:
    """Of each notifier with pages owed: how many, since when the oldest is, and how many are late."""
    late = func.sum(case((is_late(now), 1), else_=0))
    return list(
        connection.execute(
            select(
                PAGES.c.target,
                func.count().label("owed"),
                func.min(PAGES.c.decided_at).label("oldest_at"),
                late.label("late"),
            )
            .where(PAGES.c.state.in_([PageState.DUE, PageState.CLAIMED]))
            .group_by(PAGES.c.target)
        )
    )
