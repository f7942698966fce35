"""What a page says of an escalation: by which step it is sent, who was paged, and what comes next."""

from __future__ import annotations

from datetime import datetime, timedelta

from otelmon.incidents.model import Incident, IncidentState
from otelmon.oncall.call import Call
from otelmon.oncall.escalation import EscalationReason, Upcoming
from otelmon.paging.model import Field
from otelmon.paging.values import format_span

_WARNING = "\N{WARNING SIGN}"


def call_opening(call: Call | None) -> str:
    """How the title of a page begins that a step of an escalation owes."""
    if call is None or call.decision is None:
        return ""
    step = f"step {call.decision.step + 1}"
    why = f"nobody acknowledged for {format_span(call.unanswered.total_seconds())}"
    match call.decision.reason:
        case EscalationReason.REPEAT:
            return f"Back to {step}, {why}: "
        case EscalationReason.REMINDER:
            return f"Reminder, {why}: "
        case EscalationReason.FALLBACK:
            return f"All steps are over, {why}: "
        case EscalationReason.FALLBACK_NOBODY:
            return "Nobody on call can be reached: "
    if call.decision.step == 0:  # it had to wait, for a time or for the end of quiet hours
        return f"{why[0].upper()}{why[1:]}: "
    return f"Escalated to {step}, {why}: "


def call_notices(call: Call | None) -> str:
    """What has to be said loudly: whom a step did not reach."""
    return "" if call is None else "\n".join(f"{_WARNING} {notice}" for notice in call.notices)


def call_fields(
    call: Call | None, incident: Incident, at: datetime, *, repeat_every: timedelta | None = None
) -> tuple[Field, ...]:
    """Who was paged, and while nobody has acknowledged what comes next.

    ``repeat_every`` is when people are told again of an incident without an escalation; None: never.
    """
    if call is None:
        if incident.state is not IncidentState.TRIGGERED or incident.paged_at is None or repeat_every is None:
            return ()
        wait = (incident.paged_at + repeat_every - at).total_seconds()
        again = f"this page again in {format_span(wait)}, unless somebody acknowledges"
        return (Field(name="Next", value=again, inline=False),) if wait > 0 else ()
    fields = [Field(name="Paged", value=", ".join(call.paged), inline=False)]
    if incident.state is IncidentState.TRIGGERED and call.coming is not None:
        fields.append(Field(name="Next", value=_coming(call.coming, at), inline=False))
    return tuple(fields)


def _coming(coming: Upcoming, at: datetime) -> str:
    whom = ", ".join(coming.reached.names) or "nobody who can be reached"
    if coming.held:
        return f"{whom} when the quiet hours are over, at {coming.at:%Y-%m-%d %H:%M} UTC"
    wait = 0.0 if at is None else (coming.at - at).total_seconds()
    return f"{whom} in {format_span(wait)}, at {coming.at:%H:%M} UTC, unless somebody acknowledges"
