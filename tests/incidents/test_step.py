"""Stories of incidents: alerts fire and resolve, people acknowledge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from otelmon.alerts.model import Alert, AlertState, Transition, TransitionReason
from otelmon.incidents.ids import ALPHABET, incident_id
from otelmon.incidents.model import Acknowledge, Cause, EventKind, Incident, IncidentState, RefusalReason, RequestBody
from otelmon.incidents.shift import shift
from otelmon.incidents.silence import Silence
from otelmon.incidents.step import IncidentStep, step
from otelmon.labels import Labels
from otelmon.rules.model import Severity
from tests.alerts.build import minute


def alert(
    name: str = "error_rate", *, at: datetime, value: float = 0.3, severity: Severity = Severity.CRITICAL
) -> Alert:
    labels = Labels({"alertname": name, "job": "shop", "severity": severity})
    return Alert(labels=labels, severity=severity, state=AlertState.FIRING, active_at=at, fired_at=at, value=value)


def fires(which: Alert) -> Transition:
    return Transition(alert=which, before=None, at=which.fired_at, reason=TransitionReason.HELD)


def resolves(which: Alert, at: datetime, before: AlertState = AlertState.FIRING) -> Transition:
    over = replace(which, state=AlertState.RESOLVED, resolved_at=at)
    return Transition(alert=over, before=before, at=at, reason=TransitionReason.STOPPED)


class Story:
    """Incidents over time."""

    def __init__(self) -> None:
        self.open: Mapping[str, Incident] = {}
        self.recent: Mapping[str, Incident] = {}
        self.silences: Mapping[str, Silence] = {}
        self.kinds: list[str] = []

    def at(
        self, number: float, transitions: Sequence[Transition] = (), *requests: RequestBody, **more: object
    ) -> IncidentStep:
        kept = {"recent": self.recent, "silences": self.silences}
        made = step(self.open, transitions, requests, at=minute(number), **(kept | more))
        self.open, self.recent, self.silences = made.incidents, made.recent, made.silences
        self.kinds += [change.event.kind.value for change in made.changes]
        return made


FIRST = alert(at=minute(0))


def test_a_firing_alert_opens_an_incident() -> None:
    made = Story().at(0, [fires(FIRST)])
    (change,) = made.changes
    incident = change.incident
    assert made.incidents == {incident.id: incident}
    assert (incident.state, incident.alerts, incident.triggered_at) == (IncidentState.TRIGGERED, (FIRST,), minute(0))
    assert incident.timeline == (change.event,)
    assert (change.event.kind, change.event.at) == (EventKind.TRIGGERED, minute(0))


def test_an_incident_that_fires_on_costs_nothing_it_is_the_same_object() -> None:
    story = Story()
    story.at(0, [fires(alert(f"rule_{number}", at=minute(0))) for number in range(8)])  # with a storm
    (storm,) = [each for each in story.open.values() if each.is_storm]
    before = dict(story.open)
    made = story.at(1)
    assert made.changes == ()
    assert all(made.incidents[id_] is incident for id_, incident in before.items())
    assert [change.cause for change in story.at(31).changes if change.incident.id == storm.id] == [Cause.REMINDER]


def test_its_id_is_short_and_typeable_and_the_same_wherever_it_is_worked_out() -> None:
    once, again = Story().at(0, [fires(FIRST)]), Story().at(0, [fires(FIRST)])
    (id_,) = once.incidents
    assert list(again.incidents) == [id_]
    assert len(id_) == 4
    assert set(id_) <= set(ALPHABET)
    assert not any(set(pair) <= set(ALPHABET) for pair in ("0O", "1I", "1L", "2Z", "5S", "8B", "UV"))
    later = alert(at=minute(9))
    assert list(Story().at(9, [fires(later)]).incidents) != [id_]


def test_an_id_that_is_taken_gets_longer() -> None:
    short = incident_id(FIRST.labels, minute(0), ())
    longer = incident_id(FIRST.labels, minute(0), {short})
    assert (len(longer), longer[:4]) == (5, short)
    (longest,) = Story().at(0, [fires(FIRST)], taken={short, longer}).incidents
    assert (len(longest), longest[:5]) == (6, longer)


def test_ten_thousand_incidents_of_one_instant_have_ids_of_their_own() -> None:
    storm = [alert(f"rule_{number}", at=minute(0)) for number in range(10_000)]
    made = Story().at(0, [fires(which) for which in storm])
    assert len(made.incidents) == 10_001  # and the storm that speaks for most of them
    assert max(map(len, made.incidents)) <= 6


def test_pending_alerts_are_nobodys_business() -> None:
    pending = replace(FIRST, state=AlertState.PENDING, fired_at=None)
    story = Story()
    story.at(0, [Transition(alert=pending, before=None, at=minute(0), reason=TransitionReason.HELD)])
    story.at(1, [resolves(pending, minute(1), AlertState.PENDING)])
    assert (story.open, story.kinds) == ({}, [])


def test_a_resolved_alert_resolves_its_incident_which_leaves_the_open_ones() -> None:
    story = Story()
    story.at(0, [fires(FIRST)])
    (change,) = story.at(6, [resolves(FIRST, minute(6))]).changes
    assert story.open == {}
    assert change.incident.state is IncidentState.RESOLVED
    assert (change.incident.resolved_at, change.incident.lasted_seconds) == (minute(6), 360.0)
    assert change.event.text == "after 6m: the expression no longer holds"
    assert [event.kind.value for event in change.incident.timeline] == ["triggered", "resolved"]


def test_an_acknowledged_incident_stays_acknowledged_while_it_fires_and_says_by_whom_when_resolved() -> None:
    story = Story()
    (id_,) = story.at(0, [fires(FIRST)]).incidents
    (change,) = story.at(2, [], Acknowledge(incident_id=f" {id_.lower()} ", by="ada")).changes
    incident = change.incident
    assert (incident.state, incident.acknowledged_by, incident.acknowledged_at) == (
        IncidentState.ACKNOWLEDGED,
        "ada",
        minute(2),
    )
    assert (change.event.by, change.event.text) == ("ada", "after 2m")
    story.at(3, [], alerts=[replace(FIRST, value=0.9)])
    assert story.open[id_].state is IncidentState.ACKNOWLEDGED
    (change,) = story.at(6, [resolves(FIRST, minute(6))]).changes
    assert change.incident.acknowledged_by == "ada"
    assert change.event.text.endswith("; acknowledged by ada")
    assert story.kinds == ["triggered", "acknowledged", "resolved"]


def test_a_value_is_refreshed_without_a_change() -> None:
    story = Story()
    (id_,) = story.at(0, [fires(FIRST)]).incidents
    made = story.at(1, [], alerts=[replace(FIRST, value=0.9), alert("disk_usage", at=minute(0))])
    assert made.changes == ()
    assert story.open[id_].alerts[0].value == 0.9
    assert len(story.open) == 1


def test_an_alert_that_fires_again_while_its_incident_is_open_opens_no_second_one() -> None:
    story = Story()
    story.at(0, [fires(FIRST)])
    assert story.at(1, [fires(alert(at=minute(1)))]).changes == ()
    assert len(story.open) == 1


def test_it_fires_again_within_the_quiet_period_and_is_reopened() -> None:
    story = Story()
    (id_,) = story.at(0, [fires(FIRST)]).incidents
    story.at(5, [resolves(FIRST, minute(5))])
    (change,) = story.at(9, [fires(alert(at=minute(9)))]).changes
    assert (list(story.open), change.cause) == ([id_], Cause.REOPENED)
    assert change.event.text == "4m after it was resolved: the expression holds"
    (change,) = story.at(12, [resolves(alert(at=minute(9)), minute(12))]).changes
    assert change.incident.lasted_seconds == 720.0


def test_it_fires_again_after_the_quiet_period_and_that_is_another_incident() -> None:
    story = Story()
    (first,) = story.at(0, [fires(FIRST)]).incidents
    story.at(5, [resolves(FIRST, minute(5))])
    (change,) = story.at(15, [fires(alert(at=minute(15)))]).changes
    assert (change.incident.id != first, change.cause) == (True, Cause.TRIGGERED)


def test_resolved_and_fired_in_one_step_is_still_going_on() -> None:
    story = Story()
    (first,) = story.at(0, [fires(FIRST)]).incidents
    made = story.at(5, [resolves(FIRST, minute(5)), fires(alert(at=minute(5)))])
    assert (list(made.incidents), [change.cause for change in made.changes]) == ([first], [None])


def test_whoever_acknowledges_while_it_resolves_is_named() -> None:
    story = Story()
    (id_,) = story.at(0, [fires(FIRST)]).incidents
    made = story.at(5, [resolves(FIRST, minute(5))], Acknowledge(incident_id=id_, by="ada"))
    assert [change.event.kind.value for change in made.changes] == ["acknowledged", "resolved"]
    assert made.changes[-1].incident.acknowledged_by == "ada"


def test_requests_that_do_not_apply_are_refused_with_a_reason() -> None:
    story = Story()
    (id_,) = story.at(0, [fires(FIRST)]).incidents
    unknown = Acknowledge(incident_id="????", by="ada")
    second = Acknowledge(incident_id=id_, by="grace")
    made = story.at(1, [], Acknowledge(incident_id=id_, by="ada"), unknown, second)
    assert [(refusal.request, refusal.reason, refusal.detail) for refusal in made.refused] == [
        (unknown, RefusalReason.UNKNOWN, ""),
        (second, RefusalReason.ALREADY_ACKNOWLEDGED, "ada"),
    ]
    assert story.open[id_].acknowledged_by == "ada"
    story.at(2, [resolves(FIRST, minute(2))])
    assert story.at(3, [], second).refused[0].reason is RefusalReason.UNKNOWN


def test_severities_rank_within_an_incident() -> None:
    (incident,) = Story().at(0, [fires(FIRST)]).incidents.values()
    low = alert("slow", at=minute(0), severity=Severity.WARNING)
    assert replace(incident, alerts=(low, FIRST)).severity is Severity.CRITICAL


def test_a_jump_of_the_clock_leaves_durations_as_they_are() -> None:
    story = Story()
    story.at(0, [fires(FIRST)])
    (id_,) = story.open
    story.open = shift(story.open, 3600)
    assert story.open[id_].triggered_at == minute(60)
    (change,) = story.at(66, [resolves(FIRST, minute(66))]).changes
    assert change.incident.lasted_seconds == 360.0
