"""Whatever alerts, silences and people do: who should be told is told once a cause, and nobody else is."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from otelmon.alerts.model import Alert, AlertState
from otelmon.incidents.inhibit import Inhibition
from otelmon.incidents.model import (
    NEW_MESSAGE,
    Acknowledge,
    Cause,
    Change,
    EventKind,
    Incident,
    IncidentState,
    RequestBody,
    Resolve,
)
from otelmon.incidents.policy import Policy
from otelmon.incidents.silence import AddSilence, ExpireSilence, Silence, meets, parse_matchers
from otelmon.incidents.step import IncidentStep
from otelmon.labels import Labels
from otelmon.oncall.model import Mention, MentionKind
from otelmon.paging.decide import Context, decide
from otelmon.paging.model import Page, PageAction, PageReason
from otelmon.rules.model import Severity
from tests.alerts.build import minute
from tests.incidents.test_step import Story, fires, resolves
from tests.paging.build import fixed

POLICY = Policy(
    inhibitions=(Inhibition(source=parse_matchers(["a"]), target=parse_matchers(["b"]), equal=("job",)),),
    ack_timeout=timedelta(minutes=7),
    reopen_within=timedelta(minutes=3),
    repeat_every={Severity.CRITICAL: timedelta(minutes=4), Severity.WARNING: timedelta(minutes=9), Severity.INFO: None},
    storm_after=3,
)
# Alerts by rule, severity and route: two routes of one rule are one incident.
ALERTS = [
    (name, severity, route)
    for name in "abcdef"
    for severity in (Severity.CRITICAL, Severity.WARNING)
    for route in ("/", "/pay")
]
MATCHERS = ("a", "b", "alertname=~[abc]", "http_route=/pay", "severity=warning", "job=shop,alertname!=f")
MINUTES = st.fixed_dictionaries(
    {
        "toggled": st.sets(st.sampled_from(ALERTS), max_size=4),
        "acknowledged": st.none() | st.integers(0, 5),
        "resolved": st.none() | st.none() | st.integers(0, 5),
        "silenced": st.none() | st.tuples(st.sampled_from(MATCHERS), st.integers(1, 6) | st.none()),
        "expired": st.none() | st.integers(0, 3),
    }
)


class Day:
    """Incidents over minutes, with all that is told."""

    def __init__(self) -> None:
        self.story = Story()
        self.firing: dict[tuple[str, Severity, str], Alert] = {}
        self.pages: list[Page] = []

    def minute(self, number: int, what: dict[str, object]) -> tuple[IncidentStep, dict[str, Incident]]:
        at = minute(number)
        before = dict(self.story.open)
        transitions = [self._toggled(key, at) for key in sorted(what["toggled"])]
        made = self.story.at(number, transitions, *self._requests(what, at), policy=POLICY)
        owed = decide(
            made.changes,
            routing=fixed(["discord"], {Severity.CRITICAL: (Mention(kind=MentionKind.ROLE, id="1" * 18),)}),
            about=Context(service="shop"),
        )
        self.pages += owed
        return made, before

    def _toggled(self, key: tuple[str, Severity, str], at: datetime) -> object:
        over = self.firing.pop(key, None)
        if over is not None:
            return resolves(over, at)
        name, severity, route = key
        labels = Labels({"alertname": name, "job": "shop", "severity": severity, "http_route": route})
        self.firing[key] = Alert(
            labels=labels, severity=severity, state=AlertState.FIRING, active_at=at, fired_at=at, value=1.0
        )
        return fires(self.firing[key])

    def _requests(self, what: dict[str, object], at: datetime) -> list[RequestBody]:
        ids, silences = sorted(self.story.open), sorted(self.story.silences)
        asked: list[RequestBody] = []
        if what["acknowledged"] is not None and what["acknowledged"] < len(ids):
            asked.append(Acknowledge(incident_id=ids[what["acknowledged"]], by="ada"))
        if what["resolved"] is not None and what["resolved"] < len(ids):
            asked.append(Resolve(incident_id=ids[what["resolved"]], by="ada"))
        if what["silenced"] is not None:
            text, minutes = what["silenced"]
            asked.append(
                AddSilence(
                    silence=Silence(
                        id=f"S{at:%H%M}",
                        matchers=parse_matchers([text]),
                        starts_at=at,
                        ends_at=None if minutes is None else at + timedelta(minutes=minutes),
                        until_resolved=minutes is None,
                        author="ada",
                        created_at=at,
                    )
                )
            )
        if what["expired"] is not None and what["expired"] < len(silences):
            asked.append(ExpireSilence(silence_id=silences[what["expired"]], by="ada"))
        return asked


def silenced(labels: Labels, made: IncidentStep) -> bool:
    return any(meets(labels, each.matchers) for each in made.silences.values())


def told_by(incident: Incident, made: IncidentStep) -> Incident:
    """The incident, or the storm, that speaks for it."""
    return made.incidents.get(incident.storm, incident)


def check(made: IncidentStep, before: dict[str, Incident], firing: dict[object, Alert], at: datetime) -> None:
    paged = Counter((change.incident.id, change.cause) for change in made.changes if change.cause in NEW_MESSAGE)
    assert max(paged.values(), default=1) == 1  # each cause once
    in_incidents = {alert.labels for each in made.incidents.values() if not each.is_storm for alert in each.firing}
    by_hand = {alert.labels for each in made.recent.values() for alert in each.firing}
    assert in_incidents | by_hand == {alert.labels for alert in firing.values()}
    for incident in made.incidents.values():
        speaker = told_by(incident, made)
        mute = [alert for alert in incident.firing if alert.labels in incident.muted]
        for alert in incident.visible:
            assert alert.labels in incident.told
            assert incident.is_storm or not silenced(alert.labels, made)
            taken = incident.state is IncidentState.ACKNOWLEDGED
            assert speaker.shown_in or taken or any(e.kind is EventKind.ACKNOWLEDGED for e in incident.timeline)
        for alert in () if incident.is_storm else mute:
            is_inhibited = alert.name == "b" and any(
                each.name == "a" and each.severity.rank >= alert.severity.rank for each in firing.values()
            )
            assert silenced(alert.labels, made) or is_inhibited
        if not incident.visible and not incident.is_storm:
            assert not any(incident.id == id_ for id_, _ in paged)
        since = before.get(incident.id)
        reopened = any(
            change.incident.id == incident.id and change.event.kind is EventKind.REOPENED for change in made.changes
        )
        if since is not None and not incident.is_storm and not incident.storm and not reopened:
            new = [each for each in incident.visible if each.labels not in since.told]
            taken_now = incident.acknowledged_at == at  # with all that it had
            if any(each.severity is Severity.CRITICAL for each in new) and not taken_now:
                causes = (Cause.TRIGGERED, Cause.UNMUTED, Cause.JOINED, Cause.WORSENED)
                assert sum(paged[incident.id, cause] for cause in causes) == 1
        if since is not None and since.state is IncidentState.ACKNOWLEDGED and not incident.is_storm and not reopened:
            # An acknowledged incident is quiet, but for a new critical alert and when it runs out.
            causes = {cause for id_, cause in paged if id_ == incident.id}
            assert causes <= {Cause.JOINED, Cause.WORSENED, Cause.EXPIRED}
            expired = incident.visible and at - since.acknowledged_at >= POLICY.ack_timeout
            assert (incident.state is IncidentState.TRIGGERED) == bool(expired)
        if incident.state is IncidentState.TRIGGERED and incident.visible and not incident.storm and incident.paged_at:
            assert at - incident.paged_at < POLICY.repeat_every[incident.severity]


def check_causes(change: Change, before: dict[str, Incident]) -> None:
    """A cause is what it says."""
    incident, was = change.incident, before.get(change.incident.id)
    critical = any(alert.severity is Severity.CRITICAL for alert in change.alerts or ())
    match change.cause:
        case Cause.TRIGGERED:
            assert was is None or not was.shown_in
        case Cause.REOPENED:
            assert was is None or was.state is not IncidentState.RESOLVED  # resolved by hand at the same instant
            assert incident.shown_in[0].cause is Cause.REOPENED
        case Cause.JOINED | Cause.WORSENED:
            assert was is not None
            assert critical
        case Cause.REMINDER:
            assert was.state is IncidentState.TRIGGERED
            assert change.event.kind is EventKind.REMINDED
        case Cause.RESOLVED | Cause.ACKNOWLEDGED | Cause.REFRESHED:
            assert change.shown_in


@settings(max_examples=120, deadline=None, report_multiple_bugs=False)
@given(day=st.lists(MINUTES, max_size=25))
def test_what_fires_unmuted_is_told_once_a_cause_and_nothing_else_is(day: list[dict[str, object]]) -> None:
    whole = Day()
    for number, what in enumerate(day):
        made, before = whole.minute(number, what)
        check(made, before, whole.firing, minute(number))
        for change in made.changes:
            check_causes(change, before)
    ids = [page.id for page in whole.pages]
    assert len(ids) == len(set(ids))
    sent = {page.id for page in whole.pages if page.action is PageAction.POST}
    for page in whole.pages:
        assert not page.edits or page.edits in sent
        if page.message.mentions:
            assert page.action is PageAction.POST
            assert page.reason is not PageReason.RESOLVED
