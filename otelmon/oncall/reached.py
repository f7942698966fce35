"""Whom a step of an escalation policy reaches at an instant, each once, and why others are not reached."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from otelmon.oncall.people import Team
from otelmon.oncall.policy import Policy, Step, TargetKind
from otelmon.rules.model import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """People by name, roles by id and webhooks by name, each once; ``notices`` say of others why they are not reached.

    ``step`` counts from 0, and is -1 for the policy's fallback.
    """

    step: int = -1
    people: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    webhooks: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def anybody(self) -> bool:
        """Whether anybody at all is reached."""
        return bool(self.people or self.roles or self.webhooks)

    @property
    def names(self) -> tuple[str, ...]:
        """All of them in words."""
        return names(self.people, self.roles, self.webhooks)


def names(people: tuple[str, ...], roles: tuple[str, ...], webhooks: tuple[str, ...]) -> tuple[str, ...]:
    """People, roles and webhooks in words."""
    return (*people, *(f"role {role}" for role in roles), *webhooks)


def reached_by(step: Step, team: Team, at: datetime, *, number: int) -> Reached:
    """Whom a step reaches at an instant; ``number`` counts the policy's steps from 0."""
    people: dict[str, None] = {}
    roles: dict[str, None] = {}
    webhooks: dict[str, None] = {}
    notices: dict[str, None] = {}
    for target in step.notify:
        if target.kind is TargetKind.ROLE:
            roles[target.name] = None
        elif target.kind is TargetKind.WEBHOOK:
            webhooks[target.name] = None
        else:
            found = team.on_duty(target, at)
            if not found:
                notices[f"{target} is nobody now"] = None
            for name in found:
                _add(name, team, people, notices)
    return Reached(
        step=number, people=tuple(people), roles=tuple(roles), webhooks=tuple(webhooks), notices=tuple(notices)
    )


def reached_from(policy: Policy, team: Team, at: datetime, *, number: int) -> Reached:
    """Whom the first step from ``number`` on that reaches anybody reaches, else the policy's fallback role."""
    for step in range(number, len(policy.steps)):
        reached = reached_by(policy.steps[step], team, at, number=step)
        if reached.anybody:
            return reached
    return Reached(roles=(policy.fallback_role,) if policy.fallback_role else ())


def quiet_until(policy: Policy, severity: Severity, at: datetime) -> datetime | None:
    """When the quiet hours that hold an incident of this severity back at ``at`` are over; None where none do."""
    quiet = policy.quiet
    if quiet is None or severity is Severity.CRITICAL or not quiet.is_active(at):
        return None
    return quiet.active_until(at)


def _add(name: str, team: Team, people: dict[str, None], notices: dict[str, None]) -> None:
    person = team.people.get(name)
    if person is None or not person.reachable:
        notices[f"{name} has no way to be reached"] = None
    else:
        people[name] = None
