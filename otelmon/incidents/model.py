"""Incident: what people are paged for and acknowledge."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from otelmon.alerts.model import Alert
from otelmon.rules.model import Severity


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

    @property
    def severity(self) -> Severity:
        """The highest severity among its alerts."""
        return max((alert.severity for alert in self.alerts), key=lambda severity: severity.rank)

    @property
    def lasted_seconds(self) -> float | None:
        """Seconds from triggered to resolved; None while it is open."""
        return None if self.resolved_at is None else (self.resolved_at - self.triggered_at).total_seconds()


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


class RefusalReason(StrEnum):
    """Why a person's request does not apply."""

    UNKNOWN = "no open incident has this id"
    ALREADY_ACKNOWLEDGED = "the incident is already acknowledged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A request that was not carried out, and why; ``detail`` is who acknowledged before, where that is the reason."""

    request: Acknowledge
    reason: RefusalReason
    detail: str = ""
