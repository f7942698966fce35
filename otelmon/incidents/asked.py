"""What people ask of incidents and silences, written into the books of one step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from otelmon.incidents.books import Books
from otelmon.incidents.ids import typed_id
from otelmon.incidents.model import (
    Acknowledge,
    Cause,
    Event,
    EventKind,
    Incident,
    IncidentState,
    Refusal,
    RefusalReason,
    RequestBody,
    Resolve,
)
from otelmon.incidents.settle import Happening, after
from otelmon.incidents.silence import AddSilence, ExpireSilence

_Act = Callable[[Books, Incident, str], None]


def ask(books: Books, request: RequestBody) -> None:
    """Do what a person asks for, or note why it does not apply."""
    match request:
        case AddSilence(silence=silence):
            if silence.id not in books.silences:
                books.keep(silence)
        case ExpireSilence(silence_id=id_, by=by):
            silence_ = books.silences.get(typed_id(id_))
            if silence_ is None:
                books.refused.append(Refusal(request=request, reason=RefusalReason.UNKNOWN_SILENCE))
            else:
                books.end_silence(silence_, by)
        case Acknowledge(incident_id=id_):
            _with_members(books, request, id_, _acknowledge)
        case Resolve(incident_id=id_):
            _with_members(books, request, id_, _resolve_by_hand)


def _with_members(books: Books, request: Acknowledge | Resolve, id_: str, act: _Act) -> None:
    incident = books.open.get(typed_id(id_))
    if incident is None:
        books.refused.append(Refusal(request=request, reason=RefusalReason.UNKNOWN))
    elif isinstance(request, Acknowledge) and incident.state is IncidentState.ACKNOWLEDGED:
        by = incident.acknowledged_by
        books.refused.append(Refusal(request=request, reason=RefusalReason.ALREADY_ACKNOWLEDGED, detail=by))
    else:
        act(books, incident, request.by)
        for member in [each for each in books.open.values() if incident.is_storm and each.storm == incident.id]:
            act(books, member, request.by)


def _acknowledge(books: Books, incident: Incident, by: str) -> None:
    if incident.state is IncidentState.ACKNOWLEDGED:
        return
    since = after((books.at - incident.triggered_at).total_seconds())
    told = frozenset(alert.labels for alert in incident.alerts)
    taken = replace(incident, state=IncidentState.ACKNOWLEDGED, acknowledged_at=books.at, acknowledged_by=by, told=told)
    event = Event(at=books.at, kind=EventKind.ACKNOWLEDGED, by=by, text=f"after {since}")
    books.write(taken, Happening(event=event, cause=Cause.ACKNOWLEDGED))


def _resolve_by_hand(books: Books, incident: Incident, by: str) -> None:
    if incident.is_storm:
        books.open[incident.id] = replace(incident, resolved_by=by)
        books.touch(incident.id, None)
        return
    since = after((books.at - incident.triggered_at).total_seconds())
    over = replace(incident, state=IncidentState.RESOLVED, resolved_at=books.at, resolved_by=by, muted={})
    event = Event(at=books.at, kind=EventKind.RESOLVED, by=by, text=f"by hand, after {since}")
    books.write(over, Happening(event=event, cause=Cause.RESOLVED))
