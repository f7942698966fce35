"""Escalation: who is paged, when, and when it stops."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from otelmon.oncall.escalation import Decision, Escalation, EscalationReason, acknowledge, begin, shift, step
from otelmon.oncall.layer import Layer
from otelmon.oncall.overrides import Override
from otelmon.oncall.people import Person, Team
from otelmon.oncall.policy import Policy, Step, Target, TargetKind
from otelmon.oncall.restriction import Restriction
from otelmon.oncall.rotation import Participant, Rotation
from otelmon.oncall.schedule import Schedule
from otelmon.rules.model import Severity

AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
ROLE = "998877665544332211"


def to(kind: str, name: str) -> Target:
    return Target(kind=TargetKind(kind), name=name)


def team(*people: str | Participant, overrides: tuple[Override, ...] = (), mute: tuple[str, ...] = ()) -> Team:
    rotation = Rotation(people or ("ana", "bo", "cy"), "weekly", 1, AT)
    names = [one if isinstance(one, str) else one.person for one in rotation.participants]
    return Team(
        people={name: Person(name=name, discord="" if name in mute else "1" * 18) for name in names},
        schedules={"backend": Schedule(name="backend", layers=[Layer(rotation=rotation)], overrides=overrides)},
    )


POLICY = Policy(
    name="default",
    steps=(
        Step(notify=(to("schedule", "backend"),)),
        Step(wait=10 * MINUTE, notify=(to("next", "backend"), to("role", ROLE))),
        Step(wait=15 * MINUTE, notify=(to("everyone", "backend"), to("webhook", "managers"))),
    ),
    repeat=1,
    repeat_every=20 * MINUTE,
    fallback_role=ROLE,
)


class Run:
    """An incident, asked for what is due every minute."""

    def __init__(
        self, policy: Policy = POLICY, who: Team | None = None, severity: Severity = Severity.CRITICAL
    ) -> None:
        self.policy, self.team, self.severity = policy, who or team(), severity
        self.escalation = begin(policy, AT)
        self.log: list[tuple[int, Decision]] = []
        self.minute = 0

    def until(self, minute: int, every: int = 1) -> Run:
        for now in range(self.minute, minute + 1, every):
            at = AT + now * MINUTE
            done = step(self.escalation, self.policy, self.team, severity=self.severity, at=at)
            again = step(done.escalation, self.policy, self.team, severity=self.severity, at=at)
            assert again.decisions == (), "asked twice at an instant, it decides once"
            assert again.escalation == done.escalation
            self.escalation = done.escalation
            self.log += [(now, decision) for decision in done.decisions]
        self.minute = minute + 1
        return self

    @property
    def paged(self) -> list[tuple[int, str]]:
        return [(at, ",".join((*one.people, *one.roles, *one.webhooks))) for at, one in self.log]

    @property
    def reasons(self) -> list[tuple[int, str]]:
        return [(at, one.reason.name) for at, one in self.log]


def test_unanswered_it_goes_through_its_steps_repeats_and_then_mentions_the_role_for_good() -> None:
    run = Run().until(150)
    assert run.paged == [
        (0, "ana"), (10, f"bo,{ROLE}"), (25, "ana,bo,cy,managers"),
        (45, "ana"), (55, f"bo,{ROLE}"), (70, "ana,bo,cy,managers"),
        (90, ROLE), (110, ROLE), (130, ROLE), (150, ROLE),
    ]  # fmt: skip
    assert [reason for at, reason in run.reasons if at in (0, 10, 45, 90)] == ["STEP", "STEP", "REPEAT", "FALLBACK"]


@pytest.mark.parametrize("minute", [0, 5, 10, 12, 30, 95])
def test_acknowledged_it_stops(minute: int) -> None:
    run = Run().until(minute)
    run.escalation = acknowledge(run.escalation, "bo", AT + minute * MINUTE)
    assert run.escalation.stopped
    before = len(run.log)
    assert len(run.until(2000, every=7).log) == before


def test_an_acknowledgement_that_nothing_follows_times_out() -> None:
    run = Run(replace(POLICY, acknowledge_timeout=HOUR)).until(3)
    run.escalation = acknowledge(run.escalation, "ana", AT + 3 * MINUTE)
    run.until(80)
    assert run.reasons[1:4] == [(63, "ACKNOWLEDGE_TIMEOUT"), (63, "STEP"), (73, "STEP")]
    assert "ana" in run.log[1][1].text


def test_a_step_that_reaches_nobody_falls_through_at_once_and_says_so() -> None:
    run = Run(who=team("nobody", "bo", "cy")).until(24)
    assert run.reasons == [(0, "REACHES_NOBODY"), (0, "STEP"), (15, "STEP")]
    assert run.log[0][1].text == "schedule: backend is nobody now"
    assert run.paged[1] == (0, f"bo,{ROLE}")


def test_somebody_without_a_way_to_be_reached_is_nobody() -> None:
    run = Run(who=team("ana", "bo", mute=("ana",))).until(0)
    assert run.log[0][1].text == "ana has no way to be reached"
    assert run.paged[1] == (0, f"bo,{ROLE}")


def test_where_nobody_at_all_is_reached_the_role_is_mentioned_at_once() -> None:
    alone = replace(
        POLICY, steps=(Step(notify=(to("schedule", "backend"),)), Step(wait=HOUR, notify=(to("next", "x"),)))
    )
    run = Run(alone, team("nobody")).until(45)
    assert run.reasons == [
        (0, "REACHES_NOBODY"), (0, "REACHES_NOBODY"), (0, "FALLBACK_NOBODY"), (20, "FALLBACK"), (40, "FALLBACK"),
    ]  # fmt: skip
    assert [who for _, who in run.paged] == ["", "", ROLE, ROLE, ROLE]


def test_without_a_role_it_tries_again_until_somebody_is_on_call() -> None:
    alone = replace(POLICY, steps=(Step(notify=(to("schedule", "backend"),)),), fallback_role="")
    joins = Participant("ana", joins_at=AT + 30 * MINUTE)
    run = Run(alone, team(joins)).until(50)
    assert (40, "ana") in run.paged


def test_after_a_pause_one_step_is_taken_and_the_next_keep_their_waits() -> None:
    run = Run().until(0)
    run.minute = 100
    assert run.until(120).paged == [(0, "ana"), (100, f"bo,{ROLE}"), (115, "ana,bo,cy,managers")]


def test_who_is_on_call_is_asked_when_the_step_is_due() -> None:
    swap = Override(start=AT + 40 * MINUTE, end=AT + HOUR, person="cy", replaces="ana")
    run = Run(who=team(overrides=(swap,))).until(45)
    assert run.paged[0] == (0, "ana")
    assert run.paged[3] == (45, "cy")


def test_everyone_is_who_takes_turns_now() -> None:
    left = Participant("dee", leaves_at=AT - HOUR)
    assert Run(who=team("ana", left, "bo")).until(25).paged[-1] == (25, "ana,bo,managers")


QUIET = Restriction("every day", time(11), time(14, 30), ZoneInfo("UTC"))


def test_a_warning_waits_for_the_end_of_quiet_hours() -> None:
    run = Run(replace(POLICY, quiet=QUIET, remind_after=(30 * MINUTE,)), severity=Severity.WARNING).until(165)
    assert run.reasons == [(0, "HELD"), (150, "STEP"), (160, "STEP")]
    assert "14:30" in run.log[0][1].text


def test_a_critical_incident_never_waits() -> None:
    assert Run(replace(POLICY, quiet=QUIET)).until(0).paged == [(0, "ana")]


def test_where_everybody_has_to_acknowledge_the_others_are_reminded() -> None:
    steps = (Step(notify=(to("person", "ana"), to("person", "bo")), everyone_acknowledges=True),)
    run = Run(replace(POLICY, steps=steps, remind_after=(30 * MINUTE, HOUR))).until(0)
    run.escalation = acknowledge(run.escalation, "ana", AT)
    assert run.until(40).paged == [(0, "ana,bo"), (30, "bo")]
    run.escalation = acknowledge(run.escalation, "bo", AT + 40 * MINUTE)
    assert run.escalation.acknowledged_by == ("ana", "bo")
    assert len(run.until(500).log) == 2


def test_stopped_and_started_anywhere_nothing_is_skipped_or_repeated() -> None:
    whole = Run().until(150).log
    for stop in range(0, 150, 7):
        run = Run().until(stop)
        stored = run.escalation
        run.escalation = Escalation(**{name: getattr(stored, name) for name in Escalation.__slots__})
        assert run.until(150).log == whole


def test_a_jump_of_the_wall_clock_leaves_the_waits_as_they_are() -> None:
    run = Run().until(3)
    jumped = shift(run.escalation, 3600)
    at = AT + HOUR
    early = step(jumped, POLICY, run.team, severity=Severity.CRITICAL, at=at + 9 * MINUTE)
    assert early.decisions == ()
    (due,) = step(jumped, POLICY, run.team, severity=Severity.CRITICAL, at=at + 10 * MINUTE).decisions
    assert due.people == ("bo",)


def test_a_policy_has_steps() -> None:
    with pytest.raises(ValueError, match="needs steps"):
        Policy(name="x", steps=())
    assert EscalationReason.HELD.value == "quiet hours"
