"""People, and the team: who there is, and who is meant by a step's target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from otelmon.oncall.policy import Policy, Target, TargetKind
from otelmon.oncall.schedule import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who can be on call: ``discord`` is their user id (17 to 20 digits), empty where there is none.

    ``time_zone`` is the one in which they read times; None for the schedule's.
    """

    name: str
    discord: str = ""
    time_zone: ZoneInfo | None = None

    @property
    def reachable(self) -> bool:
        """Whether there is any way to page them."""
        return bool(self.discord)


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """The people, the schedules and the escalation policies, each by name."""

    people: Mapping[str, Person] = field(default_factory=dict)
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    policies: Mapping[str, Policy] = field(default_factory=dict)

    def on_duty(self, target: Target, at: datetime) -> tuple[str, ...]:
        """The people whom a target stands for at an instant; empty for nobody, and for roles and webhooks.

        NEXT is whoever of the schedule comes next and is not on call now.
        """
        if target.kind is TargetKind.PERSON:
            return (target.name,)
        schedule = self.schedules.get(target.name)
        if schedule is None:
            return ()
        match target.kind:
            case TargetKind.SCHEDULE:
                return schedule.on_call(at)
            case TargetKind.NEXT:
                following = schedule.next_on_call(at)
                return () if following is None else (following.person,)
            case TargetKind.EVERYONE:
                return schedule.everyone(at)
            case _:
                return ()
