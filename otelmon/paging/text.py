"""What a page says: an incident as a Message, for any target."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from otelmon.alerts.model import Alert, TransitionReason
from otelmon.incidents.model import Incident
from otelmon.labels import METRIC_NAME, Labels
from otelmon.oncall.model import Mention
from otelmon.paging.model import Field, Message
from otelmon.paging.values import format_span, format_value, format_value_and_bound
from otelmon.rules.model import Unit
from otelmon.rules.runbooks import runbook_link

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


def _no_steps(rule_name: str) -> tuple[str, ...]:  # noqa: ARG001 (the signature is the caller's)
    return ()


def _command(incident_id: str) -> str:
    return f"otelmon ack {incident_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What pages say about where they come from.

    ``runbooks`` is the address under which a rule's name leads to its runbook (empty: none is linked);
    ``first_steps`` gives the first steps of a rule's runbook, shown where no runbook is linked; ``acknowledge`` says,
    for an incident's id, how it is acknowledged.
    """

    service: str
    environment: str = ""
    instance: str = ""
    runbooks: str = ""
    first_steps: Callable[[str], tuple[str, ...]] = _no_steps
    acknowledge: Callable[[str], str] = _command


def triggered_message(incident: Incident, *, about: Context, mentions: tuple[Mention, ...]) -> Message:
    """The page that an incident opens with; the same once it is acknowledged or resolved, as its edit shows it."""
    alert = incident.alerts[0]
    is_open = incident.resolved_at is None
    link = runbook_link(alert.name, alert.annotations, about.runbooks) or ""
    return Message(
        severity=incident.severity,
        resolved=not is_open,
        acknowledged_by=incident.acknowledged_by,
        title=f"{_headline(alert)} {_place(alert, about)}",
        description=_description(alert, () if link else about.first_steps(alert.name)),
        mentions=mentions,
        fields=_fields(incident, alert, about),
        link=link,
        since_at=incident.triggered_at,
        footer=f"otelmon, incident {incident.id}",
    )


def resolved_message(incident: Incident, *, about: Context) -> Message:
    """The one line that says an incident is over: how long it lasted and who acknowledged."""
    alert = incident.alerts[0]
    title = f"{_name(alert)} {_place(alert, about)} after {format_span(incident.lasted_seconds or 0.0)}"
    if incident.acknowledged_by:
        title += f", acknowledged by {incident.acknowledged_by}"
    if alert.ended in _SAID_WHEN_RESOLVED:
        title += f": {alert.ended.value}"
    return Message(
        severity=incident.severity,
        resolved=True,
        acknowledged_by=incident.acknowledged_by,
        title=title,
        since_at=incident.triggered_at,
        footer=f"otelmon, incident {incident.id}",
        short=True,
    )


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
    own = [value for name, value in alert.series.items() if name not in _SAID_ELSEWHERE]
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


def _fields(incident: Incident, alert: Alert, about: Context) -> tuple[Field, ...]:
    fields = [
        Field(name="Service", value=_service(alert.labels, about)),
        Field(name="Environment", value=about.environment),
        Field(name="Instance", value=alert.labels.get("instance") or about.instance),
    ]
    if incident.resolved_at is not None:
        fields.append(Field(name="Lasted", value=format_span(incident.lasted_seconds or 0.0)))
    if incident.acknowledged_by:
        fields.append(Field(name="Acknowledged by", value=incident.acknowledged_by))
    elif incident.resolved_at is None:
        fields.append(Field(name="Acknowledge", value=about.acknowledge(incident.id), inline=False))
    fields += [Field(name=name, value=value) for name, value in alert.context.items()]
    fields += [Field(name=name, value=value) for name, value in alert.labels.items() if name not in _SAID_ELSEWHERE]
    return tuple(field for field in fields if field.value)
