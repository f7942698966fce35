"""Values as JSON and back. What a newer or older minor version wrote and this one does not know is left out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from otelmon.alerts.by_hand import ByHand
from otelmon.alerts.model import Alert, AlertState, TransitionReason
from otelmon.incidents.chart import Chart, chart_from
from otelmon.incidents.model import (
    Acknowledge,
    Cause,
    Event,
    EventKind,
    Finding,
    Incident,
    IncidentState,
    RequestBody,
    Resolve,
    Telling,
)
from otelmon.incidents.noted import Noted, NotedKind
from otelmon.incidents.silence import AddSilence, ExpireSilence, Silence
from otelmon.labels import Labels
from otelmon.matching import Matcher, MatchOperator
from otelmon.oncall.model import Mention, MentionKind
from otelmon.paging.model import Field, Message, Page, PageAction, PagedAlert, PageReason
from otelmon.rules.model import Severity, Unit

Plain = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_json(plain: Any) -> str:
    """JSON in ASCII without white space; NaN and infinities as Python's json writes them."""
    return json.dumps(plain, separators=(",", ":"))


def micros(instant: datetime) -> int:
    """Whole microseconds since 1970."""
    return (instant - _EPOCH) // _MICROSECOND


def instant(microseconds: int) -> datetime:
    """The instant of so many microseconds since 1970, in UTC."""
    return _EPOCH + microseconds * _MICROSECOND


def digest(labels: Labels) -> str:
    """A fixed-length name of a label set."""
    return hashlib.blake2b(labels_text(labels).encode(), digest_size=16).hexdigest()


def labels_text(labels: Labels) -> str:
    """A label set as JSON, equal for equal sets."""
    return to_json(dict(labels.pairs))


def printable(text: str) -> str:
    """Text that every database takes: without NUL, lone surrogates replaced."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def encode_alert(alert: Alert) -> Plain:
    """An alert as JSON's types."""
    return {
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "severity": alert.severity.value,
        "state": alert.state.value,
        "active_at": micros(alert.active_at),
        "fired_at": _optional(alert.fired_at),
        "resolved_at": _optional(alert.resolved_at),
        "last_held_at": _optional(alert.last_held_at),
        "stopped_at": _optional(alert.stopped_at),
        "series": dict(alert.series),
        "value": alert.value,
        "bound": alert.bound,
        "operator": alert.operator,
        "unit": alert.unit.value,
        "restored": alert.restored,
        "manual": alert.manual,
        "ended": None if alert.ended is None else alert.ended.name,
        "context": dict(alert.context),
    }


def decode_alert(plain: Mapping[str, Any]) -> Alert:
    """The alert that was encoded."""
    return Alert(
        labels=Labels(plain["labels"]),
        annotations=plain["annotations"],
        severity=Severity(plain["severity"]),
        state=AlertState(plain["state"]),
        active_at=instant(plain["active_at"]),
        fired_at=_instant(plain.get("fired_at")),
        resolved_at=_instant(plain.get("resolved_at")),
        last_held_at=_instant(plain.get("last_held_at")),
        stopped_at=_instant(plain.get("stopped_at")),
        series=Labels(plain.get("series", {})),
        value=plain["value"],
        bound=plain.get("bound"),
        operator=plain.get("operator", ""),
        unit=Unit(plain.get("unit", "")),
        restored=plain.get("restored", False),
        manual=plain.get("manual", False),
        ended=TransitionReason.__members__.get(plain.get("ended") or ""),
        context=plain.get("context", {}),
    )


def encode_incident(incident: Incident) -> Plain:
    """An incident and its timeline as JSON's types, without its alerts."""
    return {
        "id": incident.id,
        "state": incident.state.value,
        "triggered_at": micros(incident.triggered_at),
        "acknowledged_at": _optional(incident.acknowledged_at),
        "acknowledged_by": incident.acknowledged_by,
        "resolved_at": _optional(incident.resolved_at),
        "timeline": [
            {"at": micros(event.at), "kind": event.kind.value, "by": event.by, "text": event.text}
            for event in incident.timeline
        ],
        "group": dict(incident.group),
        "told": [dict(labels) for labels in sorted(incident.told, key=lambda labels: labels.pairs)],
        "muted": [[dict(labels), reason] for labels, reason in incident.muted.items()],
        "tellings": incident.tellings,
        "shown_in": [[telling.cause.value, telling.number] for telling in incident.shown_in],
        "first_paged_at": _optional(incident.first_paged_at),
        "paged_at": _optional(incident.paged_at),
        "silenced_at": _optional(incident.silenced_at),
        "resolved_by": incident.resolved_by,
        "storm": incident.storm,
        "members": incident.members,
        "joined_at": _optional(incident.joined_at),
        "rounds": incident.rounds,
        "targets": list(incident.targets),
        "evidence": [[each.name, each.text, each.link, *_encode_chart(each.chart)] for each in incident.evidence],
    }


def decode_incident(plain: Mapping[str, Any], alerts: Iterable[Alert]) -> Incident:
    """The incident that was encoded, with its alerts."""
    return Incident(
        id=plain["id"],
        state=IncidentState(plain["state"]),
        alerts=tuple(alerts),
        triggered_at=instant(plain["triggered_at"]),
        acknowledged_at=_instant(plain.get("acknowledged_at")),
        acknowledged_by=plain.get("acknowledged_by", ""),
        resolved_at=_instant(plain.get("resolved_at")),
        timeline=tuple(
            Event(
                at=instant(event["at"]),
                kind=EventKind(event["kind"]),
                by=event.get("by", ""),
                text=event.get("text", ""),
            )
            for event in plain.get("timeline", ())
        ),
        group=Labels(plain["group"]),
        told=frozenset(map(Labels, plain.get("told", ()))),
        muted={Labels(labels): reason for labels, reason in plain.get("muted", ())},
        tellings=plain.get("tellings", 0),
        shown_in=tuple(Telling(cause=Cause(cause), number=number) for cause, number in plain.get("shown_in", ())),
        first_paged_at=_instant(plain.get("first_paged_at")),
        paged_at=_instant(plain.get("paged_at")),
        silenced_at=_instant(plain.get("silenced_at")),
        resolved_by=plain.get("resolved_by", ""),
        storm=plain.get("storm", ""),
        members=plain.get("members", 0),
        joined_at=_instant(plain.get("joined_at")),
        rounds=plain.get("rounds", 1),
        targets=tuple(plain.get("targets", ())),
        evidence=tuple(_finding(*each) for each in plain.get("evidence", ())),
    )


def encode_silence(silence: Silence) -> Plain:
    """A silence as JSON's types."""
    return {
        "id": silence.id,
        "matchers": [[matcher.name, matcher.operator.value, matcher.value] for matcher in silence.matchers],
        "starts_at": micros(silence.starts_at),
        "ends_at": _optional(silence.ends_at),
        "until_resolved": silence.until_resolved,
        "author": silence.author,
        "comment": silence.comment,
        "created_at": micros(silence.created_at),
        "ended_at": _optional(silence.ended_at),
        "ended_by": silence.ended_by,
        "noticed_at": _optional(silence.noticed_at),
    }


def decode_silence(plain: Mapping[str, Any]) -> Silence:
    """The silence that was encoded."""
    return Silence(
        id=plain["id"],
        matchers=tuple(
            Matcher(name=name, operator=MatchOperator(operator), value=value)
            for name, operator, value in plain["matchers"]
        ),
        starts_at=instant(plain["starts_at"]),
        ends_at=_instant(plain.get("ends_at")),
        until_resolved=plain.get("until_resolved", False),
        author=plain.get("author", ""),
        comment=plain.get("comment", ""),
        created_at=instant(plain["created_at"]),
        ended_at=_instant(plain.get("ended_at")),
        ended_by=plain.get("ended_by", ""),
        noticed_at=_instant(plain.get("noticed_at")),
    )


def encode_page(page: Page) -> Plain:
    """A page and its message as JSON's types."""
    message = page.message
    return {
        "id": page.id,
        "incident_id": page.incident_id,
        "reason": page.reason.name,
        "action": page.action.value,
        "target": page.target,
        "edits": page.edits,
        "follows": page.follows,
        "instead_of": page.instead_of,
        "due_at": micros(page.due_at),
        "message": {
            "severity": message.severity.value,
            "resolved": message.resolved,
            "acknowledged_by": message.acknowledged_by,
            "title": message.title,
            "description": message.description,
            "mentions": [[mention.kind.value, mention.id] for mention in message.mentions],
            "fields": [
                [field.name, field.value, field.inline, field.link, *_encode_chart(field.chart)]
                for field in message.fields
            ],
            "link": message.link,
            "acknowledge": message.acknowledge,
            "since_at": _optional(message.since_at),
            "footer": message.footer,
            "short": message.short,
            "note": message.note,
            "group": dict(message.group),
            "alerts": [_encode_paged_alert(alert) for alert in message.alerts],
            "left_out": message.left_out,
        },
    }


def decode_page(plain: Mapping[str, Any]) -> Page:
    """The page that was encoded."""
    return Page(
        id=plain["id"],
        incident_id=plain["incident_id"],
        reason=PageReason[plain["reason"]],
        action=PageAction(plain["action"]),
        target=plain["target"],
        message=_decode_message(plain["message"]),
        edits=plain.get("edits", ""),
        follows=plain.get("follows", ""),
        instead_of=plain.get("instead_of", ""),
        due_at=instant(plain["due_at"]),
    )


def _decode_message(plain: Mapping[str, Any]) -> Message:
    return Message(
        severity=Severity(plain["severity"]),
        resolved=plain.get("resolved", False),
        acknowledged_by=plain.get("acknowledged_by", ""),
        title=plain["title"],
        description=plain.get("description", ""),
        mentions=tuple(Mention(kind=MentionKind(kind), id=id_) for kind, id_ in plain.get("mentions", ())),
        fields=tuple(_field(*field) for field in plain.get("fields", ())),
        link=plain.get("link", ""),
        acknowledge=plain.get("acknowledge", ""),
        since_at=_instant(plain.get("since_at")),
        footer=plain.get("footer", ""),
        short=plain.get("short", False),
        note=plain.get("note", ""),
        group=Labels(plain.get("group", {})),
        alerts=tuple(_decode_paged_alert(alert) for alert in plain.get("alerts", ())),
        left_out=plain.get("left_out", 0),
    )


def _encode_paged_alert(alert: PagedAlert) -> Plain:
    return {
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "starts_at": micros(alert.starts_at),
        "ends_at": _optional(alert.ends_at),
    }


def _decode_paged_alert(plain: Mapping[str, Any]) -> PagedAlert:
    return PagedAlert(
        labels=Labels(plain["labels"]),
        annotations=plain["annotations"],
        starts_at=instant(plain["starts_at"]),
        ends_at=_instant(plain.get("ends_at")),
    )


def encode_request(body: RequestBody | ByHand) -> tuple[str, Plain]:
    """The kind of a request, and the request as JSON's types."""
    match body:
        case Acknowledge():
            return "acknowledge", {"incident_id": body.incident_id, "by": body.by}
        case Resolve():
            return "resolve", {"incident_id": body.incident_id, "by": body.by}
        case AddSilence():
            return "silence", encode_silence(body.silence)
        case ExpireSilence():
            return "expire", {"silence_id": body.silence_id, "by": body.by}
        case ByHand():
            return "by_hand", {"name": body.name, "value": body.value, "context": dict(body.context)}


def decode_request(kind: str, plain: Mapping[str, Any]) -> RequestBody | ByHand | None:
    """The request that was encoded; None where a newer version asked for what this one cannot do."""
    match kind:
        case "acknowledge":
            return Acknowledge(incident_id=plain["incident_id"], by=plain["by"])
        case "resolve":
            return Resolve(incident_id=plain["incident_id"], by=plain["by"])
        case "silence":
            return AddSilence(silence=decode_silence(plain))
        case "expire":
            return ExpireSilence(silence_id=plain["silence_id"], by=plain["by"])
        case "by_hand":
            return ByHand(name=plain["name"], value=plain["value"], context=plain["context"])
    return None


def _field(name: str, value: str, inline: bool, link: str = "", chart: Plain | None = None) -> Field:  # noqa: FBT001 (as it is written)
    return Field(name=name, value=value, inline=inline, link=link, chart=chart_from(chart))


def _finding(name: str, text: str, link: str, chart: Plain | None = None) -> Finding:
    return Finding(name=name, text=text, link=link, chart=chart_from(chart))


def _encode_chart(chart: Chart | None) -> list[Plain]:
    """At the end of a list, so that nothing is written where there is none."""
    return [] if chart is None else [chart.plain()]


def encode_noted(noted: Iterable[Noted]) -> str:
    """Changes as JSON."""
    return to_json([[micros(each.at), each.kind.value, each.text] for each in noted])


def decode_noted(text: str | None) -> tuple[Noted, ...]:
    """The changes that were encoded; none for what cannot be read, since nothing hangs on them."""
    try:
        rows = [] if text is None else json.loads(text)
        return tuple(Noted(at=instant(at), kind=NotedKind(kind), text=said) for at, kind, said in rows)
    except (ValueError, TypeError):
        return ()


def _optional(at: datetime | None) -> int | None:
    return None if at is None else micros(at)


def _instant(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else instant(microseconds)
