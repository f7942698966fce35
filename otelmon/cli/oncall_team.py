"""The team that the on-call commands are about: the configuration's, with the overrides in the state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from otelmon.cli.options import settings_for, state_folder
from otelmon.config.settings import Settings
from otelmon.document.fields import did_you_mean
from otelmon.errors import OtelmonError, StateError
from otelmon.oncall.people import Team
from otelmon.oncall.schedule import Schedule
from otelmon.oncall.stored import StoredOverride, with_overrides
from otelmon.storage.sqlite import STATE_FILE, SqliteStorage

ScheduleOption = Annotated[str | None, typer.Option("--schedule", help="One schedule only; default: all of them.")]

_NO_SCHEDULES = """no schedules are configured; write into otelmon.yaml, for example:

people:
  ana: {discord: 112233445566778899, time_zone: Europe/Lisbon}
schedules:
  backend:
    time_zone: Europe/Lisbon
    layers:
      - {rotation: weekly, start: 2026-01-05 09:00, participants: [ana]}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The settings, the team with overrides, and these as they are stored."""

    settings: Settings
    team: Team
    stored: Sequence[StoredOverride] = field(default_factory=tuple)


def known_team(config: Path | None, service: str | None) -> Known:
    """The team as a monitor would have it; one that never ran has stored no overrides."""
    settings = settings_for(config)
    if not settings.team.schedules:
        raise OtelmonError(_NO_SCHEDULES)
    state = existing_state(settings, service)
    if state is None:
        return Known(settings=settings, team=settings.team)
    with state as storage:
        stored = storage.overrides()
    return Known(settings=settings, team=with_overrides(settings.team, stored), stored=stored)


def existing_state(settings: Settings, service: str | None) -> SqliteStorage | None:
    """The state that a monitor or a command has made; None where none has."""
    own = settings.state_dir / STATE_FILE
    if service is None and own.exists():
        return SqliteStorage(own)
    if service is None and (_declared(settings) or not _kept_beside(settings)):
        return None
    return SqliteStorage(state_folder(settings, service) / STATE_FILE)


def state_to_write(settings: Settings, service: str | None) -> SqliteStorage:
    """The state in which overrides are kept; made where no monitor has run, if it is sure what the app calls itself.

    StateError where it is not: the app's monitor would never see what is written under another name.
    """
    state = existing_state(settings, service)
    if state is not None:
        return state
    beside = _kept_beside(settings)
    if _declared(settings) and not beside:
        return SqliteStorage(settings.state_dir / STATE_FILE)
    names = ", ".join(path.parent.name for path in beside)
    raise StateError(
        f"no state of {settings.service} is in {settings.state_dir.parent}"
        + (f", but of {names}; write --service NAME, or" if beside else ";")
        + " start the app first, or declare service: in otelmon.yaml"
    )


def chosen(team: Team, name: str | None) -> tuple[Schedule, ...]:
    """The schedule of this name, or all."""
    return tuple(team.schedules.values()) if name is None else (schedule_named(team, name),)


def schedule_named(team: Team, name: str | None) -> Schedule:
    """The schedule of this name; of the only one, the name may be left out."""
    if name is None and len(team.schedules) == 1:
        return next(iter(team.schedules.values()))
    if name is None:
        raise OtelmonError(f"say which schedule: --schedule {' or '.join(sorted(team.schedules))}")
    if name not in team.schedules:
        raise OtelmonError(_unknown("schedule", name, sorted(team.schedules)))
    return team.schedules[name]


def person_named(team: Team, name: str) -> str:
    """The name, if somebody has it."""
    if name not in team.people:
        raise OtelmonError(_unknown("person", name, sorted(team.people)))
    return name


def _unknown(what: str, name: str, names: Sequence[str]) -> str:
    return f"there is no {what} {name!r}; {did_you_mean(name, names) or 'known: ' + ', '.join(names)}"


def _kept_beside(settings: Settings) -> list[Path]:
    """The state of whatever services keep theirs in the same place."""
    return sorted(settings.state_dir.parent.glob(f"*/{STATE_FILE}"))


def _declared(settings: Settings) -> bool:
    """Whether the service's name is written somewhere, and so is the app's whatever its title."""
    return settings.service_source.startswith(("OTEL_", "service"))
