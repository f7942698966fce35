"""Incident: what people are paged for and acknowledge."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from otelmon.alerts.model import Alert


class IncidentState(StrEnum):
    """Where an incident stands."""

    TRIGGERED = "triggered"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class EventKind(StrEnum):
    """What happened to an incident."""

    TRIGGERED = "triggered"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of an incident's timeline: when, what, who did it (empty for otelmon itself) and in which words."""

    at: datetime
    kind: EventKind
    by: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """A fault that somebody is paged for.

    ``id`` is short enough to type (``otelmon ack 7KQ2``) and unique in a state directory. ``alerts`` are the alerts
    it is about, as they stand now; at present one alert makes one incident.
    """

    id: str
    state: IncidentState
    alerts: tuple[Alert, ...]
    triggered_at: datetime
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    resolved_at: datetime | None = None
    timeline: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledge:
    """A person's request to take an incident; ``by`` is how they name themselves."""

    incident_id: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An incident as it is now, and what just happened to it."""

    incident: Incident
    event: Event
