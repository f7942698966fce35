"""Escalation policy: the steps that an incident goes through while nobody acknowledges it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from otelmon.oncall.restriction import Restriction


class TargetKind(StrEnum):
    """What a step pages."""

    PERSON = "person"
    SCHEDULE = "schedule"
    NEXT = "next"
    EVERYONE = "everyone"
    ROLE = "role"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Whom a step pages.

    By ``kind``, ``name`` is a person, a schedule (whoever is on call; NEXT whoever is on call next; EVERYONE all who
    are named in it), a Discord role's id, or the name of a webhook.
    """

    kind: TargetKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Whom to page, and how long after the step before (the first: after the incident was triggered).

    With ``everyone_acknowledges`` one person's acknowledgement does not stop the reminders of the others.
    """

    notify: tuple[Target, ...]
    wait: timedelta = timedelta(0)
    everyone_acknowledges: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Steps, gone through once and ``repeat`` (0 to 5) times more.

    ``repeat_every`` is the time from the last step to the first of the next round, and between mentions of
    ``fallback_role`` (a Discord role's id) after the last. ``acknowledge_timeout`` reopens an incident that was
    acknowledged and not resolved. ``quiet`` are hours in which only critical incidents page. ``remind_after`` are the
    times after which a person who was paged, and has not acknowledged, is paged again; increasing.
    """

    name: str
    steps: tuple[Step, ...]
    repeat: int = 0
    repeat_every: timedelta = timedelta(minutes=15)
    fallback_role: str = ""
    acknowledge_timeout: timedelta | None = None
    quiet: Restriction | None = None
    remind_after: tuple[timedelta, ...] = ()

    def __post_init__(self) -> None:
        if not self.steps:
            raise ValueError("an escalation policy needs steps")
        if not 0 <= self.repeat <= 5:
            raise ValueError("a policy is repeated 0 to 5 times")
        if self.repeat_every <= timedelta(0):
            raise ValueError("repeat_every is longer than nothing")
