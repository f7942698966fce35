"""What is kept of who is on call: overrides made by hand, and what people were told of their shifts.

Overrides are written into their table by whoever makes them, not asked of the running monitor: it would have nothing to
decide on them, they are listed at once, and they count where no monitor runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from otelmon.oncall.overrides import Override
from otelmon.oncall.shifts_told import Told
from otelmon.oncall.stored import StoredOverride
from otelmon.storage.codec import instant, micros, to_json
from otelmon.storage.tables import OVERRIDES


def add_overrides(connection: Connection, stored: Sequence[StoredOverride]) -> None:
    """Adds overrides; one whose id is there already is not added again."""
    known = set(connection.scalars(select(OVERRIDES.c.id).where(OVERRIDES.c.id.in_([one.id for one in stored]))))
    rows = [
        {
            "id": one.id,
            "created_at": micros(one.created_at),
            "ends_at": micros(one.override.end),
            "body": to_json(_encode(one)),
        }
        for one in stored
        if one.id not in known
    ]
    if rows:
        connection.execute(OVERRIDES.insert(), rows)


def remove_override(connection: Connection, id_: str, by: str, at: datetime) -> bool:
    """Marks an override as taken back; False where there is none that still is in force."""
    wanted = (OVERRIDES.c.id == id_) & OVERRIDES.c.removed_at.is_(None)
    return bool(
        connection.execute(update(OVERRIDES).where(wanted).values(removed_at=micros(at), removed_by=by)).rowcount
    )


def overrides(connection: Connection, ends_after: datetime | None) -> tuple[StoredOverride, ...]:
    """The overrides that end after an instant (None: all of them), in the order in which they were made."""
    wanted = select(OVERRIDES).order_by(OVERRIDES.c.created_at, OVERRIDES.c.id)
    if ends_after is not None:
        wanted = wanted.where(OVERRIDES.c.ends_at > micros(ends_after))
    return tuple(
        StoredOverride(
            id=row.id,
            **_decode(json.loads(row.body)),
            created_at=instant(row.created_at),
            removed_at=None if row.removed_at is None else instant(row.removed_at),
            removed_by=row.removed_by,
        )
        for row in connection.execute(wanted)
    )


def encode_told(told: Told) -> str:
    """What people were told of their shifts, as JSON."""
    coming = {
        schedule: {person: [[micros(start), micros(end)] for start, end in spans] for person, spans in people.items()}
        for schedule, people in told.coming.items()
    }
    return to_json({"at": micros(told.at), "until": micros(told.until), "coming": coming})


def decode_told(text: str) -> Told | None:
    """What was encoded; None where it cannot be read: then what is to come is told, and no more than that is lost."""
    try:
        return _decode_told(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _decode_told(plain: Mapping[str, Any]) -> Told:
    coming = {
        schedule: {
            person: tuple((instant(start), instant(end)) for start, end in spans) for person, spans in people.items()
        }
        for schedule, people in plain["coming"].items()
    }
    return Told(at=instant(plain["at"]), until=instant(plain["until"]), coming=coming)


def _encode(one: StoredOverride) -> dict[str, Any]:
    override = one.override
    return {
        "schedule": one.schedule,
        "start": micros(override.start),
        "end": micros(override.end),
        "person": override.person,
        "replaces": override.replaces,
        "reason": override.reason,
        "by": override.by,
    }


def _decode(plain: Mapping[str, Any]) -> dict[str, Any]:
    override = Override(
        start=instant(plain["start"]),
        end=instant(plain["end"]),
        person=plain["person"],
        replaces=plain["replaces"],
        reason=plain.get("reason", ""),
        by=plain.get("by", ""),
    )
    return {"schedule": plain["schedule"], "override": override}
