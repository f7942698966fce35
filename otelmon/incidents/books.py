"""The books of one step: the incidents and silences as they stand while it is worked out, and what changed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from otelmon.alerts.model import Alert, AlertState, Transition
from otelmon.incidents.ids import incident_id
from otelmon.incidents.model import Cause, Change, Event, EventKind, Evidence, Incident, IncidentState, Refusal
from otelmon.incidents.policy import Policy
from otelmon.incidents.settle import Happening, after, written
from otelmon.incidents.silence import Silence
from otelmon.labels import Labels


@dataclass(slots=True)
class Draft:
    """What this instant brought to an incident, while it is collected."""

    members: dict[Labels, Alert]
    joined: dict[Labels, Alert] = field(default_factory=dict)
    ended: dict[Labels, Alert] = field(default_factory=dict)
    opened: EventKind | None = None
    why: str = ""


class Books:
    """The incidents and silences while one step is worked out; ``by_alert`` has the id of each alert's incident."""

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
        self.at = at
        self.policy = policy
        self.timing = timing or (lambda _: policy)
        self.recent = dict(recent)
        self.silences = dict(silences)
        self.changed_silences: dict[str, Silence] = {}
        self.taken = {*taken, *incidents, *recent}
        self.drafts: dict[str, Draft] = {}
        self.touched: dict[str, set[Cause]] = {}
        # By labels, not by id: the id is of the instant of firing, which moves when the wall clock does. What is open
        # comes last and so wins.
        self._known: dict[Labels, Alert] = {}
        self.by_alert: dict[Labels, str] = {}
        self._by_group: dict[Labels, str] = {}
        self._forget_recent()
        for id_, incident in (*self.recent.items(), *self.open.items()):
            if not incident.is_storm:
                self._by_group[incident.group] = id_
                for alert in incident.alerts:
                    self.by_alert[alert.labels] = id_
                    self._known[alert.labels] = alert

    def learn(self, found: Evidence) -> None:
        """What was found out about an incident, unless it is another one by now; of one that is over, how it went."""
        incident = self.open.get(found.incident_id)
        if incident is None and found.of_the_end:
            incident = self.recent.get(found.incident_id)
        if incident is None or incident.rounds != found.round or incident.evidence == found.findings:
            return
        text = found.findings[0].text.partition("\n")[0] if found.findings else ""
        event = Event(at=self.at, kind=EventKind.EVIDENCE, text=text)
        self.write(replace(incident, evidence=found.findings), Happening(event=event, cause=Cause.EVIDENCE))

    def fire(self, transition: Transition) -> None:
        """An alert fires: it joins the open incident of its group, reopens a recent one, or opens a new one."""
        alert = transition.alert
        id_ = self.by_alert.get(alert.labels)
        if id_ not in self.open:
            group = alert.labels.only(self.policy.group_by)
            by_group = self._by_group.get(group)
            id_ = by_group if by_group in self.open else id_ or by_group
            if id_ is None:
                id_ = self._begin(alert, group, transition)
            elif id_ in self.recent:
                self.reopen(id_, transition.reason.value)
        draft = self.draft(id_)
        known = draft.members.get(alert.labels)
        if known is None or known.state is not AlertState.FIRING:
            draft.joined[alert.labels] = alert
        draft.ended.pop(alert.labels, None)
        draft.members[alert.labels] = alert
        self.by_alert[alert.labels] = id_
        self._known[alert.labels] = alert

    def end(self, transition: Transition) -> None:
        """An alert is over."""
        alert = transition.alert
        id_ = self.by_alert.get(alert.labels)
        if id_ is None:
            return
        self._known[alert.labels] = alert
        if id_ in self.recent:  # resolved by hand before
            self.recent[id_] = _with_alert(self.recent[id_], alert)
            return
        draft = self.draft(id_)
        if alert.labels in draft.members:
            draft.members[alert.labels] = draft.ended[alert.labels] = alert
            draft.why = draft.why or transition.reason.value

    def refresh(self, alert: Alert) -> None:
        """The alert as it stands now, inside its incident."""
        known = self._known.get(alert.labels)
        if known is None or known is alert:
            return
        if alert.state is AlertState.FIRING and known.state is AlertState.FIRING:
            id_ = self.by_alert[alert.labels]
            if id_ in self.open:
                self.draft(id_).members[alert.labels] = alert

    def draft(self, id_: str) -> Draft:
        """What this instant brings to an open incident."""
        draft = self.drafts.get(id_)
        if draft is None:
            draft = self.drafts[id_] = Draft({alert.labels: alert for alert in self.open[id_].alerts})
        return draft

    def _begin(self, alert: Alert, group: Labels, transition: Transition) -> str:
        id_ = incident_id(alert.labels, alert.fired_at or transition.at, self.taken)
        self.taken.add(id_)
        self.open[id_] = Incident(
            id=id_, state=IncidentState.TRIGGERED, alerts=(alert,), triggered_at=transition.at, group=group
        )
        self._by_group[group] = id_
        self.drafts[id_] = Draft({}, opened=EventKind.TRIGGERED, why=transition.reason.value)
        return id_

    def reopen(self, id_: str, why: str) -> None:
        """A resolved incident is open again."""
        incident = self.recent.pop(id_)
        lasted = after((self.at - (incident.resolved_at or self.at)).total_seconds())
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
        draft = self.draft(id_)
        draft.opened, draft.why = EventKind.REOPENED, f"{lasted} after it was resolved: {why}"
        draft.joined.update({alert.labels: alert for alert in incident.firing})

    def _forget_recent(self) -> None:
        """What was resolved long enough ago is not reopened; but by hand it cannot be resolved for ever."""
        for id_, incident in list(self.recent.items()):
            if self.at - (incident.resolved_at or self.at) < self.policy.reopen_within:
                continue
            if incident.firing and not incident.is_storm:
                self.reopen(id_, f"it still fires, {incident.resolved_by} resolved it by hand")
            else:
                del self.recent[id_]

    def keep(self, silence: Silence) -> None:
        """A silence as it is now."""
        self.silences[silence.id] = self.changed_silences[silence.id] = silence

    def end_silence(self, silence: Silence, by: str) -> None:
        """A silence is over."""
        self.silences.pop(silence.id, None)
        self.changed_silences[silence.id] = replace(silence, ended_at=self.at, ended_by=by)

    def firing(self) -> list[Alert]:
        """The alerts that fire, of all open incidents."""
        return [alert for incident in self.open.values() if not incident.is_storm for alert in incident.firing]

    def touch(self, storm: str, cause: Cause | None) -> None:
        """Something happened to an incident of a storm; None where it is none that speaks for it."""
        self.touched.setdefault(storm, set()).update({cause} if cause else ())

    def write(self, incident: Incident, happening: Happening) -> None:
        """Write what happened to an incident, as a change."""
        if incident.storm:
            self.touch(incident.storm, happening.cause)
        incident, change = written(incident, happening)
        self.changes.append(change)
        if incident.state is IncidentState.RESOLVED:
            self.open.pop(incident.id, None)
            self.recent[incident.id] = incident
        else:
            self.open[incident.id] = incident


def _with_alert(incident: Incident, alert: Alert) -> Incident:
    alerts = tuple(alert if alert.labels == known.labels else known for known in incident.alerts)
    return replace(incident, alerts=alerts)
