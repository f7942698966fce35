"""What a page says: an incident as a Message, for any target."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from otelmon.alerts.model import Alert, AlertState, TransitionReason
from otelmon.duration import format_duration
from otelmon.incidents.model import Cause, Incident, IncidentState
from otelmon.incidents.silence import SilenceNotice
from otelmon.labels import METRIC_NAME, Labels
from otelmon.oncall.call import Call
from otelmon.oncall.model import Mention
from otelmon.paging.escalated import call_fields, call_notices, call_opening
from otelmon.paging.model import Field, Message, PagedAlert
from otelmon.paging.values import format_span, format_value, format_value_and_bound
from otelmon.rules.model import Severity, Unit
from otelmon.rules.runbooks import not_served, own_runbooks, runbook_link
from otelmon.tenants import NOBODY, TENANT, Tenants

# How a rule calls its measure in a title: "Response time p95".
TITLE_ANNOTATION = "title"
FIRST_STEPS = 3
# Said elsewhere in the page.
_SAID_ELSEWHERE = frozenset({METRIC_NAME, "alertname", "severity", "job", "instance"})
_MOST_IN_TITLE = 3
# Where an alert is over without having been measured to be: whoever reads "resolved" must not take it for mended.
_SAID_WHEN_RESOLVED = (
    TransitionReason.NO_TRAFFIC,
    TransitionReason.NO_DATA,
    TransitionReason.SERIES_GONE,
    TransitionReason.RULE_REMOVED,
)
_MOST_LISTED = 10
_MOST_ALERTS = 500
# An alert comes after the errors that it is about: by the window of its rule, mostly 5 min, and what it waits for.
_ERRORS_BEFORE = timedelta(minutes=15)
INCIDENT_ANNOTATION = "otelmon_incident"
"""What tells a program's reader which incident to acknowledge."""


def _no_steps(rule_name: str) -> tuple[str, ...]:  # noqa: ARG001 (the signature is the caller's)
    return ()


AcknowledgeLink = Callable[[Incident, datetime], str]


def no_link(incident: Incident, at: datetime) -> str:  # noqa: ARG001 (the signature is the caller's)
    """No incident has a page of its own."""
    return ""


def _command(incident_id: str) -> str:
    return f"otelmon ack {incident_id}"


def no_error(since: datetime) -> str:  # noqa: ARG001 (the signature is the caller's)
    """No error is tracked anywhere."""
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What pages say about where they come from.

    ``runbooks`` is the address under which a rule's name leads to its runbook (empty: none is linked);
    ``served_runbook`` gives the address where the app itself shows the runbook of a name, "" where there is none;
    ``first_steps`` gives the first steps of a rule's runbook, shown where no runbook is linked; ``acknowledge`` says,
    for an incident's id, how it is acknowledged; ``acknowledge_link`` gives the address of the page where an incident
    is acknowledged, in a message of this instant (empty: there is no such page). ``repeat_every`` says, by severity,
    when people are told again of an incident that nobody acknowledges; ``newest_error`` gives the address of the
    application's newest error since an instant, where errors are tracked (empty: there is none). Of several ``tenants``
    a page says whose it is.
    """

    service: str
    environment: str = ""
    instance: str = ""
    runbooks: str = ""
    served_runbook: Callable[[str], str] = not_served
    first_steps: Callable[[str], tuple[str, ...]] = _no_steps
    acknowledge: Callable[[str], str] = _command
    acknowledge_link: AcknowledgeLink = no_link
    repeat_every: Mapping[Severity, timedelta | None] = field(default_factory=dict)
    newest_error: Callable[[datetime], str] = no_error
    tenants: Tenants = NOBODY

    def is_said(self, label: str) -> bool:
        """Whether a page says the value of a label elsewhere, or has no need to: whose it is, where any."""
        return label in _SAID_ELSEWHERE or (label == TENANT and bool(self.tenants))


# How a new message begins that is not an incident's first.
_OPENINGS = {
    Cause.REOPENED: "Again: ",
    Cause.UNMUTED: "No longer muted: ",
    Cause.JOINED: "New critical alert: ",
    Cause.WORSENED: "Critical now: ",
    Cause.EXPIRED: "Acknowledged, but it goes on: ",
    Cause.REMINDER: "Nobody has acknowledged: ",
}


def shown_opening(cause: Cause, incident: Incident) -> str:
    """How the title of a message begins that was sent for ``cause`` and is edited, while nobody has acknowledged."""
    if incident.state is not IncidentState.TRIGGERED:
        return ""
    return "Escalated: " if cause is Cause.ESCALATED else _OPENINGS.get(cause, "")


def triggered_message(
    incident: Incident,
    *,
    about: Context,
    mentions: tuple[Mention, ...],
    at: datetime,
    cause: Cause = Cause.TRIGGERED,
    lead: Alert | None = None,
    call: Call | None = None,
) -> Message:
    """The page that shows an incident; the same once it is acknowledged or resolved, as its edit shows it.

    ``at`` is the instant of the message. ``cause`` is why it is sent, which its title says; ``lead`` the alert that it
    is about, the incident's own if None. ``call`` is what its escalation says, None for an incident without one.
    """
    alert = lead or incident.lead
    is_open = incident.resolved_at is None
    link = runbook_link(alert.name, alert.annotations, about.runbooks, about.served_runbook) or ""
    acknowledged = incident.state is not IncidentState.TRIGGERED
    opening = call_opening(call) if cause is Cause.ESCALATED else _OPENINGS.get(cause, "")
    description = _description(alert, () if link else steps_of(alert, about))
    notices = call_notices(call) if is_open else ""
    return Message(
        severity=alert.severity,
        resolved=not is_open,
        acknowledged_by=incident.acknowledged_by if acknowledged else "",
        title=f"{opening}{_headline(alert)} {_place(alert, about)}",
        description="\n\n".join(text for text in (notices, description) if text),
        mentions=mentions,
        fields=_fields(
            incident,
            alert,
            about,
            call_fields(call, incident, at, repeat_every=about.repeat_every.get(incident.severity)),
        ),
        link=link,
        acknowledge="" if acknowledged else about.acknowledge_link(incident, at),
        since_at=incident.triggered_at,
        footer=f"otelmon, incident {incident.id}",
    )


def resolved_message(incident: Incident, *, about: Context) -> Message:
    """The one line that says an incident is over: how long it lasted and who acknowledged."""
    alert = incident.lead
    title = f"{_name(alert)} {_place(alert, about)} after {format_span(incident.lasted_seconds or 0.0)}"
    if incident.acknowledged_by:
        title += f", acknowledged by {incident.acknowledged_by}"
    if alert.ended in _SAID_WHEN_RESOLVED:
        title += f": {alert.ended.value}"
    if incident.resolved_by:
        title += f", resolved by {incident.resolved_by}"
    return Message(
        severity=incident.severity,
        resolved=True,
        acknowledged_by=incident.acknowledged_by,
        title=title,
        since_at=incident.triggered_at,
        footer=f"otelmon, incident {incident.id}",
        short=True,
    )


def with_alerts(message: Message, incident: Incident) -> Message:
    """The message with the incident's alerts for programs: those that fire unmuted, then those that are over."""
    over = tuple(alert for alert in incident.alerts if alert.state is not AlertState.FIRING)
    # Resolved by hand, all are over, whatever they do.
    wanted = incident.alerts if incident.resolved_at is not None else (*incident.visible, *over)
    listed = tuple(
        PagedAlert(
            labels=alert.labels.without((METRIC_NAME,)),
            annotations={**alert.annotations, INCIDENT_ANNOTATION: incident.id},
            starts_at=alert.fired_at or alert.active_at,
            ends_at=_ended_at(alert, incident),
        )
        for alert in wanted[:_MOST_ALERTS]
    )
    group = incident.group or Labels({"incident": incident.id})  # a storm has none
    return replace(message, group=group, alerts=listed, left_out=max(0, len(wanted) - _MOST_ALERTS))


def _ended_at(alert: Alert, incident: Incident) -> datetime | None:
    if alert.state is AlertState.FIRING:
        return incident.resolved_at
    return alert.resolved_at or incident.resolved_at


def notice_message(notice: SilenceNotice, *, about: Context) -> Message:
    """The message that says of a silence that it ends soon, and what will page then."""
    silence, alerts = notice.silence, notice.hidden
    worst = max(alerts, key=lambda alert: alert.severity.rank)
    left = (silence.ends_at - silence.noticed_at).total_seconds() if silence.ends_at and silence.noticed_at else 0.0
    names = "\n".join(_in_list(alert, about) for alert in alerts[:_MOST_LISTED])
    more = f"\nand {len(alerts) - _MOST_LISTED} more" if len(alerts) > _MOST_LISTED else ""
    return Message(
        severity=worst.severity,
        title=f"A silence ends in {format_span(left)} and hides what still fires",
        description=f"These page then:\n{names}{more}",
        fields=(
            Field(name="Silence", value=silence.shown, inline=False),
            Field(name="Author", value=silence.author),
            Field(name="Comment", value=silence.comment or "none"),
            Field(name="Longer", value=_longer(silence.shown), inline=False),
        ),
        since_at=silence.starts_at,
        footer=f"otelmon, silence {silence.id}",
    )


def _longer(matchers: str) -> str:
    return f"otelmon silence add '{{{matchers}}}' --for {format_duration(3600)}"


def _name(alert: Alert) -> str:
    return alert.annotations.get(TITLE_ANNOTATION, "").strip() or _spoken(alert.name)


def _spoken(name: str) -> str:
    """``error_rate`` and ``ErrorRate`` as a person says it: "Error rate"; abbreviations (``CPUUsage``) stay whole."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name.replace("_", " ")).split()
    if not words:
        return name
    lowered = [word if word.isupper() and len(word) > 1 else word.lower() for word in words]
    lowered[0] = lowered[0][:1].upper() + lowered[0][1:]
    return " ".join("CPU" if word.lower() == "cpu" else word for word in lowered)


def _headline(alert: Alert) -> str:
    """Such as "Error rate 12.4 % (limit 5 %)"; only the name where nothing says what the value is compared with."""
    name = _name(alert)
    if alert.unit is Unit.STATE:
        return name
    if alert.bound is None:
        return name if alert.unit is Unit.NONE else f"{name} {format_value(alert.value, alert.unit)}"
    value, bound = format_value_and_bound(alert.value, alert.bound, alert.unit)
    if alert.operator in (">", ">="):
        return f"{name} {value} (limit {bound})"
    if alert.operator in ("<", "<="):
        return f"{name} {value} (at least {bound} expected)"
    return f"{name} {value}"


def _place(alert: Alert, about: Context) -> str:
    """Such as "for /checkout on shop, production": what tells the series from its siblings, then where it runs."""
    own = [value for name, value in alert.series.items() if not about.is_said(name)]
    which = f"for {', '.join(own)} " if 0 < len(own) <= _MOST_IN_TITLE else ""
    where = ", ".join(part for part in (_service(alert.labels, about), about.environment) if part)
    return f"{which}on {where}"


def _service(labels: Labels, about: Context) -> str:
    return labels.get("job") or about.service


def _description(alert: Alert, steps: tuple[str, ...]) -> str:
    said = [alert.annotations.get(name, "").strip() for name in ("summary", "description")]
    parts = [text for text in dict.fromkeys(said) if text]
    if steps:
        numbered = "\n".join(f"{number}. {text}" for number, text in enumerate(steps[:FIRST_STEPS], start=1))
        parts.append(f"First steps:\n{numbered}")
    return "\n\n".join(parts)


def steps_of(alert: Alert, about: Context) -> tuple[str, ...]:
    """The first steps of the runbook that the alert's rule names, else of the one of the alert's name."""
    return next(filter(None, map(about.first_steps, own_runbooks(alert.name, alert.annotations))), ())


def _in_list(alert: Alert, about: Context) -> str:
    return f"{_headline(alert)} {_place(alert, about)}"


def _fields(incident: Incident, alert: Alert, about: Context, escalated: tuple[Field, ...]) -> tuple[Field, ...]:
    fields = [
        Field(name=each.name, value=each.text, inline=False, link=each.link, chart=each.chart)
        for each in incident.evidence
    ]
    fields += [
        Field(name="Tenant", value=about.tenants.of(alert.labels) if about.tenants.several else ""),
        Field(name="Service", value=_service(alert.labels, about)),
        Field(name="Environment", value=about.environment),
        Field(name="Instance", value=alert.labels.get("instance") or about.instance),
    ]
    if incident.resolved_at is not None:
        fields.append(Field(name="Lasted", value=format_span(incident.lasted_seconds or 0.0)))
    others = [other for other in incident.visible if other.labels != alert.labels]
    if others:
        listed = [_in_list(other, about) for other in others[:_MOST_LISTED]]
        listed += [f"and {len(others) - _MOST_LISTED} more"] if len(others) > _MOST_LISTED else []
        fields.append(Field(name="Also firing", value="\n".join(listed), inline=False))
    fields += escalated
    if incident.acknowledged_by:
        fields.append(Field(name="Acknowledged by", value=incident.acknowledged_by))
    elif incident.resolved_at is None:
        fields.append(Field(name="Acknowledge", value=about.acknowledge(incident.id), inline=False))
    if error := about.newest_error(incident.triggered_at - _ERRORS_BEFORE):
        fields.append(Field(name="Newest error", value="Open in Sentry", link=error))
    fields += [Field(name=name, value=value) for name, value in alert.context.items()]
    fields += [Field(name=name, value=value) for name, value in alert.labels.items() if not about.is_said(name)]
    return tuple(field for field in fields if field.value)
