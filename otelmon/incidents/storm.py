"""Storms: beyond a few new incidents of a service within a minute the rest share one page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from otelmon.alerts.model import Alert, AlertState
from otelmon.incidents.ids import incident_id
from otelmon.incidents.model import Cause, Event, EventKind, Incident, IncidentState
from otelmon.incidents.policy import Policy
from otelmon.incidents.settle import Happening, Mute, News, settle
from otelmon.labels import Labels
from otelmon.rules.model import Severity

STORM = "alert_storm"
"""The name of the alert that sums a storm up."""

OPENING = frozenset({Cause.TRIGGERED, Cause.REOPENED, Cause.UNMUTED})
"""The causes that count as a new incident."""

_MOST_LISTED = 10


@dataclass(slots=True, kw_only=True)
class Gate:
    """Decides which new incidents page for themselves at one instant, and which storm the others join."""

    policy: Policy
    at: datetime
    taken: set[str]
    storms: dict[str, Incident]
    """The open storms, by id."""
    pages: Counter[Labels]
    """How many new incidents of each service were paged lately, for themselves."""
    begun: set[str] = field(default_factory=set)
    joined: Counter[str] = field(default_factory=Counter)

    def storm_of(self, incident: Incident) -> str:
        """The storm that a new incident joins; empty where it pages for itself."""
        service = _service(incident, self.policy)
        raging = next((id_ for id_, storm in self.storms.items() if self._takes(storm, service)), None)
        if raging is None and self.pages[service] < self.policy.storm_after:
            self.pages[service] += 1
            return ""
        if raging is None:
            raging = self._begin(service, incident.severity)
        self.joined[raging] += 1
        return raging

    def is_raging(self, storm: Incident) -> bool:
        """Whether new incidents join it still."""
        return storm.joined_at is not None and self.at - storm.joined_at < self.policy.storm_within

    def _takes(self, storm: Incident, service: Labels) -> bool:
        return _service(storm, self.policy) == service and (storm.id in self.begun or self.is_raging(storm))

    def _begin(self, service: Labels, severity: Severity) -> str:
        labels = service.with_label("alertname", STORM)
        id_ = incident_id(labels, self.at, self.taken)
        self.taken.add(id_)
        self.begun.add(id_)
        summary = Alert(
            labels=labels,
            severity=severity,
            state=AlertState.FIRING,
            active_at=self.at,
            fired_at=self.at,
            series=service,
            value=0.0,
        )
        self.storms[id_] = Incident(
            id=id_,
            state=IncidentState.TRIGGERED,
            alerts=(summary,),
            triggered_at=self.at,
            told=frozenset({labels}),
            joined_at=self.at,
        )
        return id_


def paged_lately(incidents: Iterable[Incident], policy: Policy, at: datetime) -> Counter[Labels]:
    """How many incidents of each service began to page for themselves within the time of a storm."""
    return Counter(
        _service(incident, policy)
        for incident in incidents
        if incident.first_paged_at is not None
        and not incident.is_storm
        and not incident.storm
        and at - incident.first_paged_at < policy.storm_within
    )


def _service(incident: Incident, policy: Policy) -> Labels:
    return incident.alerts[0].labels.only(policy.storm_by)


def weather(
    storm: Incident, members: Sequence[Incident], gate: Gate, causes: set[Cause] | None, *, timing: Policy
) -> tuple[Incident, list[Happening]]:
    """A storm after this instant: ``members`` are its open incidents, ``causes`` what would have been told of them.

    None for ``causes`` says that nothing happened to them. ``timing`` is the policy whose timers count for it.
    """
    if causes is None:
        as_before = {labels: Mute(reason=reason, silenced=False) for labels, reason in storm.muted.items()}
        return settle(storm, News(mutes=as_before), timing, gate.at)
    begun, joined = storm.id in gate.begun, gate.joined[storm.id]
    told, before, was_raging = storm.alerts[0], storm.severity, gate.is_raging(storm)
    storm = replace(storm, members=storm.members + joined, joined_at=gate.at if joined else storm.joined_at)
    storm = replace(storm, alerts=(_summary(storm, members, gate.at),))
    (summary,) = storm.alerts
    if begun:
        why = (
            f"more than {gate.policy.storm_after} new incidents within a minute; this page stands for {joined} of them"
        )
        event = Event(at=gate.at, kind=EventKind.TRIGGERED, text=why)
        return storm, [Happening(event=event, cause=Cause.TRIGGERED, alerts=(summary,))]
    happened: list[Happening] = []
    if joined:
        text = f"{joined} more incidents, {storm.members} in all"
        happened.append(Happening(event=Event(at=gate.at, kind=EventKind.JOINED, text=text), alerts=(summary,)))
    cause = None
    if members and storm.severity.rank > before.rank:
        cause, kind = Cause.WORSENED, EventKind.WORSENED
    elif members and not was_raging and causes & {Cause.JOINED, Cause.WORSENED}:
        cause, kind = Cause.JOINED, EventKind.JOINED
    if cause is not None:
        text = "a critical alert is among them now" if cause is Cause.WORSENED else "a new critical alert joined"
        happened.append(Happening(event=Event(at=gate.at, kind=kind, text=text), cause=cause, alerts=(summary,)))
    if storm.alerts[0].annotations != told.annotations and not happened:
        event = Event(at=gate.at, kind=EventKind.ENDED, text=_tally(storm, members) or "nothing is muted any more")
        happened.append(Happening(event=event, alerts=(summary,)))
    if happened and cause is None:
        happened[-1] = replace(happened[-1], cause=Cause.REFRESHED)
    mutes = {}
    if not any(member.visible for member in members):
        mutes = {summary.labels: Mute(reason="all its incidents are muted", silenced=False)}
    storm, more = settle(storm, News(mutes=mutes), timing, gate.at)
    if happened and members and not any(member.told for member in members):
        # All of them are silenced, and each pages anew after its silence: what the storm still owes is not sent.
        storm = replace(storm, silenced_at=gate.at)
    return storm, [*([] if storm.state is IncidentState.RESOLVED else happened), *more]


def _summary(storm: Incident, members: Sequence[Incident], at: datetime) -> Alert:
    (summary,) = storm.alerts
    worst: dict[str, Severity] = {}
    counts: Counter[str] = Counter()
    for member in members:
        lead = member.lead
        counts[lead.name] += 1
        worst[lead.name] = max(worst.get(lead.name, lead.severity), lead.severity, key=lambda each: each.rank)
    lines = [f"{count} {name} ({worst[name]})" for name, count in counts.most_common(_MOST_LISTED)]
    if len(counts) > _MOST_LISTED:
        lines.append(f"and {len(counts) - _MOST_LISTED} other rules")
    severity = max(worst.values(), key=lambda each: each.rank, default=summary.severity)
    return replace(
        summary,
        severity=severity,
        state=AlertState.FIRING if members else AlertState.RESOLVED,
        resolved_at=None if members else at,
        annotations={
            "title": f"{storm.members} more incidents" if storm.members != 1 else "One more incident",
            "summary": "\n".join([*lines, _tally(storm, members)]).strip(),
        },
    )


def _tally(storm: Incident, members: Sequence[Incident]) -> str:
    acknowledged = sum(1 for member in members if member.state is IncidentState.ACKNOWLEDGED)
    muted = sum(1 for member in members if not member.visible)
    counted = ((acknowledged, "acknowledged"), (muted, "muted"), (storm.members - len(members), "resolved"))
    return ", ".join(f"{number} {word}" for number, word in counted if number)
