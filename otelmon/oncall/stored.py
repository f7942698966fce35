"""Overrides made while the app runs: kept in the state, laid over what the files say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from otelmon.incidents.ids import incident_id
from otelmon.labels import Labels
from otelmon.oncall.overrides import Override
from otelmon.oncall.people import Team

PREFIX = "O"
"""How an override's id begins: neither an incident's nor a silence's does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredOverride:
    """An override of one schedule, with when it was made and, once it is taken back, when and by whom."""

    id: str
    schedule: str
    override: Override
    created_at: datetime
    removed_at: datetime | None = None
    removed_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """A stored override that changes nothing, because the files no longer have what it names."""

    stored: StoredOverride
    reason: str


def stored_override(schedule: str, override: Override, created_at: datetime) -> StoredOverride:
    """An override to be kept; its id is short enough to type, such as O7KQ2X."""
    start, end = (at.astimezone(UTC).isoformat() for at in (override.start, override.end))
    about = Labels(
        {"schedule": schedule, "person": override.person, "replaces": override.replaces, "from": start, "to": end}
    )
    id_ = PREFIX + incident_id(about, created_at, (), shortest=5)
    return StoredOverride(id=id_, schedule=schedule, override=override, created_at=created_at)


def with_overrides(team: Team, stored: Iterable[StoredOverride]) -> Team:
    """The team with what is stored laid over the overrides of its files, in the order in which it was made.

    Whatever was taken back, or names a schedule or a person that the files no longer have, is left out.
    """
    usable: dict[str, list[Override]] = {}
    for one in stored:
        if one.removed_at is None and _fault(team, one) is None:
            usable.setdefault(one.schedule, []).append(one.override)
    if not usable:
        return team
    schedules = {
        name: replace(schedule, overrides=(*schedule.overrides, *usable[name])) if name in usable else schedule
        for name, schedule in team.schedules.items()
    }
    return replace(team, schedules=schedules)


def unusable(team: Team, stored: Iterable[StoredOverride]) -> tuple[Unusable, ...]:
    """The stored overrides, not taken back, that :func:`with_overrides` leaves out, each with why."""
    return tuple(
        Unusable(stored=one, reason=fault)
        for one in stored
        if one.removed_at is None and (fault := _fault(team, one)) is not None
    )


def _fault(team: Team, one: StoredOverride) -> str | None:
    if one.schedule not in team.schedules:
        return f"there is no schedule {one.schedule} any more"
    for name in (one.override.person, one.override.replaces):
        if name and name not in team.people:
            return f"there is no {name} among the people any more"
    return None
