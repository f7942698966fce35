"""Incidents and silences in their tables. Functions over an open transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, case, delete, or_, select

from otelmon.alerts.model import Alert, AlertState
from otelmon.errors import StateError
from otelmon.incidents.model import Change, Incident, IncidentState
from otelmon.incidents.silence import Silence
from otelmon.labels import Labels
from otelmon.storage.codec import (
    decode_alert,
    decode_incident,
    decode_silence,
    digest,
    encode_alert,
    encode_incident,
    encode_silence,
    micros,
    printable,
    to_json,
)
from otelmon.storage.tables import ALERTS, INCIDENT_ALERTS, INCIDENTS, SILENCES

_BATCH = 500
_OPEN = INCIDENTS.c.state != IncidentState.RESOLVED.value


def write(connection: Connection, changes: Sequence[Change], whole: Iterable[Incident]) -> None:
    """Writes the incidents of the changes with the alerts that these name, and further incidents whole."""
    incidents = {incident.id: incident for incident in whole}
    alerts = {id_: {alert.labels: alert for alert in incident.alerts} for id_, incident in incidents.items()}
    for change in changes:
        incident = change.incident
        incidents[incident.id] = incident
        part = incident.alerts if change.alerts is None else change.alerts
        alerts.setdefault(incident.id, {}).update({alert.labels: alert for alert in part})
    _replace_rows(connection, [_row(incident) for incident in incidents.values()])
    links = [link for id_, named in alerts.items() for link in _links(incidents[id_], named)]
    _write_alerts(connection, links)


def opened(connection: Connection) -> dict[str, Incident]:
    """The open incidents."""
    wanted = select(INCIDENTS.c.id, INCIDENTS.c.body).where(_OPEN).order_by(INCIDENTS.c.triggered_at, INCIDENTS.c.id)
    return {incident.id: incident for incident in _read(connection, wanted, INCIDENTS.c.id.in_(_ids(_OPEN)))}


def resolved_since(connection: Connection, since: int) -> dict[str, Incident]:
    """The incidents that were resolved at ``since`` or later."""
    lately = INCIDENTS.c.resolved_at >= since
    wanted = select(INCIDENTS.c.id, INCIDENTS.c.body).where(lately, ~_OPEN).order_by(INCIDENTS.c.resolved_at)
    return {incident.id: incident for incident in _read(connection, wanted, INCIDENTS.c.id.in_(_ids(lately & ~_OPEN)))}


def latest(connection: Connection, limit: int) -> tuple[Incident, ...]:
    """The latest incidents, open ones first."""
    over = case((~_OPEN, 1), else_=0)
    order = (over, INCIDENTS.c.triggered_at.desc(), INCIDENTS.c.id)
    return tuple(_read(connection, select(INCIDENTS.c.id, INCIDENTS.c.body).order_by(*order).limit(limit)))


def one(connection: Connection, incident_id: str) -> Incident | None:
    """An incident by its id."""
    wanted = select(INCIDENTS.c.id, INCIDENTS.c.body).where(INCIDENTS.c.id == printable(incident_id))
    return next(iter(_read(connection, wanted)), None)


def members(connection: Connection, storm_id: str, limit: int) -> tuple[Incident, ...]:
    """The incidents that a storm stands for."""
    wanted = select(INCIDENTS.c.id, INCIDENTS.c.body).where(INCIDENTS.c.storm == printable(storm_id))
    return tuple(_read(connection, wanted.order_by(INCIDENTS.c.triggered_at, INCIDENTS.c.id).limit(limit)))


def prune(connection: Connection, before: int, unless: Select[Any]) -> None:
    """Deletes incidents resolved and silences ended before, but not the incidents whose ids ``unless`` selects."""
    connection.execute(delete(INCIDENTS).where(INCIDENTS.c.resolved_at < before, ~_OPEN, INCIDENTS.c.id.not_in(unless)))
    connection.execute(delete(INCIDENT_ALERTS).where(INCIDENT_ALERTS.c.incident_id.not_in(select(INCIDENTS.c.id))))
    connection.execute(delete(SILENCES).where(SILENCES.c.ended_at < before))


def write_silences(connection: Connection, silences: Sequence[Silence]) -> None:
    """Writes silences, new ones and those whose record changed."""
    rows = {
        silence.id: {
            "id": silence.id,
            "created_at": micros(silence.created_at),
            "ended_at": None if silence.ended_at is None else micros(silence.ended_at),
            "body": to_json(encode_silence(silence)),
        }
        for silence in silences
    }
    if rows:
        connection.execute(delete(SILENCES).where(SILENCES.c.id.in_(list(rows))))
        connection.execute(SILENCES.insert(), list(rows.values()))


def active_silences(connection: Connection) -> dict[str, Silence]:
    """The silences that are not over."""
    wanted = select(SILENCES.c.body).where(SILENCES.c.ended_at.is_(None)).order_by(SILENCES.c.created_at, SILENCES.c.id)
    found = (decoded_silence(body) for body in connection.scalars(wanted))
    return {silence.id: silence for silence in found}


def latest_silences(connection: Connection, limit: int) -> tuple[Silence, ...]:
    """The latest silences, those that are not over first."""
    over = case((SILENCES.c.ended_at.is_(None), 0), else_=1)
    wanted = select(SILENCES.c.body).order_by(over, SILENCES.c.created_at.desc(), SILENCES.c.id).limit(limit)
    return tuple(decoded_silence(body) for body in connection.scalars(wanted))


def decoded_silence(body: str) -> Silence:
    """A saved silence; StateError where it is none that this version knows."""
    try:
        return decode_silence(json.loads(body))
    except (ValueError, KeyError, TypeError) as error:
        raise StateError(f"a saved silence cannot be read ({error!r})") from error


def _ids(condition: Any) -> Select[Any]:
    return select(INCIDENTS.c.id).where(condition)


def _read(connection: Connection, wanted: Select[Any], which: Any = None) -> list[Incident]:
    rows = connection.execute(wanted).all()
    if not rows:
        return []
    if which is None:
        which = or_(*(INCIDENTS.c.id.in_(batch) for batch in _batches([row.id for row in rows])))
    links = (
        select(INCIDENT_ALERTS, ALERTS.c.body.label("live"))
        .select_from(
            INCIDENT_ALERTS.join(INCIDENTS, INCIDENTS.c.id == INCIDENT_ALERTS.c.incident_id).outerjoin(
                ALERTS,
                (ALERTS.c.rule == INCIDENT_ALERTS.c.rule)
                & (ALERTS.c.labels_digest == INCIDENT_ALERTS.c.labels_digest)
                & (INCIDENT_ALERTS.c.state == AlertState.FIRING.value),
            )
        )
        .where(which)
        .order_by(INCIDENT_ALERTS.c.incident_id, INCIDENT_ALERTS.c.number)
    )
    alerts: dict[str, list[Alert]] = {}
    try:
        for link in connection.execute(links):
            alerts.setdefault(link.incident_id, []).append(_alert(link))
        return [decode_incident(json.loads(row.body), alerts.get(row.id, ())) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise StateError(f"a saved value cannot be read ({error!r})") from error


def _alert(link: Any) -> Alert:
    """The alert as it stands, if it fires still; else as it was when its part in the incident changed."""
    if link.live is not None:
        live = decode_alert(json.loads(link.live))
        if live.state is AlertState.FIRING:
            return live
    return decode_alert(json.loads(link.body))


def _batches(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH))


def _row(incident: Incident) -> dict[str, Any]:
    return {
        "id": incident.id,
        "state": incident.state.value,
        "triggered_at": micros(incident.triggered_at),
        "acknowledged_at": None if incident.acknowledged_at is None else micros(incident.acknowledged_at),
        "resolved_at": None if incident.resolved_at is None else micros(incident.resolved_at),
        "storm": incident.storm,
        "body": to_json(encode_incident(incident)),
    }


def _replace_rows(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    for batch in _batches([row["id"] for row in rows]):
        connection.execute(delete(INCIDENTS).where(INCIDENTS.c.id.in_(batch)))
    if rows:
        connection.execute(INCIDENTS.insert(), rows)


def _write_alerts(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    same = (INCIDENT_ALERTS.c.incident_id == bindparam("of")) & (INCIDENT_ALERTS.c.labels_digest == bindparam("which"))
    keys = [{"of": row["incident_id"], "which": row["labels_digest"]} for row in rows]
    connection.execute(delete(INCIDENT_ALERTS).where(same), keys)
    connection.execute(INCIDENT_ALERTS.insert(), rows)


def _links(incident: Incident, alerts: Mapping[Labels, Alert]) -> Iterable[dict[str, Any]]:
    for number, alert in enumerate(incident.alerts):
        written = alerts.get(alert.labels)
        if written is not None:
            yield {
                "incident_id": incident.id,
                "labels_digest": digest(alert.labels),
                "number": number,
                "rule": printable(alert.name),
                "state": written.state.value,
                "body": to_json(encode_alert(written)),
            }
