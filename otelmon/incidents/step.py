"""Incidents, as a pure step: alerts fire and resolve, people acknowledge."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from otelmon.alerts.model import Alert, AlertState, Transition
from otelmon.alerts.restore import shift_alert
from otelmon.duration import format_duration
from otelmon.incidents.ids import incident_id, typed_id
from otelmon.incidents.model import (
    Acknowledge,
    Change,
    Event,
    EventKind,
    Incident,
    IncidentState,
    Refusal,
    RefusalReason,
)
from otelmon.labels import Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentStep:
    """The open incidents now, what changed (resolved ones included) and the requests that do not apply."""

    incidents: Mapping[str, Incident]
    changes: tuple[Change, ...] = ()
    refused: tuple[Refusal, ...] = ()


def step(
    incidents: Mapping[str, Incident],
    transitions: Iterable[Transition],
    requests: Sequence[Acknowledge] = (),
    *,
    at: datetime,
    alerts: Iterable[Alert] = (),
    taken: Collection[str] = frozenset(),
) -> IncidentStep:
    """The open incidents after what happened at ``at``.

    ``alerts`` are alerts as they stand: their values are refreshed inside the incidents, which is no change. ``taken``
    are ids that resolved incidents have, so that no new one gets them. Requests come first: whoever acknowledges while
    the alert resolves is named in the resolved page.
    """
    books = _Books(incidents, at=at, taken=taken)
    for request in requests:
        books.acknowledge(request)
    for transition in transitions:
        if transition.alert.state is AlertState.FIRING:
            books.fire(transition)
        elif transition.alert.state is AlertState.RESOLVED and transition.before is AlertState.FIRING:
            books.resolve(transition)
    for alert in alerts:
        books.refresh(alert)
    return IncidentStep(incidents=books.open, changes=tuple(books.changes), refused=tuple(books.refused))


def shift(incidents: Mapping[str, Incident], seconds: float) -> dict[str, Incident]:
    """The same incidents after the wall clock jumped by so many seconds: durations stay true."""
    by = timedelta(seconds=seconds)

    def moved(incident: Incident) -> Incident:
        return replace(
            incident,
            alerts=tuple(shift_alert(alert, by) for alert in incident.alerts),
            triggered_at=incident.triggered_at + by,
            acknowledged_at=incident.acknowledged_at and incident.acknowledged_at + by,
            resolved_at=incident.resolved_at and incident.resolved_at + by,
            timeline=tuple(replace(event, at=event.at + by) for event in incident.timeline),
        )

    return {id_: moved(incident) for id_, incident in incidents.items()}


class _Books:
    """The incidents while one step is worked out."""

    def __init__(self, incidents: Mapping[str, Incident], *, at: datetime, taken: Collection[str]) -> None:
        self.open = dict(incidents)
        self.changes: list[Change] = []
        self.refused: list[Refusal] = []
        self._at = at
        self._taken = {*taken, *incidents}
        # By labels, not by id: the id is of the instant of firing, which moves when the wall clock does.
        self._by_alert: dict[Labels, str] = {
            alert.labels: id_ for id_, incident in incidents.items() for alert in incident.alerts
        }

    def acknowledge(self, request: Acknowledge) -> None:
        """A person takes an incident."""
        incident = self.open.get(typed_id(request.incident_id))
        if incident is None:
            self.refused.append(Refusal(request=request, reason=RefusalReason.UNKNOWN))
        elif incident.state is IncidentState.ACKNOWLEDGED:
            by = incident.acknowledged_by
            self.refused.append(Refusal(request=request, reason=RefusalReason.ALREADY_ACKNOWLEDGED, detail=by))
        else:
            taken = replace(
                incident, state=IncidentState.ACKNOWLEDGED, acknowledged_at=self._at, acknowledged_by=request.by
            )
            after = format_duration(round((self._at - incident.triggered_at).total_seconds()))
            self._change(taken, Event(at=self._at, kind=EventKind.ACKNOWLEDGED, by=request.by, text=f"after {after}"))

    def fire(self, transition: Transition) -> None:
        """An alert fires: a new incident, unless one is open for it."""
        alert = transition.alert
        if alert.labels in self._by_alert:
            self.refresh(alert)
            return
        id_ = incident_id(alert.labels, alert.fired_at or transition.at, self._taken)
        self._taken.add(id_)
        self._by_alert[alert.labels] = id_
        incident = Incident(id=id_, state=IncidentState.TRIGGERED, alerts=(alert,), triggered_at=transition.at)
        self._change(incident, Event(at=self._at, kind=EventKind.TRIGGERED, text=transition.reason.value))

    def resolve(self, transition: Transition) -> None:
        """An alert is over, and with it its incident."""
        id_ = self._by_alert.pop(transition.alert.labels, None)
        if id_ is None:
            return
        incident = self.open[id_]
        resolved = replace(
            incident, state=IncidentState.RESOLVED, alerts=(transition.alert,), resolved_at=transition.at
        )
        lasted = format_duration(round((transition.at - incident.triggered_at).total_seconds()))
        text = f"after {lasted}: {transition.reason.value}"
        if incident.acknowledged_by:
            text += f"; acknowledged by {incident.acknowledged_by}"
        self._change(resolved, Event(at=self._at, kind=EventKind.RESOLVED, text=text))
        del self.open[id_]

    def refresh(self, alert: Alert) -> None:
        """The alert as it stands now, inside its incident."""
        id_ = self._by_alert.get(alert.labels)
        if id_ is None:
            return
        incident = self.open[id_]
        alerts = tuple(alert if alert.labels == known.labels else known for known in incident.alerts)
        self.open[id_] = replace(incident, alerts=alerts)

    def _change(self, incident: Incident, event: Event) -> None:
        incident = replace(incident, timeline=(*incident.timeline, event))
        self.open[incident.id] = incident
        self.changes.append(Change(incident=incident, event=event))
