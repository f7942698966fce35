"""Escalations in their table, one row for each open incident that has one. Functions over an open transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select

from otelmon.errors import StateError
from otelmon.oncall.escalation import Escalation, Waiting
from otelmon.storage.codec import instant, micros, to_json
from otelmon.storage.tables import ESCALATIONS

_BATCH = 500


def write(connection: Connection, changed: Mapping[str, Escalation | None]) -> None:
    """Writes escalations by the ids of their incidents; None deletes."""
    ids = list(changed)
    for start in range(0, len(ids), _BATCH):
        batch = ids[start : start + _BATCH]
        connection.execute(delete(ESCALATIONS).where(ESCALATIONS.c.incident_id.in_(batch)))
    rows = [{"incident_id": id_, "body": to_json(encode(each))} for id_, each in changed.items() if each is not None]
    if rows:
        connection.execute(ESCALATIONS.insert(), rows)


def read(connection: Connection) -> dict[str, Escalation]:
    """All escalations, by the ids of their incidents; StateError where one is none that this version knows."""
    try:
        rows = connection.execute(select(ESCALATIONS).order_by(ESCALATIONS.c.incident_id))
        return {row.incident_id: decode(json.loads(row.body)) for row in rows}
    except (ValueError, KeyError, TypeError) as error:
        raise StateError(f"a saved escalation cannot be read ({error!r})") from error


def encode(escalation: Escalation) -> dict[str, Any]:
    """An escalation as JSON's types."""
    return {
        "policy": escalation.policy,
        "step": escalation.step,
        "round": escalation.round,
        "due_at": _optional(escalation.due_at),
        "reached": escalation.reached,
        "acknowledged_at": _optional(escalation.acknowledged_at),
        "acknowledged_by": list(escalation.acknowledged_by),
        "asked": list(escalation.asked),
        "waiting": [[one.person, micros(one.paged_at), one.done] for one in escalation.waiting],
        "began_at": _optional(escalation.began_at),
        "held": escalation.held,
        "paged": list(escalation.paged),
        "webhooks": list(escalation.webhooks),
    }


def decode(plain: Mapping[str, Any]) -> Escalation:
    """The escalation that was encoded."""
    return Escalation(
        policy=plain["policy"],
        step=plain["step"],
        round=plain["round"],
        due_at=_instant(plain["due_at"]),
        reached=plain["reached"],
        acknowledged_at=_instant(plain["acknowledged_at"]),
        acknowledged_by=tuple(plain["acknowledged_by"]),
        asked=tuple(plain["asked"]),
        waiting=tuple(
            Waiting(person=person, paged_at=instant(paged_at), done=done) for person, paged_at, done in plain["waiting"]
        ),
        began_at=_instant(plain["began_at"]),
        held=plain["held"],
        paged=tuple(plain["paged"]),
        webhooks=tuple(plain["webhooks"]),
    )


def _optional(at: datetime | None) -> int | None:
    return None if at is None else micros(at)


def _instant(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else instant(microseconds)
