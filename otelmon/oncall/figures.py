"""Figures: how long incidents took to be acknowledged and to be resolved, in all, by rule and by person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from otelmon.incidents.model import EventKind, Incident
from otelmon.rules.model import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Handled:
    """One incident from its trigger to its end; one that was reopened counts once for each time that it was open.

    ``acknowledged_at`` is the first acknowledgement, by ``acknowledged_by`` (empty where there is none), also where it
    expired later.
    """

    incident_id: str
    rule: str
    severity: Severity
    triggered_at: datetime
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    resolved_at: datetime | None = None

    @property
    def time_to_acknowledge(self) -> timedelta | None:
        """From trigger to acknowledgement; None where nobody acknowledged."""
        return None if self.acknowledged_at is None else self.acknowledged_at - self.triggered_at

    @property
    def time_to_resolve(self) -> timedelta | None:
        """From trigger to the end; None while it is open."""
        return None if self.resolved_at is None else self.resolved_at - self.triggered_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Some incidents in figures: how many, of these acknowledged and resolved, and the means.

    ``mtta`` and ``mttr`` (mean time to acknowledge, to resolve) are over those that were; None where none was.
    """

    incidents: int = 0
    acknowledged: int = 0
    resolved: int = 0
    mtta: timedelta | None = None
    mttr: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures in all, by rule and by the person who acknowledged; names in order."""

    overall: Figure = Figure()
    by_rule: Mapping[str, Figure] = field(default_factory=dict)
    by_person: Mapping[str, Figure] = field(default_factory=dict)


def handled(incident: Incident) -> tuple[Handled, ...]:
    """The times that an incident was open, in order, as its timeline tells; none for a storm, which is no fault.

    Where the timeline does not tell (it begins later), the incident's own instants count.
    """
    return () if incident.is_storm else tuple(_spells(incident))


def figures(records: Iterable[Handled], start: datetime | None = None, end: datetime | None = None) -> Figures:
    """The figures of the incidents triggered from ``start`` (included) to ``end`` (excluded); None for no bound."""
    counted = [
        one
        for one in records
        if (start is None or one.triggered_at >= start) and (end is None or one.triggered_at < end)
    ]
    by_rule: dict[str, list[Handled]] = {}
    by_person: dict[str, list[Handled]] = {}
    for one in counted:
        by_rule.setdefault(one.rule, []).append(one)
        if one.acknowledged_by:
            by_person.setdefault(one.acknowledged_by, []).append(one)
    return Figures(overall=_figure(counted), by_rule=_each(by_rule), by_person=_each(by_person))


def _spells(incident: Incident) -> Iterator[Handled]:
    rule, severity = incident.lead.name, incident.severity
    opened_at, acknowledged_at, by = incident.triggered_at, None, ""
    is_open = True
    for event in incident.timeline:
        if event.kind in (EventKind.TRIGGERED, EventKind.REOPENED):
            opened_at, acknowledged_at, by, is_open = event.at, None, "", True
        elif event.kind is EventKind.ACKNOWLEDGED and acknowledged_at is None:
            acknowledged_at, by = event.at, event.by
        elif event.kind is EventKind.RESOLVED:
            is_open = False
            yield Handled(
                incident_id=incident.id, rule=rule, severity=severity, triggered_at=opened_at,
                acknowledged_at=acknowledged_at, acknowledged_by=by, resolved_at=event.at,
            )  # fmt: skip
    if is_open:
        yield Handled(
            incident_id=incident.id, rule=rule, severity=severity, triggered_at=opened_at,
            acknowledged_at=acknowledged_at or incident.acknowledged_at,
            acknowledged_by=by or incident.acknowledged_by, resolved_at=incident.resolved_at,
        )  # fmt: skip


def _each(grouped: Mapping[str, list[Handled]]) -> dict[str, Figure]:
    return {name: _figure(grouped[name]) for name in sorted(grouped)}


def _figure(records: list[Handled]) -> Figure:
    acknowledged = [one.time_to_acknowledge for one in records if one.time_to_acknowledge is not None]
    resolved = [one.time_to_resolve for one in records if one.time_to_resolve is not None]
    return Figure(
        incidents=len(records),
        acknowledged=len(acknowledged),
        resolved=len(resolved),
        mtta=_mean(acknowledged),
        mttr=_mean(resolved),
    )


def _mean(spans: list[timedelta]) -> timedelta | None:
    return sum(spans, timedelta(0)) / len(spans) if spans else None
