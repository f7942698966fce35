"""Escalations: those of all open incidents, as a pure step that follows the step of the incidents.

An incident knows nothing of its escalation, which is kept beside it under the incident's id. An escalation begins when
the incident is triggered, reopened, unmuted or no longer taken, goes on while the incident pages anybody, stops when it
is acknowledged and is dropped when it is over. Where a new message is owed at the same instant anyway, that one calls
whom a step that is due reaches; else the step owes a message of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from otelmon.incidents.model import (
    NEW_MESSAGE,
    Acknowledge,
    Cause,
    Change,
    Event,
    EventKind,
    Incident,
    IncidentState,
    Refusal,
    RefusalReason,
)
from otelmon.incidents.policy import Policy as IncidentPolicy
from otelmon.incidents.settle import Happening, written
from otelmon.oncall.call import NOTICES, Call, in_words, make_call
from otelmon.oncall.escalation import (
    Decision,
    Escalation,
    EscalationReason,
    acknowledge,
    begin,
    repeat_last,
    shift,
    step,
)
from otelmon.oncall.people import Team
from otelmon.oncall.policy import Policy

DEFAULT_POLICY = "default"
"""The name of the policy that incidents go through where nothing else is said."""

PolicyOf = Callable[[Incident], Policy | None]
"""Which escalation policy an incident goes through; None for none."""

_BEGINS = frozenset({Cause.TRIGGERED, Cause.REOPENED, Cause.UNMUTED, Cause.EXPIRED})
_NEWS = frozenset({Cause.JOINED, Cause.WORSENED})
_KINDS = {EscalationReason.HELD: EventKind.HELD, EscalationReason.REACHES_NOBODY: EventKind.UNREACHED}


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationsStep:
    """The escalations and the incidents now, and what they add to this instant.

    ``changes`` are the incidents' own and then those of the escalations, ``calls`` say for incidents with changes what
    their messages are to say and whom they call, ``changed`` are escalations to be written (None: dropped).
    """

    escalations: Mapping[str, Escalation]
    incidents: Mapping[str, Incident]
    changes: tuple[Change, ...] = ()
    calls: Mapping[str, Call] = field(default_factory=dict)
    changed: Mapping[str, Escalation | None] = field(default_factory=dict)


def timing(general: IncidentPolicy, policy_of: PolicyOf) -> Callable[[Incident], IncidentPolicy]:
    """The policy whose timers count for an incident.

    An escalation takes the place of reminders, and its ``acknowledge_timeout``, where it has one, that of the general
    ``ack_timeout``: so exactly one of either acts, and it is the incidents' step that acts.
    """
    known: dict[str, IncidentPolicy] = {}

    def of(incident: Incident) -> IncidentPolicy:
        policy = policy_of(incident)
        if policy is None:
            return general
        if policy.name not in known:
            timeout = policy.acknowledge_timeout or general.ack_timeout
            known[policy.name] = replace(general, repeat_every={}, ack_timeout=timeout)
        return known[policy.name]

    return of


def escalate(
    escalations: Mapping[str, Escalation],
    incidents: Mapping[str, Incident],
    changes: Sequence[Change],
    refused: Iterable[Refusal] = (),
    *,
    team: Team,
    policy_of: PolicyOf,
    at: datetime,
) -> EscalationsStep:
    """The escalations after what the incidents' step made of this instant.

    ``incidents`` are the open ones after it, ``changes`` and ``refused`` what it brought: where everybody has to
    acknowledge, the second one to do so is refused there and counts here.
    """
    books = _Books(escalations, incidents, changes, refused, team=team, at=at)
    for incident in incidents.values():
        policy = None if incident.storm else policy_of(incident)
        if policy is not None:
            books.follow(incident, policy)
    return books.closed()


def shift_escalations(escalations: Mapping[str, Escalation], seconds: float) -> dict[str, Escalation]:
    """The same escalations after the wall clock jumped by so many seconds: waits stay true."""
    return {id_: shift(escalation, seconds) for id_, escalation in escalations.items()}


class _Books:
    """The escalations while one step is worked out."""

    def __init__(
        self,
        escalations: Mapping[str, Escalation],
        incidents: Mapping[str, Incident],
        changes: Sequence[Change],
        refused: Iterable[Refusal],
        *,
        team: Team,
        at: datetime,
    ) -> None:
        self._before = escalations
        self._now: dict[str, Escalation] = {}
        self._incidents = dict(incidents)
        self._changes = list(changes)
        self._team = team
        self._at = at
        self._calls: dict[str, Call] = {}
        self._by_incident: dict[str, list[Change]] = {}
        for change in changes:
            self._by_incident.setdefault(change.incident.id, []).append(change)
        self._also: dict[str, list[str]] = {}
        for refusal in refused:
            if isinstance(refusal.request, Acknowledge) and refusal.reason is RefusalReason.ALREADY_ACKNOWLEDGED:
                self._also.setdefault(refusal.request.incident_id, []).append(refusal.request.by)

    def follow(self, incident: Incident, policy: Policy) -> None:
        """Bring an incident's escalation up to this instant."""
        changes = self._by_incident.get(incident.id, ())
        escalation = self._before.get(incident.id)
        if escalation is not None and not changes and self._is_idle(escalation, policy, incident):
            self._now[incident.id] = escalation
            return
        causes = {change.cause for change in changes}
        escalation = self._begun(escalation, incident, policy, causes)
        if escalation is None:
            return
        escalation, decisions = self._stepped(escalation, incident, policy, causes)
        speaks = next((each for each in reversed(changes) if each.cause in NEW_MESSAGE), None)
        number = self._write(incident, policy, decisions, speaks)
        self._now[incident.id] = escalation
        if changes or decisions:
            self._calls[incident.id] = make_call(
                escalation, policy, self._team, decisions, severity=incident.severity, number=number
            )

    def closed(self) -> EscalationsStep:
        """What comes of it all."""
        dropped = self._before.keys() - self._now.keys()
        for id_ in dropped & self._by_incident.keys():
            over = self._before[id_]
            self._calls[id_] = Call(paged=over.paged, involved=over.webhooks)
        changed: dict[str, Escalation | None] = {
            id_: escalation for id_, escalation in self._now.items() if self._before.get(id_) != escalation
        }
        return EscalationsStep(
            escalations=self._now,
            incidents=self._incidents,
            changes=tuple(self._changes),
            calls=self._calls,
            changed=changed | dict.fromkeys(sorted(dropped)),
        )

    def _is_idle(self, escalation: Escalation, policy: Policy, incident: Incident) -> bool:
        later = escalation.due_at is None or escalation.due_at > self._at
        known = escalation.policy == policy.name and incident.id not in self._also
        agrees = (escalation.acknowledged_at is None) == (incident.state is IncidentState.TRIGGERED)
        return later and known and agrees and not escalation.waiting and not escalation.held

    def _begun(
        self, before: Escalation | None, incident: Incident, policy: Policy, causes: set[Cause | None]
    ) -> Escalation | None:
        """The escalation, begun (anew) or acknowledged where that is so; None for one that nobody was told of yet."""
        escalation = before
        taken = incident.state is IncidentState.ACKNOWLEDGED
        if escalation is not None:
            again = escalation.acknowledged_at is not None and not taken
            if again or escalation.policy != policy.name:
                escalation = None
        if causes & _BEGINS or (escalation is None and incident.shown_in):
            escalation = begin(policy, self._at)
            if before is not None:
                escalation = replace(escalation, webhooks=before.webhooks)
        if escalation is None:
            return None
        if taken and escalation.acknowledged_at is None:
            escalation = acknowledge(escalation, incident.acknowledged_by, incident.acknowledged_at or self._at)
        # One that was resolved and reopened at this very instant is nobody's.
        for by in self._also.get(incident.id, ()) if taken else ():
            escalation = acknowledge(escalation, by, self._at)
        return escalation

    def _stepped(
        self, escalation: Escalation, incident: Incident, policy: Policy, causes: set[Cause | None]
    ) -> tuple[Escalation, list[Decision]]:
        """Take what is due; nothing is while the incident is muted."""
        decisions: list[Decision] = []
        # The incidents' step has seen to the end of an acknowledgement.
        policy = replace(policy, acknowledge_timeout=None)
        for _ in range(len(policy.steps) + 1 if incident.visible else 0):
            done = step(escalation, policy, self._team, severity=incident.severity, at=self._at)
            escalation = done.escalation
            decisions += done.decisions
            if escalation.due_at is None or escalation.due_at > self._at:
                break
        if causes & _NEWS and all(decision.reason in NOTICES for decision in decisions):
            done = repeat_last(escalation, policy, self._team, self._at)
            escalation = done.escalation
            decisions += done.decisions
        return escalation, decisions

    def _write(self, incident: Incident, policy: Policy, decisions: Sequence[Decision], speaks: Change | None) -> int:
        """Put decisions on the timeline; the number of the new message that calls."""
        cause = None
        if speaks is None:
            pages = any(decision.reason not in NOTICES for decision in decisions)
            cause = Cause.ESCALATED if pages else Cause.REFRESHED
        for decision in decisions:
            kind = _KINDS.get(decision.reason, EventKind.PAGED)
            event = Event(at=self._at, kind=kind, text=in_words(decision, policy))
            told = cause if decision is decisions[-1] else None
            incident, change = written(incident, Happening(event=event, cause=told))
            self._changes.append(change)
        self._incidents[incident.id] = incident
        return incident.tellings if speaks is None else speaks.number
