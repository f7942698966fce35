"""Escalation: who is paged about an incident, one step after the other, until somebody acknowledges. A pure step.

- A step's wait counts from when the step before it was taken. A step that was late (the process was down) is taken
  once; the ones after it keep their waits.
- A step that reaches nobody falls through to the next one at once, and says so.
- After the last step the policy starts again, ``repeat`` times, each ``repeat_every`` after the last step. When that
  is over, or a whole round reached nobody: the fallback (a role), then again every ``repeat_every``.
- Acknowledging stops it. With ``acknowledge_timeout`` it starts again from the first step where the incident is still
  open by then. A step that asks everybody to acknowledge stops only once all whom it paged did.
- In quiet hours an incident that is not critical waits until they are over, or until it becomes critical.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from otelmon.oncall.people import Team
from otelmon.oncall.policy import Policy, Step
from otelmon.oncall.reached import Reached, names, quiet_until, reached_by, reached_from
from otelmon.oncall.wall import utc
from otelmon.rules.model import Severity


class EscalationReason(StrEnum):
    """Why something was decided."""

    STEP = "the step is due"
    REPEAT = "nobody acknowledged, the policy starts again"
    REMINDER = "paged before and has not acknowledged"
    NEWS = "something worse happened"
    REACHES_NOBODY = "the step reaches nobody"
    FALLBACK = "the last repeat is over"
    FALLBACK_NOBODY = "the policy reaches nobody"
    HELD = "quiet hours"
    ACKNOWLEDGE_TIMEOUT = "acknowledged for too long without being resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to be sent, or said, about an incident.

    ``people``, ``roles`` and ``webhooks`` are whom it reaches, each once; all are empty for a notice (REACHES_NOBODY,
    HELD, ACKNOWLEDGE_TIMEOUT), which pings nobody. ``step`` counts from 0, -1 where it is of no step; ``round`` is
    how often the policy had started again. ``text`` says it in words.
    """

    at: datetime
    reason: EscalationReason
    step: int = -1
    round: int = 0
    people: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    webhooks: tuple[str, ...] = ()
    text: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Whom it reaches, in words."""
        return names(self.people, self.roles, self.webhooks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Somebody who was paged and is reminded until they acknowledge: ``done`` of the policy's reminders were sent."""

    person: str
    paged_at: datetime
    done: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """How far an incident's escalation has come. Plain values: it is stored with the incident.

    ``step`` is the next one (the number of steps once only the fallback is left), due at ``due_at`` (None while it is
    stopped). ``round`` is how often the policy has started again, ``reached`` whether anybody was reached in the
    present round. ``acknowledged_by`` are those who acknowledged since it last started, at ``began_at``, ``asked``
    those who all have to. ``waiting`` are the people who are reminded. ``held`` says that quiet hours put ``due_at``
    off. ``paged`` is whom it reached since it last started, in words, each once; ``webhooks`` the names of webhooks
    that it ever paged.
    """

    policy: str
    step: int = 0
    round: int = 0
    due_at: datetime | None
    reached: bool = False
    acknowledged_at: datetime | None = None
    acknowledged_by: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    began_at: datetime | None = None
    held: bool = False
    paged: tuple[str, ...] = ()
    webhooks: tuple[str, ...] = ()

    @property
    def stopped(self) -> bool:
        """Whether nothing more happens unless the acknowledgement times out."""
        return self.due_at is None and not self.waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationStep:
    """The escalation after a step, and what was decided, in order."""

    escalation: Escalation
    decisions: tuple[Decision, ...] = ()


def begin(policy: Policy, at: datetime) -> Escalation:
    """The escalation of an incident that was triggered at ``at``; its first step is due after that step's wait."""
    at = utc(at)
    return Escalation(policy=policy.name, due_at=at + policy.steps[0].wait, began_at=at)


def acknowledge(escalation: Escalation, by: str, at: datetime) -> Escalation:
    """The escalation after somebody acknowledged.

    It stops, unless the last step asked everybody to acknowledge and somebody has not: then it goes on for them only.
    """
    acknowledged = escalation.acknowledged_by
    if by not in acknowledged:
        acknowledged = (*acknowledged, by)
    waiting = tuple(
        one for one in escalation.waiting if one.person in escalation.asked and one.person not in acknowledged
    )
    return replace(
        escalation,
        due_at=None,
        held=False,
        acknowledged_at=escalation.acknowledged_at or utc(at),
        acknowledged_by=acknowledged,
        waiting=waiting,
    )


def step(escalation: Escalation, policy: Policy, team: Team, *, severity: Severity, at: datetime) -> EscalationStep:
    """What is due at ``at`` for an open incident, and the escalation after it.

    Calling it again at the same instant decides nothing more. A resolved incident has no escalation: drop it.
    """
    books = _Books(escalation, policy, team, severity, utc(at))
    books.time_out()
    books.remind()
    books.escalate()
    return EscalationStep(escalation=books.now, decisions=tuple(books.decisions))


def repeat_last(escalation: Escalation, policy: Policy, team: Team, at: datetime) -> EscalationStep:
    """Whom to tell at once of something worse that happened meanwhile, whoever acknowledged before.

    Those whom the step that was taken last stands for now; where that is nobody, the ones after it, then the
    fallback. The steps that are still to come keep their times.
    """
    number = min(max(escalation.step - 1, 0), len(policy.steps) - 1)
    reached = reached_from(policy, team, utc(at), number=number)
    decision = Decision(
        at=utc(at), reason=EscalationReason.NEWS, step=reached.step, round=escalation.round, people=reached.people,
        roles=reached.roles, webhooks=reached.webhooks,
    )  # fmt: skip
    return EscalationStep(escalation=_noted(escalation, decision), decisions=(decision,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Upcoming:
    """What comes next if nobody acknowledges: when, whom it will reach as planned, and whether quiet hours hold it."""

    at: datetime
    reached: Reached
    held: bool = False


def upcoming(escalation: Escalation, policy: Policy, team: Team, *, severity: Severity) -> Upcoming | None:
    """What comes next if nobody acknowledges; None where nothing does."""
    due_at = escalation.due_at
    reminded = [
        (one.paged_at + policy.remind_after[one.done], one.person)
        for one in escalation.waiting
        if one.done < len(policy.remind_after)
    ]
    first = min(reminded, default=None)
    if first is not None and (due_at is None or first[0] < due_at):
        at, people = first[0], tuple(person for when, person in reminded if when == first[0])
        return Upcoming(at=at, reached=Reached(people=people))
    if due_at is None:
        return None
    until = quiet_until(policy, severity, due_at)
    at = until or due_at
    held = until is not None or (escalation.held and severity is not Severity.CRITICAL)
    return Upcoming(at=at, reached=reached_from(policy, team, at, number=escalation.step), held=held)


def shift(escalation: Escalation, seconds: float) -> Escalation:
    """The same escalation after the wall clock jumped by so many seconds: waits stay true."""
    by = timedelta(seconds=seconds)
    return replace(
        escalation,
        due_at=escalation.due_at and escalation.due_at + by,
        began_at=escalation.began_at and escalation.began_at + by,
        acknowledged_at=escalation.acknowledged_at and escalation.acknowledged_at + by,
        waiting=tuple(replace(one, paged_at=one.paged_at + by) for one in escalation.waiting),
    )


class _Books:
    """An escalation while one step of it is worked out."""

    def __init__(self, escalation: Escalation, policy: Policy, team: Team, severity: Severity, at: datetime) -> None:
        self.now = escalation
        self.decisions: list[Decision] = []
        self._policy = policy
        self._team = team
        self._severity = severity
        self._at = at

    def time_out(self) -> None:
        """An acknowledgement that was followed by nothing counts no more."""
        timeout, since = self._policy.acknowledge_timeout, self.now.acknowledged_at
        if timeout is None or since is None or self._at < since + timeout:
            return
        by = ", ".join(self.now.acknowledged_by)
        self._decide(EscalationReason.ACKNOWLEDGE_TIMEOUT, text=f"acknowledged by {by}, and still open")
        self.now = replace(begin(self._policy, self._at), due_at=self._at, webhooks=self.now.webhooks)

    def remind(self) -> None:
        """Page again whoever was paged and has not acknowledged."""
        if self._quiet_until() is not None:
            return
        waiting = []
        due = []
        for one in self.now.waiting:
            done = one.done
            while done < len(self._policy.remind_after) and self._at >= one.paged_at + self._policy.remind_after[done]:
                done += 1
            if done > one.done:
                due.append(one.person)
            if done < len(self._policy.remind_after):
                waiting.append(replace(one, done=done))
        if due:
            self._decide(EscalationReason.REMINDER, people=tuple(due))
        self.now = replace(self.now, waiting=tuple(waiting))

    def escalate(self) -> None:
        """Take the step that is due, and those after steps that reach nobody."""
        if self.now.held and self._quiet_until() is None:
            self.now = replace(self.now, held=False, due_at=self._at)
        while self.now.due_at is not None and self.now.due_at <= self._at:
            if self._hold():
                return
            if self.now.step >= len(self._policy.steps):
                self._fall_back(EscalationReason.FALLBACK)
                return
            if self._take(self._policy.steps[self.now.step]):
                return

    def _quiet_until(self) -> datetime | None:
        return quiet_until(self._policy, self._severity, self._at)

    def _hold(self) -> bool:
        until = self._quiet_until()
        if until is None:
            return False
        self._decide(EscalationReason.HELD, step=self.now.step, text=f"held until {until.isoformat()}")
        self.now = replace(self.now, due_at=until, held=True)
        return True

    def _take(self, due: Step) -> bool:
        """Take a step; whether it reached anybody (or the escalation has come to its fallback)."""
        number, last = self.now.step, self.now.step == len(self._policy.steps) - 1
        reached = reached_by(due, self._team, self._at, number=number)
        if reached.anybody:
            first_again = number == 0 and self.now.round > 0
            self._decide(
                EscalationReason.REPEAT if first_again else EscalationReason.STEP,
                step=number,
                people=reached.people,
                roles=reached.roles,
                webhooks=reached.webhooks,
                text="; ".join(reached.notices),
            )
            self._note_paged(due, reached.people)
            self.now = replace(self.now, reached=True)
        else:
            self._decide(EscalationReason.REACHES_NOBODY, step=number, text="; ".join(reached.notices))
        if not last:
            wait = self._policy.steps[number + 1].wait if reached.anybody else timedelta(0)
            self.now = replace(self.now, step=number + 1, due_at=self._at + wait)
            return reached.anybody
        return self._end_round(reached_last=reached.anybody)

    def _end_round(self, *, reached_last: bool) -> bool:
        if not self.now.reached:
            self.now = replace(self.now, step=len(self._policy.steps))
            self._fall_back(EscalationReason.FALLBACK_NOBODY)
            return True
        following = self._at + self._policy.repeat_every
        if self.now.round < self._policy.repeat:
            self.now = replace(self.now, step=0, round=self.now.round + 1, due_at=following, reached=False)
            return True
        due_at = following if reached_last else self._at
        self.now = replace(self.now, step=len(self._policy.steps), due_at=due_at)
        return reached_last

    def _fall_back(self, reason: EscalationReason) -> None:
        role = self._policy.fallback_role
        text = f"policy {self._policy.name}" if role else f"policy {self._policy.name} has no role to fall back to"
        self._decide(reason, roles=(role,) if role else (), text=text)
        self.now = replace(self.now, due_at=self._at + self._policy.repeat_every)
        if reason is EscalationReason.FALLBACK_NOBODY and not role:
            # Somebody may be on call by then: never give up on an incident that nobody has heard of.
            self.now = replace(self.now, step=0)

    def _note_paged(self, due: Step, people: Iterable[str]) -> None:
        paged = tuple(people)
        known = {one.person for one in self.now.waiting}
        waiting = self.now.waiting
        if self._policy.remind_after:
            fresh = (Waiting(person=person, paged_at=self._at) for person in paged if person not in known)
            waiting = (*waiting, *fresh)
        self.now = replace(self.now, waiting=waiting, asked=paged if due.everyone_acknowledges else ())

    def _decide(
        self,
        reason: EscalationReason,
        *,
        step: int = -1,
        people: tuple[str, ...] = (),
        roles: tuple[str, ...] = (),
        webhooks: tuple[str, ...] = (),
        text: str = "",
    ) -> None:
        decision = Decision(
            at=self._at, reason=reason, step=step, round=self.now.round, people=people, roles=roles,
            webhooks=webhooks, text=text,
        )  # fmt: skip
        self.decisions.append(decision)
        self.now = _noted(self.now, decision)


def _noted(escalation: Escalation, decision: Decision) -> Escalation:
    return replace(
        escalation,
        paged=tuple(dict.fromkeys((*escalation.paged, *decision.names))),
        webhooks=tuple(dict.fromkeys((*escalation.webhooks, *decision.webhooks))),
    )
