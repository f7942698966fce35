"""Incident: what people are paged for and acknowledge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from otelmon.alerts.model import Alert, AlertState
from otelmon.incidents.chart import Chart
from otelmon.incidents.silence import AddSilence, ExpireSilence
from otelmon.labels import EMPTY_LABELS, Labels
from otelmon.rules.model import Severity

MOST_EVENTS = 300
"""How many lines a timeline keeps: the first ones and the latest."""
_FIRST_EVENTS = 20


class IncidentState(StrEnum):
    """Where an incident stands."""

    TRIGGERED = "triggered"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class EventKind(StrEnum):
    """What happened to an incident."""

    TRIGGERED = "triggered"
    JOINED = "joined"
    ENDED = "ended"
    WORSENED = "worsened"
    MUTED = "muted"
    UNMUTED = "unmuted"
    STORM = "storm"
    ACKNOWLEDGED = "acknowledged"
    EXPIRED = "acknowledgement expired"
    REMINDED = "reminded"
    PAGED = "paged"
    HELD = "held back"
    UNREACHED = "reached nobody"
    REOPENED = "reopened"
    RESOLVED = "resolved"
    EVIDENCE = "evidence"
    OMITTED = "left out"


class Cause(StrEnum):
    """Why people are told: by a new message that pings whoever is on call, by an edit, or (RESOLVED) by both."""

    TRIGGERED = "triggered"
    REOPENED = "reopened"
    UNMUTED = "unmuted"
    JOINED = "joined"
    WORSENED = "worsened"
    EXPIRED = "expired"
    REMINDER = "reminder"
    ESCALATED = "escalated"
    ACKNOWLEDGED = "acknowledged"
    REFRESHED = "refreshed"
    EVIDENCE = "evidence"
    RESOLVED = "resolved"


NEW_MESSAGE = frozenset(
    {
        Cause.TRIGGERED,
        Cause.REOPENED,
        Cause.UNMUTED,
        Cause.JOINED,
        Cause.WORSENED,
        Cause.EXPIRED,
        Cause.REMINDER,
        Cause.ESCALATED,
    }
)
"""The causes for a new message with its mention."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of an incident's timeline: when, what, who did it (empty for otelmon itself) and in which words."""

    at: datetime
    kind: EventKind
    by: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """A new message about an incident; ``number`` counts all that people were told of it."""

    cause: Cause
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that was found out about an incident: what it is, and what it says, in lines. Both are data.

    ``link`` is the address of more (empty: there is none). ``chart`` says the same as a picture.
    """

    name: str
    text: str
    link: str = ""
    chart: Chart | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """A fault that somebody is paged for.

    ``id`` is short enough to type (``otelmon ack 7KQ2``) and unique in a state directory. ``group`` are the labels that
    its alerts share. ``alerts`` are the alerts it is about, firing and lately resolved ones, as they stand now.

    ``told`` are those that a page was owed for, or that were there when somebody acknowledged; ``muted`` says of alerts
    that page nobody why. ``tellings`` counts messages and edits, ``shown_in`` are the new messages that show it: the
    first one since it was triggered (or reopened) and the latest. ``first_paged_at`` and ``paged_at`` are the instants
    of these. ``silenced_at`` is when silences last came to hide all of it that fires: pages decided before are not sent
    any more. ``storm`` is the id of the storm whose page stands for this incident. ``targets`` names the notifiers that
    were given messages about it since it was triggered (or reopened).

    A storm is an incident too: ``members`` is how many incidents it stands for, and its one alert sums them up;
    ``joined_at`` is when the last of them joined.

    ``rounds`` counts how often it was triggered: once, and again by each reopening and each acknowledgement that ran
    out. ``evidence`` is what was found out about it since it was triggered (or reopened), most telling first.
    """

    id: str
    state: IncidentState
    alerts: tuple[Alert, ...]
    triggered_at: datetime
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    resolved_at: datetime | None = None
    timeline: tuple[Event, ...] = ()
    group: Labels = EMPTY_LABELS
    told: frozenset[Labels] = frozenset()
    muted: Mapping[Labels, str] = field(default_factory=dict)
    tellings: int = 0
    shown_in: tuple[Telling, ...] = ()
    first_paged_at: datetime | None = None
    paged_at: datetime | None = None
    silenced_at: datetime | None = None
    resolved_by: str = ""
    storm: str = ""
    members: int = 0
    joined_at: datetime | None = None
    rounds: int = 1
    targets: tuple[str, ...] = ()
    evidence: tuple[Finding, ...] = ()

    @property
    def firing(self) -> tuple[Alert, ...]:
        """The alerts that fire now."""
        return tuple(alert for alert in self.alerts if alert.state is AlertState.FIRING)

    @property
    def visible(self) -> tuple[Alert, ...]:
        """The alerts that fire now and are not muted."""
        if not self.muted:
            return self.firing
        return tuple(alert for alert in self.firing if alert.labels not in self.muted)

    @property
    def lead(self) -> Alert:
        """The alert that a page is about: the worst of those that are visible, else of those that fire, else of all."""
        if len(self.alerts) == 1:
            return self.alerts[0]
        return max(self.visible or self.firing or self.alerts, key=lambda alert: alert.severity.rank)

    @property
    def severity(self) -> Severity:
        """The severity of the lead."""
        return self.lead.severity

    @property
    def service(self) -> str:
        """The service that it is about (the label ``job``)."""
        return str(self.alerts[0].labels.get("job", ""))

    @property
    def is_storm(self) -> bool:
        """Whether it stands for other incidents."""
        return self.members > 0

    @property
    def lasted_seconds(self) -> float | None:
        """Seconds from triggered to resolved; None while it is open."""
        return None if self.resolved_at is None else (self.resolved_at - self.triggered_at).total_seconds()


def lengthened(timeline: tuple[Event, ...], event: Event) -> tuple[Event, ...]:
    """The timeline with one more event; of a long one the middle goes, and a line says so."""
    if len(timeline) < MOST_EVENTS:
        return (*timeline, event)
    first, rest = timeline[:_FIRST_EVENTS], timeline[_FIRST_EVENTS:]
    omitted = 1
    if rest[0].kind is EventKind.OMITTED:
        omitted, rest = int(rest[0].text.split()[0]), rest[1:]
    line = Event(at=rest[0].at, kind=EventKind.OMITTED, text=f"{omitted + 1} events are left out here")
    return (*first, line, *rest[1:], event)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledge:
    """A person's request to take an incident; ``by`` is how they name themselves."""

    incident_id: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolve:
    """A person's request to resolve an incident by hand."""

    incident_id: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was found out about an incident, in the round (see ``Incident.rounds``) in which it was asked for.

    ``of_the_end`` says that it was asked for when the incident was resolved.
    """

    incident_id: str
    round: int
    findings: tuple[Finding, ...]
    of_the_end: bool = False


RequestBody = Acknowledge | Resolve | AddSilence | ExpireSilence


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An incident as it is now, what just happened to it, and why people are told (None: they are not).

    ``number`` is that of the telling, ``shown_in`` the earlier messages that show the incident. ``alerts`` are those
    whose part in the incident changed; None for all of them.
    """

    incident: Incident
    event: Event
    cause: Cause | None = None
    number: int = 0
    shown_in: tuple[Telling, ...] = ()
    alerts: tuple[Alert, ...] | None = None


class RefusalReason(StrEnum):
    """Why a person's request does not apply."""

    UNKNOWN = "no open incident has this id"
    ALREADY_ACKNOWLEDGED = "the incident is already acknowledged"
    UNKNOWN_SILENCE = "no silence has this id, or it is over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A request that was not carried out, and why; ``detail`` is who acknowledged before, where that is the reason."""

    request: RequestBody
    reason: RefusalReason
    detail: str = ""
