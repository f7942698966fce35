"""Incidents with an escalation, whatever happens to them: who should be paged is, once, and nobody else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from otelmon.alerts.model import Alert, Transition
from otelmon.incidents.model import NEW_MESSAGE, Acknowledge, Cause, Incident, IncidentState, RequestBody, Resolve
from otelmon.incidents.policy import Policy as IncidentPolicy
from otelmon.incidents.silence import AddSilence, Silence, parse_matchers
from otelmon.incidents.step import step
from otelmon.oncall.escalation import Escalation
from otelmon.oncall.escalations import EscalationsStep, escalate, timing
from otelmon.oncall.layer import Layer
from otelmon.oncall.model import Mention, MentionKind
from otelmon.oncall.people import Person, Team
from otelmon.oncall.policy import Policy, Step, Target, TargetKind
from otelmon.oncall.restriction import Restriction
from otelmon.oncall.rotation import Rotation
from otelmon.oncall.schedule import Schedule
from otelmon.paging.decide import Context, decide
from otelmon.paging.model import Page, PageAction
from otelmon.rules.model import Severity
from tests.alerts.build import minute
from tests.incidents.test_step import alert, fires, resolves
from tests.paging.build import fixed

ROLE = "9" * 18
IDS = {"ana": "1" * 18, "bo": "2" * 18}
# Each is on call for an hour, and then nobody is for one.
TURNS = Schedule(name="backend", layers=[Layer(rotation=Rotation(["ana", "bo", "nobody"], "hourly", 1, minute(0)))])
QUIET = Restriction("every day", time(13), time(13, 20), ZoneInfo("UTC"))
TEAM = Team(people={name: Person(name=name, discord=id_) for name, id_ in IDS.items()}, schedules={"backend": TURNS})


def to(kind: str, name: str) -> Target:
    return Target(kind=TargetKind(kind), name=name)


POLICY = Policy(
    name="default",
    steps=(
        Step(notify=(to("schedule", "backend"),)),
        Step(wait=timedelta(minutes=5), notify=(to("next", "backend"), to("webhook", "managers"))),
        Step(wait=timedelta(minutes=7), notify=(to("role", ROLE),)),
    ),
    repeat=1,
    repeat_every=timedelta(minutes=6),
    fallback_role=ROLE,
    quiet=QUIET,
)
GENERAL = IncidentPolicy(
    ack_timeout=timedelta(minutes=30), reopen_within=timedelta(minutes=3), storm_after=3,
    repeat_every={Severity.CRITICAL: timedelta(minutes=2), Severity.WARNING: timedelta(minutes=2), Severity.INFO: None},
)  # fmt: skip


class Night:
    """Incidents and their escalations over minutes, with all pages that are owed."""

    def __init__(self, policy: Policy | None = POLICY, team: Team = TEAM) -> None:
        self.policy, self.team = policy, team
        self.open: Mapping[str, Incident] = {}
        self.recent: Mapping[str, Incident] = {}
        self.silences: Mapping[str, Silence] = {}
        self.escalations: Mapping[str, Escalation] = {}
        self.pages: list[tuple[int, Page]] = []

    def at(self, number: int, transitions: Sequence[Transition] = (), *requests: RequestBody) -> EscalationsStep:
        now = minute(number)
        stepped = step(
            self.open, transitions, requests, at=now, recent=self.recent, silences=self.silences, policy=GENERAL,
            timing=timing(GENERAL, lambda _: self.policy),
        )  # fmt: skip
        made = escalate(
            self.escalations, stepped.incidents, stepped.changes, stepped.refused, team=self.team,
            policy_of=lambda _: self.policy, at=now,
        )  # fmt: skip
        again = escalate(made.escalations, made.incidents, (), team=self.team, policy_of=lambda _: self.policy, at=now)
        assert (again.changes, again.changed) == ((), {}), "asked twice at an instant, it decides once"
        self.open, self.recent, self.silences = made.incidents, stepped.recent, stepped.silences
        self.escalations = made.escalations
        usual = fixed(["discord"], {Severity.CRITICAL: (Mention(kind=MentionKind.ROLE, id="8" * 18),)})
        owed = decide(made.changes, routing=usual, about=Context(service="shop"), calls=made.calls)
        self.pages += [(number, page) for page in owed]
        return made

    def until(self, first: int, last: int) -> None:
        for number in range(first, last + 1):
            self.at(number)

    def told(self, target: str = "discord") -> list[tuple[int, str, list[str]]]:
        return [
            (at, page.reason.name, [mention.id for mention in page.message.mentions])
            for at, page in self.pages
            if page.action is PageAction.POST and page.target == target
        ]


ERRORS = alert(at=minute(0))
SLOW = alert("slow", at=minute(0), severity=Severity.WARNING)


def silence(number: int, minutes: int) -> AddSilence:
    return AddSilence(
        silence=Silence(
            id=f"S{number}", matchers=parse_matchers(["error_rate"]), starts_at=minute(number),
            ends_at=minute(number + minutes), author="ana", created_at=minute(number),
        )
    )  # fmt: skip


def test_a_step_that_is_due_at_the_trigger_is_the_triggered_message() -> None:
    night = Night()
    night.at(0, [fires(ERRORS)])
    assert night.told() == [(0, "TRIGGERED", [IDS["ana"]])]
    night.until(1, 18)
    assert night.told()[1:] == [
        (5, "ESCALATED", [IDS["bo"]]),
        (12, "ESCALATED", [ROLE]),
        (18, "ESCALATED", [IDS["ana"]]),
    ]
    assert night.told("managers") == [(5, "ESCALATED", [IDS["bo"]])]


def test_a_first_step_with_a_wait_is_announced_without_a_mention() -> None:
    first = replace(POLICY.steps[0], wait=timedelta(minutes=4))
    night = Night(replace(POLICY, steps=(first, *POLICY.steps[1:])))
    night.at(0, [fires(ERRORS)])
    night.until(1, 4)
    assert night.told() == [(0, "TRIGGERED", []), (4, "ESCALATED", [IDS["ana"]])]


def test_two_steps_without_a_wait_between_them_are_one_message() -> None:
    second = replace(POLICY.steps[1], wait=timedelta(0))
    night = Night(replace(POLICY, steps=(POLICY.steps[0], second)))
    night.at(0, [fires(ERRORS)])
    assert night.told() == [(0, "TRIGGERED", [IDS["ana"], IDS["bo"]])]


def test_silenced_it_pages_nobody_and_unmuted_it_begins_anew() -> None:
    night = Night()
    night.at(0, [fires(ERRORS)])
    night.at(2, [], silence(2, 10))
    night.until(3, 17)
    assert night.told()[1:] == [(12, "UNMUTED", [IDS["ana"]]), (17, "ESCALATED", [IDS["bo"]])]


def test_an_incident_that_gets_worse_in_quiet_hours_is_released_by_the_message_that_says_so() -> None:
    held = replace(POLICY, quiet=Restriction("every day", time(0), time(23), ZoneInfo("UTC")))
    night = Night(held)
    labels = SLOW.labels
    night.at(0, [fires(SLOW)])
    night.until(1, 9)
    assert night.told() == [(0, "TRIGGERED", [])]
    worse = replace(SLOW, severity=Severity.CRITICAL, labels=labels.with_label("severity", "critical"))
    night.at(10, [fires(worse)])
    assert night.told()[1:] == [(10, "WORSENED", [IDS["ana"]])]
    night.until(11, 15)
    assert night.told()[2:] == [(15, "ESCALATED", [IDS["bo"]])]


def test_something_critical_that_joins_calls_those_of_the_last_step_and_changes_no_wait() -> None:
    night = Night()
    night.at(0, [fires(ERRORS)])
    night.until(1, 6)
    other = replace(ERRORS, labels=ERRORS.labels.with_label("http_route", "/pay"))
    night.at(7, [fires(other)])
    night.until(8, 12)
    assert night.told()[2:] == [(7, "JOINED", [IDS["bo"]]), (12, "ESCALATED", [ROLE])]


def test_acknowledged_it_is_quiet_but_for_what_joins() -> None:
    night = Night()
    (id_,) = night.at(0, [fires(ERRORS)]).incidents
    night.at(3, [], Acknowledge(incident_id=id_, by="ana"))
    night.until(4, 20)
    other = replace(ERRORS, labels=ERRORS.labels.with_label("http_route", "/pay"))
    night.at(21, [fires(other)])
    night.until(22, 32)
    assert night.told()[1:] == [(21, "JOINED", [IDS["ana"]])]
    night.until(33, 38)
    assert night.told()[2:] == [(33, "EXPIRED", [IDS["ana"]]), (38, "ESCALATED", [IDS["bo"]])]


def test_an_expiry_that_the_escalation_missed_begins_it_anew_all_the_same() -> None:
    night = Night()
    (id_,) = night.at(0, [fires(ERRORS)]).incidents
    stopped = night.at(3, [], Acknowledge(incident_id=id_, by="ana")).escalations
    night.until(4, 33)
    night.escalations = stopped  # as where stepping the escalations failed at that instant
    night.at(34)
    assert night.told()[1:] == [(33, "EXPIRED", [IDS["ana"]]), (34, "ESCALATED", [IDS["ana"]])]


def test_where_everybody_has_to_acknowledge_the_second_one_counts_too() -> None:
    both = Step(notify=(to("person", "ana"), to("person", "bo")), everyone_acknowledges=True)
    night = Night(replace(POLICY, steps=(both,), remind_after=(timedelta(minutes=4), timedelta(minutes=8))))
    (id_,) = night.at(0, [fires(ERRORS)]).incidents
    night.at(1, [], Acknowledge(incident_id=id_, by="ana"))
    night.until(2, 5)
    night.at(6, [], Acknowledge(incident_id=id_, by="bo"))
    night.until(7, 20)
    assert night.told() == [(0, "TRIGGERED", [IDS["ana"], IDS["bo"]]), (4, "ESCALATED", [IDS["bo"]])]


def test_a_storm_is_escalated_and_its_members_are_not() -> None:
    night = Night()
    night.at(0, [fires(alert(f"rule_{number}", at=minute(0))) for number in range(6)])
    assert len(night.escalations) == 4
    assert len(night.told()) == 4
    assert all(mentions == [IDS["ana"]] for _, _, mentions in night.told())


def test_a_policy_that_comes_later_takes_over_an_open_incident() -> None:
    night = Night(policy=None)
    night.at(0, [fires(ERRORS)])
    assert night.told() == [(0, "TRIGGERED", ["8" * 18])]
    night.policy = POLICY
    night.at(1)
    assert night.told()[1:] == [(1, "ESCALATED", [IDS["ana"]])]
    night.policy = None
    night.until(2, 3)
    assert night.escalations == {}
    assert night.told()[2:] == [(3, "REMINDER", ["8" * 18])]


NAMES = ("error_rate", "slow")
MINUTES = st.fixed_dictionaries(
    {
        "toggled": st.sets(
            st.tuples(st.sampled_from(NAMES), st.sampled_from((Severity.CRITICAL, Severity.WARNING))), max_size=2
        ),
        "acknowledged": st.none() | st.none() | st.integers(0, 1),
        "resolved": st.none() | st.none() | st.none() | st.integers(0, 1),
        "silenced": st.none() | st.none() | st.integers(1, 6),
        "skipped": st.integers(0, 6),
    }
)


@settings(max_examples=30, deadline=None)
@given(st.lists(MINUTES, max_size=15), st.booleans())
def test_each_decision_that_pages_owes_one_page_and_no_silent_incident_pages(
    day: list[dict[str, object]], answered: bool
) -> None:
    night = Night(POLICY if answered else replace(POLICY, quiet=None, fallback_role=""))
    firing: dict[object, Alert] = {}
    number = 0
    for what in day:
        number += 1 + what["skipped"]
        transitions = []
        for name, severity in sorted(what["toggled"]):
            over = firing.pop((name, severity), None)
            if over is not None:
                transitions.append(resolves(over, minute(number)))
            else:
                firing[name, severity] = alert(name, at=minute(number), severity=severity)
                transitions.append(fires(firing[name, severity]))
        ids = sorted(night.open)
        asked: list[RequestBody] = []
        for key, request in (("acknowledged", Acknowledge), ("resolved", Resolve)):
            if what[key] is not None and what[key] < len(ids):
                asked.append(request(incident_id=ids[what[key]], by="ana"))
        if what["silenced"] is not None:
            asked.append(silence(number, what["silenced"]))
        before, pages = dict(night.open), len(night.pages)
        made = night.at(number, transitions, *asked)
        check(night, made, before, [page for _, page in night.pages[pages:]], minute(number))
    ids = [page.id for _, page in night.pages]
    assert len(ids) == len(set(ids))


@cache
def may_be_paged(at: datetime) -> frozenset[str]:
    following = TURNS.next_on_call(at)
    return frozenset((*TURNS.on_call(at), following.person))


def check(night: Night, made: EscalationsStep, before: Mapping[str, Incident], owed: list[Page], at: datetime) -> None:
    for incident in made.incidents.values():
        new = [change for change in made.changes if change.incident.id == incident.id and change.cause in NEW_MESSAGE]
        mine = [
            page
            for page in owed
            if page.incident_id == incident.id and page.action is PageAction.POST and not page.message.short
        ]
        calling = [page for page in mine if page.message.mentions and page.target == "discord"]
        assert Cause.REMINDER not in {change.cause for change in new}, "the steps take the place of reminders"
        assert len(calling) <= 1, "at one instant, one message calls"
        call = made.calls.get(incident.id)
        if call is not None and call.number:
            assert sum(change.number == call.number for change in new) == 1
            assert [page.message.mentions for page in mine if page.target == "discord"].count(call.mentions) >= 1
            assert {page.target for page in mine} == {"discord", *call.webhooks}
        if not incident.visible:
            assert not mine
        was = before.get(incident.id)
        if was is not None and was.state is incident.state is IncidentState.ACKNOWLEDGED:
            assert {change.cause for change in new} <= {Cause.JOINED, Cause.WORSENED}
        for page in calling:
            pinged = {mention.id for mention in page.message.mentions if mention.kind is MentionKind.USER}
            assert pinged <= {IDS[name] for name in may_be_paged(at)}, "nobody is paged while off"
        # A storm's escalation stands for those of its members.
        escalation = made.escalations.get(incident.storm or incident.id)
        if incident.storm:
            assert incident.id not in made.escalations
        elif incident.state is IncidentState.TRIGGERED and incident.visible:
            assert escalation is not None
            assert escalation.due_at is not None
            assert escalation.due_at > at, "what is due was decided, and something comes next"
    assert made.escalations.keys() <= made.incidents.keys()
