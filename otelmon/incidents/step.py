"""Incidents, as a pure step: alerts fire and resolve, people acknowledge, resolve and silence, time passes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from otelmon.alerts.model import Alert, AlertState, Transition
from otelmon.incidents.ids import incident_id, typed_id
from otelmon.incidents.model import (
    Acknowledge,
    Cause,
    Change,
    Event,
    EventKind,
    Evidence,
    Incident,
    IncidentState,
    Refusal,
    RefusalReason,
    RequestBody,
    Resolve,
)
from otelmon.incidents.muting import ending, mutes
from otelmon.incidents.policy import Policy
from otelmon.incidents.settle import Happening, Mute, News, after, settle, written
from otelmon.incidents.silence import AddSilence, ExpireSilence, Silence, SilenceNotice, ended
from otelmon.incidents.storm import OPENING, Gate, paged_lately, weather
from otelmon.labels import Labels

DEFAULT = Policy()
_Act = Callable[[Incident, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentStep:
    """The open incidents now, what changed (resolved ones included) and the requests that do not apply.

    ``recent`` are resolved incidents that may be reopened, ``silences`` those that are not over, ``changed_silences``
    all whose record changed, ``notices`` those that people are told of.
    """

    incidents: Mapping[str, Incident]
    changes: tuple[Change, ...] = ()
    refused: tuple[Refusal, ...] = ()
    recent: Mapping[str, Incident] = field(default_factory=dict)
    silences: Mapping[str, Silence] = field(default_factory=dict)
    changed_silences: tuple[Silence, ...] = ()
    notices: tuple[SilenceNotice, ...] = ()


def step(
    incidents: Mapping[str, Incident],
    transitions: Iterable[Transition],
    requests: Sequence[RequestBody] = (),
    *,
    at: datetime,
    alerts: Iterable[Alert] = (),
    taken: Collection[str] = frozenset(),
    recent: Mapping[str, Incident] | None = None,
    silences: Mapping[str, Silence] | None = None,
    policy: Policy = DEFAULT,
    timing: Callable[[Incident], Policy] | None = None,
    evidence: Iterable[Evidence] = (),
) -> IncidentStep:
    """The open incidents after what happened at ``at``.

    ``alerts`` are alerts as they stand: their values are refreshed inside the incidents, which is no change. ``taken``
    are ids that resolved incidents have, so that no new one gets them. ``recent`` and ``silences`` are those of the
    step before. Requests come first: whoever acknowledges while the alert resolves is named in the resolved page, and
    who silences is spared what fires at the same instant. Of an alert that changes more than once, the last counts.
    ``evidence`` is what was found out about open incidents; what comes too late is passed over.
    ``timing`` gives the policy whose timers count for an incident, where that is not ``policy`` for all.
    """
    books = _Books(incidents, recent or {}, silences or {}, at=at, taken=taken, policy=policy, timing=timing)
    for request in requests:
        books.ask(request)
    for found in evidence:
        books.learn(found)
    for transition in transitions:
        if transition.alert.state is AlertState.FIRING:
            books.fire(transition)
        elif transition.alert.state is AlertState.RESOLVED and transition.before is AlertState.FIRING:
            books.end(transition)
    for alert in alerts:
        books.refresh(alert)
    return books.closed()


@dataclass(slots=True)
class _Draft:
    """What this instant brought to an incident, while it is collected."""

    members: dict[Labels, Alert]
    joined: dict[Labels, Alert] = field(default_factory=dict)
    ended: dict[Labels, Alert] = field(default_factory=dict)
    opened: EventKind | None = None
    why: str = ""


class _Books:
    """The incidents while one step is worked out."""

    def __init__(
        self,
        incidents: Mapping[str, Incident],
        recent: Mapping[str, Incident],
        silences: Mapping[str, Silence],
        *,
        at: datetime,
        taken: Collection[str],
        policy: Policy,
        timing: Callable[[Incident], Policy] | None,
    ) -> None:
        self.open = dict(incidents)
        self.changes: list[Change] = []
        self.refused: list[Refusal] = []
        self._at = at
        self._policy = policy
        self._timing = timing or (lambda _: policy)
        self._recent = dict(recent)
        self._silences = dict(silences)
        self._changed_silences: dict[str, Silence] = {}
        self._taken = {*taken, *incidents, *recent}
        self._drafts: dict[str, _Draft] = {}
        self._touched: dict[str, set[Cause]] = {}
        # By labels, not by id: the id is of the instant of firing, which moves when the wall clock does. What is open
        # comes last and so wins.
        self._known: dict[Labels, Alert] = {}
        self._by_alert: dict[Labels, str] = {}
        self._by_group: dict[Labels, str] = {}
        self._forget_recent()
        for id_, incident in (*self._recent.items(), *self.open.items()):
            if not incident.is_storm:
                self._by_group[incident.group] = id_
                for alert in incident.alerts:
                    self._by_alert[alert.labels] = id_
                    self._known[alert.labels] = alert

    def ask(self, request: RequestBody) -> None:
        """A person's request."""
        match request:
            case AddSilence(silence=silence):
                if silence.id not in self._silences:
                    self._keep(silence)
            case ExpireSilence(silence_id=id_, by=by):
                silence_ = self._silences.get(typed_id(id_))
                if silence_ is None:
                    self.refused.append(Refusal(request=request, reason=RefusalReason.UNKNOWN_SILENCE))
                else:
                    self._end_silence(silence_, by)
            case Acknowledge(incident_id=id_):
                self._with_members(request, id_, self._acknowledge)
            case Resolve(incident_id=id_):
                self._with_members(request, id_, self._resolve_by_hand)

    def learn(self, found: Evidence) -> None:
        """What was found out about an incident, unless it is another one by now; of one that is over, how it went."""
        incident = self.open.get(found.incident_id)
        if incident is None and found.of_the_end:
            incident = self._recent.get(found.incident_id)
        if incident is None or incident.rounds != found.round or incident.evidence == found.findings:
            return
        text = found.findings[0].text.partition("\n")[0] if found.findings else ""
        event = Event(at=self._at, kind=EventKind.EVIDENCE, text=text)
        self._write(replace(incident, evidence=found.findings), Happening(event=event, cause=Cause.EVIDENCE))

    def fire(self, transition: Transition) -> None:
        """An alert fires: it joins the open incident of its group, reopens a recent one, or opens a new one."""
        alert = transition.alert
        id_ = self._by_alert.get(alert.labels)
        if id_ not in self.open:
            group = alert.labels.only(self._policy.group_by)
            by_group = self._by_group.get(group)
            id_ = by_group if by_group in self.open else id_ or by_group
            if id_ is None:
                id_ = self._begin(alert, group, transition)
            elif id_ in self._recent:
                self._reopen(id_, transition.reason.value)
        draft = self._draft(id_)
        known = draft.members.get(alert.labels)
        if known is None or known.state is not AlertState.FIRING:
            draft.joined[alert.labels] = alert
        draft.ended.pop(alert.labels, None)
        draft.members[alert.labels] = alert
        self._by_alert[alert.labels] = id_
        self._known[alert.labels] = alert

    def end(self, transition: Transition) -> None:
        """An alert is over."""
        alert = transition.alert
        id_ = self._by_alert.get(alert.labels)
        if id_ is None:
            return
        self._known[alert.labels] = alert
        if id_ in self._recent:  # resolved by hand before
            self._recent[id_] = _with_alert(self._recent[id_], alert)
            return
        draft = self._draft(id_)
        if alert.labels in draft.members:
            draft.members[alert.labels] = draft.ended[alert.labels] = alert
            draft.why = draft.why or transition.reason.value

    def refresh(self, alert: Alert) -> None:
        """The alert as it stands now, inside its incident."""
        known = self._known.get(alert.labels)
        if known is None or known is alert:
            return
        if alert.state is AlertState.FIRING and known.state is AlertState.FIRING:
            id_ = self._by_alert[alert.labels]
            if id_ in self.open:
                self._draft(id_).members[alert.labels] = alert

    def closed(self) -> IncidentStep:
        """What comes of it all."""
        for id_, draft in self._drafts.items():
            self.open[id_] = replace(self.open[id_], alerts=tuple(draft.members.values()))
        firing = self._firing()
        left, over = ended(self._silences, firing, self._at)
        for silence_id in over:
            self._end_silence(self._silences[silence_id], "")
        self._silences = left
        self._settle(self._mutes(firing))
        hidden = self._firing() if self._silences else ()
        notices = ending(self._silences.values(), hidden, self._policy.silence_notice, self._at)
        for notice in notices:
            self._keep(notice.silence)
        return IncidentStep(
            incidents=self.open,
            changes=tuple(self.changes),
            refused=tuple(self.refused),
            recent=self._recent,
            silences=self._silences,
            changed_silences=tuple(self._changed_silences.values()),
            notices=notices,
        )

    def _draft(self, id_: str) -> _Draft:
        draft = self._drafts.get(id_)
        if draft is None:
            draft = self._drafts[id_] = _Draft({alert.labels: alert for alert in self.open[id_].alerts})
        return draft

    def _begin(self, alert: Alert, group: Labels, transition: Transition) -> str:
        id_ = incident_id(alert.labels, alert.fired_at or transition.at, self._taken)
        self._taken.add(id_)
        self.open[id_] = Incident(
            id=id_, state=IncidentState.TRIGGERED, alerts=(alert,), triggered_at=transition.at, group=group
        )
        self._by_group[group] = id_
        self._drafts[id_] = _Draft({}, opened=EventKind.TRIGGERED, why=transition.reason.value)
        return id_

    def _reopen(self, id_: str, why: str) -> None:
        incident = self._recent.pop(id_)
        lasted = after((self._at - (incident.resolved_at or self._at)).total_seconds())
        self.open[id_] = replace(
            incident,
            state=IncidentState.TRIGGERED,
            acknowledged_at=None,
            acknowledged_by="",
            resolved_at=None,
            resolved_by="",
            told=frozenset(),
            shown_in=(),
            first_paged_at=None,
            paged_at=None,
            storm="",
            rounds=incident.rounds + 1,
            evidence=(),
        )
        draft = self._draft(id_)
        draft.opened, draft.why = EventKind.REOPENED, f"{lasted} after it was resolved: {why}"
        draft.joined.update({alert.labels: alert for alert in incident.firing})

    def _forget_recent(self) -> None:
        """What was resolved long enough ago is not reopened; but by hand it cannot be resolved for ever."""
        for id_, incident in list(self._recent.items()):
            if self._at - (incident.resolved_at or self._at) < self._policy.reopen_within:
                continue
            if incident.firing and not incident.is_storm:
                self._reopen(id_, f"it still fires, {incident.resolved_by} resolved it by hand")
            else:
                del self._recent[id_]

    def _with_members(self, request: Acknowledge | Resolve, id_: str, act: _Act) -> None:
        incident = self.open.get(typed_id(id_))
        if incident is None:
            self.refused.append(Refusal(request=request, reason=RefusalReason.UNKNOWN))
        elif isinstance(request, Acknowledge) and incident.state is IncidentState.ACKNOWLEDGED:
            by = incident.acknowledged_by
            self.refused.append(Refusal(request=request, reason=RefusalReason.ALREADY_ACKNOWLEDGED, detail=by))
        else:
            act(incident, request.by)
            for member in [each for each in self.open.values() if incident.is_storm and each.storm == incident.id]:
                act(member, request.by)

    def _acknowledge(self, incident: Incident, by: str) -> None:
        if incident.state is IncidentState.ACKNOWLEDGED:
            return
        since = after((self._at - incident.triggered_at).total_seconds())
        told = frozenset(alert.labels for alert in incident.alerts)
        taken = replace(
            incident, state=IncidentState.ACKNOWLEDGED, acknowledged_at=self._at, acknowledged_by=by, told=told
        )
        event = Event(at=self._at, kind=EventKind.ACKNOWLEDGED, by=by, text=f"after {since}")
        self._write(taken, Happening(event=event, cause=Cause.ACKNOWLEDGED))

    def _resolve_by_hand(self, incident: Incident, by: str) -> None:
        if incident.is_storm:
            self.open[incident.id] = replace(incident, resolved_by=by)
            self._touch(incident.id, None)
            return
        since = after((self._at - incident.triggered_at).total_seconds())
        over = replace(incident, state=IncidentState.RESOLVED, resolved_at=self._at, resolved_by=by, muted={})
        event = Event(at=self._at, kind=EventKind.RESOLVED, by=by, text=f"by hand, after {since}")
        self._write(over, Happening(event=event, cause=Cause.RESOLVED))

    def _keep(self, silence: Silence) -> None:
        self._silences[silence.id] = self._changed_silences[silence.id] = silence

    def _end_silence(self, silence: Silence, by: str) -> None:
        self._silences.pop(silence.id, None)
        self._changed_silences[silence.id] = replace(silence, ended_at=self._at, ended_by=by)

    def _firing(self) -> list[Alert]:
        return [alert for incident in self.open.values() if not incident.is_storm for alert in incident.firing]

    def _mutes(self, firing: Sequence[Alert]) -> dict[Labels, Mute]:
        active = [silence for silence in self._silences.values() if silence.is_active(self._at)]
        return mutes(
            firing, active, self._policy.inhibitions, told=self._is_told, incident_of=self._by_alert.__getitem__
        )

    def _is_told(self, labels: Labels) -> bool:
        return labels in self.open[self._by_alert[labels]].told

    def _settle(self, mutes: Mapping[Labels, Mute]) -> None:
        settled: list[tuple[Incident, list[Happening]]] = []
        for id_, incident in list(self.open.items()):
            if incident.is_storm:
                continue
            draft = self._drafts.get(id_)
            news = News(
                opened=draft.opened if draft else None,
                why=draft.why if draft else "",
                joined=tuple(draft.joined.values()) if draft else (),
                ended=tuple(draft.ended.values()) if draft else (),
                mutes=mutes,
            )
            now, happened = settle(incident, news, self._timing(incident), self._at)
            self.open[id_] = now
            if happened:
                settled.append((now, happened))
        gate = Gate(
            policy=self._policy,
            at=self._at,
            taken=self._taken,
            storms={id_: incident for id_, incident in self.open.items() if incident.is_storm},
            pages=paged_lately([*self.open.values(), *self._recent.values()], self._policy, self._at),
        )
        # The worst first: they page for themselves.
        settled.sort(key=lambda each: -each[0].severity.rank)
        for incident, happened in settled:
            self._admit(incident, happened, gate)
        self._blow(gate)

    def _admit(self, incident: Incident, happened: list[Happening], gate: Gate) -> None:
        """Write what happened; a new incident pages for itself or joins a storm, which then speaks for it."""
        opening = any(happening.cause in OPENING for happening in happened)
        if opening:
            incident = replace(incident, storm=gate.storm_of(incident))
        for happening in happened:
            cause = happening.cause
            if incident.storm:
                self._touch(incident.storm, cause)
                if cause not in (Cause.ACKNOWLEDGED, Cause.RESOLVED, Cause.REFRESHED):
                    cause = None
            self._write(incident, replace(happening, cause=cause))
            incident = self.open.get(incident.id, incident)
        if opening and incident.storm:
            text = f"the page of {incident.storm} stands for it"
            self._write(incident, Happening(event=Event(at=self._at, kind=EventKind.STORM, text=text)))

    def _blow(self, gate: Gate) -> None:
        """Bring the storms up to date."""
        if not gate.storms:
            return
        members: dict[str, list[Incident]] = {id_: [] for id_ in gate.storms}
        for incident in self.open.values():
            if incident.storm in members:
                members[incident.storm].append(incident)
        for id_, storm in gate.storms.items():
            current = self.open.get(id_, storm)
            # Nothing happened to its incidents at most instants: then only its own timers count.
            causes = None if members[id_] and id_ not in self._touched else self._touched.get(id_, set())
            now, happened = weather(current, members[id_], gate, causes, timing=self._timing(current))
            self.open[id_] = now
            for happening in happened:
                self._write(self.open.get(id_, now), happening)

    def _touch(self, storm: str, cause: Cause | None) -> None:
        self._touched.setdefault(storm, set()).update({cause} if cause else ())

    def _write(self, incident: Incident, happening: Happening) -> None:
        if incident.storm:
            self._touch(incident.storm, happening.cause)
        incident, change = written(incident, happening)
        self.changes.append(change)
        if incident.state is IncidentState.RESOLVED:
            self.open.pop(incident.id, None)
            self._recent[incident.id] = incident
        else:
            self.open[incident.id] = incident


def _with_alert(incident: Incident, alert: Alert) -> Incident:
    alerts = tuple(alert if alert.labels == known.labels else known for known in incident.alerts)
    return replace(incident, alerts=alerts)
