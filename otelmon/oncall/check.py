"""Looking for what would leave an incident without an answer, before there is one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from otelmon.oncall.people import Team
from otelmon.oncall.policy import TargetKind
from otelmon.oncall.schedule import Schedule
from otelmon.oncall.wall import utc, wall_time

LOOK_AHEAD = timedelta(days=60)
"""How far ahead gaps are looked for."""


class FindingKind(StrEnum):
    """What is wrong."""

    GAP = "nobody is on call"
    UNREACHABLE = "there is no way to reach them"
    UNKNOWN_PERSON = "no such person"
    IDLE_OVERRIDE = "this override changes nothing"
    NO_FALLBACK = "no role to mention when nobody answers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something to put right: what, where (a schedule, a person or a policy by name) and in words."""

    kind: FindingKind
    where: str
    text: str


def check(team: Team, at: datetime) -> tuple[Finding, ...]:
    """What is wrong with a team in the 60 days from ``at`` on. Turns of "nobody" are no gaps."""
    at = utc(at)
    found = [finding for schedule in team.schedules.values() for finding in _check_schedule(schedule, at)]
    return (*found, *_check_people(team), *_check_policies(team))


def _check_schedule(schedule: Schedule, at: datetime) -> Iterator[Finding]:
    for gap in schedule.gaps(at, at + LOOK_AHEAD):
        if not gap.on_purpose:
            text = f"from {_shown(gap.start, schedule)} to {_shown(gap.end, schedule)}"
            yield Finding(kind=FindingKind.GAP, where=schedule.name, text=text)
    for number, override in enumerate(schedule.overrides):
        if not override.replaces or override.end <= at:
            continue
        before = Schedule(layers=schedule.layers, overrides=schedule.overrides[:number], temporary=schedule.temporary)
        shifts = before.shifts(override.start, override.end)
        if all(shift.person != override.replaces for shift in shifts):
            text = f"{override.replaces} is not on call from {_shown(override.start, schedule)}"
            text += f" to {_shown(override.end, schedule)}"
            yield Finding(kind=FindingKind.IDLE_OVERRIDE, where=schedule.name, text=text)


def _shown(at: datetime, schedule: Schedule) -> str:
    return f"{wall_time(at, schedule.zone):%Y-%m-%d %H:%M}"


def _check_people(team: Team) -> Iterator[Finding]:
    named: dict[str, str] = {}
    for schedule in team.schedules.values():
        for person in sorted(schedule.people()):
            named.setdefault(person, f"schedule {schedule.name}")
    for policy in team.policies.values():
        for target in (target for step in policy.steps for target in step.notify if target.kind is TargetKind.PERSON):
            named.setdefault(target.name, f"policy {policy.name}")
    for name, where in named.items():
        person_or_none = team.people.get(name)
        if person_or_none is None:
            yield Finding(kind=FindingKind.UNKNOWN_PERSON, where=name, text=f"named in {where}")
        elif not person_or_none.reachable:
            yield Finding(kind=FindingKind.UNREACHABLE, where=name, text=f"named in {where}, without a Discord id")


def _check_policies(team: Team) -> Iterator[Finding]:
    for policy in team.policies.values():
        if not policy.fallback_role:
            yield Finding(kind=FindingKind.NO_FALLBACK, where=policy.name, text="write fallback_role: and a role's id")
