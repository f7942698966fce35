"""Call: whom a message about an escalated incident calls, and what it says of the escalation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from otelmon.oncall.escalation import Decision, Escalation, EscalationReason, Upcoming, upcoming
from otelmon.oncall.model import Mention, MentionKind
from otelmon.oncall.people import Team
from otelmon.oncall.policy import Policy
from otelmon.rules.model import Severity

NOTICES = frozenset({EscalationReason.HELD, EscalationReason.REACHES_NOBODY, EscalationReason.ACKNOWLEDGE_TIMEOUT})
"""The reasons of decisions that page nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What an escalation does with the messages that an incident owes at one instant.

    The new message with the number ``number`` (see ``Telling``; 0 for none) calls: it pings ``mentions`` and goes to
    the notifiers named by ``webhooks`` as well; ``reached_nobody`` asks it to ping whomever the severity mentions, as
    no person and no role is left. ``decision`` is why, ``unanswered`` how long nobody has acknowledged, ``notices``
    what has to be said loudly. Every message shows who was ``paged`` and what is ``coming`` if nobody acknowledges.
    ``involved`` names the webhooks that were ever paged: they are told of the end.
    """

    number: int = 0
    decision: Decision | None = None
    mentions: tuple[Mention, ...] = ()
    webhooks: tuple[str, ...] = ()
    reached_nobody: bool = False
    unanswered: timedelta = timedelta(0)
    notices: tuple[str, ...] = ()
    paged: tuple[str, ...] = ()
    coming: Upcoming | None = None
    involved: tuple[str, ...] = ()


def make_call(
    escalation: Escalation,
    policy: Policy,
    team: Team,
    decisions: Sequence[Decision],
    *,
    severity: Severity,
    number: int,
) -> Call:
    """The call of what was decided at one instant; ``number`` is that of the new message that carries it."""
    paging = [decision for decision in decisions if decision.reason not in NOTICES]
    return Call(
        number=number if paging else 0,
        decision=paging[-1] if paging else None,
        mentions=tuple(dict.fromkeys(mention for decision in paging for mention in _mentions(decision, team))),
        webhooks=tuple(dict.fromkeys(name for decision in paging for name in decision.webhooks)),
        reached_nobody=bool(paging) and not any(each.people or each.roles or each.webhooks for each in paging),
        unanswered=_unanswered(escalation, paging),
        notices=tuple(text for decision in decisions if (text := _notice(decision))),
        paged=escalation.paged,
        coming=upcoming(escalation, policy, team, severity=severity),
        involved=escalation.webhooks,
    )


def in_words(decision: Decision, policy: Policy) -> str:
    """A decision on a timeline."""
    whom = ", ".join(decision.names) or "nobody"
    by = f"step {decision.step + 1} of {policy.name}" if decision.step >= 0 else f"the fallback of {policy.name}"
    again = f", round {decision.round + 1}" if decision.round and decision.step >= 0 else ""
    match decision.reason:
        case EscalationReason.HELD | EscalationReason.REACHES_NOBODY | EscalationReason.ACKNOWLEDGE_TIMEOUT:
            return f"{by}: {decision.text}"
        case EscalationReason.STEP | EscalationReason.REPEAT:
            return f"{whom} by {by}{again}" + (f"; {decision.text}" if decision.text else "")
        case EscalationReason.REMINDER:
            return f"{whom}: {decision.reason}"
    return f"{whom} by {by}: {decision.reason}"


def _mentions(decision: Decision, team: Team) -> tuple[Mention, ...]:
    ids = [team.people[name].discord for name in decision.people if name in team.people]
    people = (Mention(kind=MentionKind.USER, id=id_) for id_ in ids)
    return (*people, *(Mention(kind=MentionKind.ROLE, id=role) for role in decision.roles))


def _unanswered(escalation: Escalation, paging: Sequence[Decision]) -> timedelta:
    if not paging or escalation.began_at is None:
        return timedelta(0)
    return paging[-1].at - escalation.began_at


def _notice(decision: Decision) -> str:
    match decision.reason:
        case EscalationReason.REACHES_NOBODY:
            return f"Step {decision.step + 1} reaches nobody: {decision.text}"
        case EscalationReason.STEP | EscalationReason.REPEAT if decision.text:
            return f"Step {decision.step + 1}: {decision.text}"
        case EscalationReason.FALLBACK | EscalationReason.FALLBACK_NOBODY if not decision.roles:
            return decision.text
    return ""
