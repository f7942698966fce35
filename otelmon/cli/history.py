"""An incident's record as text: for the terminal, and as Markdown for the post-mortem."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from otelmon.incidents.model import Incident
from otelmon.paging.model import PageAction
from otelmon.paging.values import format_span, format_value
from otelmon.paging.visible import one_line
from otelmon.storage.store import Delivery

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~@])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An incident, what was sent about it, and for a storm the incidents that it stands for."""

    incident: Incident
    deliveries: Sequence[Delivery]
    members: Sequence[Incident] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    at: datetime
    what: str
    by: str
    text: str


def as_lines(record: Record) -> Iterator[str]:
    """The record for a terminal; times are local."""
    incident = record.incident
    yield f"{incident.id}  {one_line(_title(incident))}  {incident.severity}, {_state(incident)}"
    for alert in incident.alerts:
        labels = ", ".join(f"{name}={value}" for name, value in alert.labels.items())
        muted = incident.muted.get(alert.labels)
        shown = f"  {alert.state}  {format_value(alert.value, alert.unit)}  {one_line(labels)}"
        yield shown + (f"  muted: {one_line(muted)}" if muted else "")
    for member in record.members:
        yield f"  stands for {member.id}  {one_line(member.lead.name)}  {member.severity}, {member.state}"
    yield ""
    for line in _lines(record):
        who = f" by {one_line(line.by)}" if line.by else ""
        yield f"{line.at.astimezone():%Y-%m-%d %H:%M:%S}  {line.what}{who}  {one_line(line.text)}".rstrip()


def as_markdown(record: Record) -> str:
    """The record as Markdown, times in UTC. What came from labels and people is escaped."""
    incident = record.incident
    rows = [
        ("State", _state(incident)),
        ("Severity", str(incident.severity)),
        ("Triggered", _utc(incident.triggered_at)),
        ("Resolved", "" if incident.resolved_at is None else _utc(incident.resolved_at)),
        ("Lasted", "" if incident.lasted_seconds is None else format_span(incident.lasted_seconds)),
        ("Acknowledged by", incident.acknowledged_by),
        ("Part of the storm", incident.storm),
    ]
    parts = [f"# Incident {incident.id}: {_escaped(_title(incident))}", ""]
    parts += [f"- {name}: {_escaped(value)}" for name, value in rows if value]
    parts += ["", "## Alerts", "", "| state | value | labels | muted |", "|---|---|---|---|"]
    for alert in incident.alerts:
        labels = ", ".join(f"{name}={value}" for name, value in alert.labels.items())
        muted = incident.muted.get(alert.labels, "")
        value = format_value(alert.value, alert.unit)
        parts.append(f"| {alert.state} | {value} | {_escaped(labels)} | {_escaped(muted)} |")
    if record.members:
        parts += ["", "## Incidents it stands for", ""]
        parts += [f"- {each.id}: {_escaped(each.lead.name)}, {each.severity}, {each.state}" for each in record.members]
    parts += ["", "## Timeline (UTC)", "", "| when | what | who | details |", "|---|---|---|---|"]
    parts += [
        f"| {_utc(line.at)} | {line.what} | {_escaped(line.by)} | {_escaped(line.text)} |" for line in _lines(record)
    ]
    return "\n".join(parts) + "\n"


def _lines(record: Record) -> list[_Line]:
    lines = [
        _Line(at=event.at, what=str(event.kind), by=event.by, text=event.text) for event in record.incident.timeline
    ]
    for sent in record.deliveries:
        what = f"{'message' if sent.action is PageAction.POST else 'edit'} {sent.state}"
        tries = f" after {sent.attempts} attempts" if sent.attempts > 1 else ""
        outcome = f": {sent.outcome}" if sent.outcome else ""
        lines.append(_Line(at=sent.at, what=what, by="", text=f"to {sent.target}{tries}, {sent.reason}{outcome}"))
    return sorted(lines, key=lambda line: line.at)


def _title(incident: Incident) -> str:
    about = incident.lead.annotations.get("title", "") if incident.is_storm else incident.lead.name
    return f"{about} on {incident.service}" if incident.service else about


def _state(incident: Incident) -> str:
    muted = bool(incident.firing) and not incident.visible
    who = incident.resolved_by or ""
    return str(incident.state) + (" by hand" if who else "") + (", muted" if muted else "")


def _utc(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", one_line(text))
