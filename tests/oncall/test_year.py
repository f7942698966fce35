"""A year of a team of six: everybody who should be paged is, nobody who is off is, and the hours add up."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from otelmon.oncall.escalation import acknowledge, begin, step
from otelmon.oncall.layer import Layer
from otelmon.oncall.overrides import Override
from otelmon.oncall.people import Person, Team
from otelmon.oncall.policy import Policy, Step, Target, TargetKind
from otelmon.oncall.report import Paged
from otelmon.oncall.restriction import Restriction
from otelmon.oncall.rotation import Participant, Rotation
from otelmon.oncall.schedule import Schedule
from otelmon.rules.model import Severity

LISBON = ZoneInfo("Europe/Lisbon")
START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
LEAVES, JOINS = datetime(2026, 5, 13, 12, tzinfo=UTC), datetime(2026, 8, 1, tzinfo=UTC)
TICK = timedelta(minutes=1)
ROLE = "998877665544332211"


def team(chance: random.Random) -> Team:
    start = datetime(2026, 1, 5, 9, tzinfo=LISBON)
    everybody = ["ana", Participant("bo", leaves_at=LEAVES), "cy", "dee", "eli", Participant("fay", joins_at=JOINS)]
    nights = Restriction("every day", time(20), time(8), LISBON)
    layers = [
        Layer(rotation=Rotation(everybody, "weekly", 1, start)),
        Layer(rotation=Rotation(["cy", "nobody", "dee"], "daily", 1, start), only=(nights,)),
    ]
    overrides = []
    for _ in range(40):
        begins = START + timedelta(hours=chance.randrange(365 * 24))
        person, replaces = chance.sample(["ana", "cy", "dee", "eli"], 2)
        length = timedelta(hours=chance.randrange(1, 72))
        kind = chance.choice(("replace", "add", "remove"))
        overrides.append(
            Override(
                start=begins, end=begins + length, person="" if kind == "remove" else person,
                replaces="" if kind == "add" else replaces,
            )
        )  # fmt: skip
    schedule = Schedule(name="backend", time_zone=LISBON, layers=layers, overrides=overrides)
    names = ("ana", "bo", "cy", "dee", "eli", "fay")
    return Team(people={name: Person(name=name, discord="1" * 18) for name in names}, schedules={"backend": schedule})


POLICY = Policy(
    name="default",
    steps=(
        Step(notify=(Target(kind=TargetKind.SCHEDULE, name="backend"),)),
        Step(wait=timedelta(minutes=10), notify=(Target(kind=TargetKind.NEXT, name="backend"),)),
    ),
    repeat=1,
    repeat_every=timedelta(minutes=15),
    fallback_role=ROLE,
)


def test_a_year_of_three_hundred_incidents() -> None:
    chance = random.Random(2026)
    who = team(chance)
    backend = who.schedules["backend"]
    pages: list[Paged] = []
    fell_through = 0
    for _ in range(300):
        began = START + timedelta(minutes=chance.randrange(364 * 24 * 60))
        answered = began + timedelta(minutes=chance.choice((1, 5, 12, 30, 70)))
        escalation = begin(POLICY, began)
        reached_at: list[datetime] = []
        at = began
        while at < answered + timedelta(minutes=40):
            done = step(escalation, POLICY, who, severity=Severity.CRITICAL, at=at)
            escalation = done.escalation
            for decision in done.decisions:
                assert at < answered, "nobody is paged once somebody acknowledged"
                fell_through += not (decision.people or decision.roles)
                for person in decision.people:
                    if decision.step == 0:
                        assert person in backend.on_call(at), "paged while off"
                    assert not (person == "bo" and at >= LEAVES)
                    assert not (person == "fay" and at < JOINS - timedelta(weeks=6))
                    pages.append(Paged(person=person, at=at))
                if decision.people or decision.roles:
                    reached_at.append(at)
            at += TICK
            if at == answered:
                escalation = acknowledge(escalation, "ana", at)
        assert reached_at[0] == began, "the first page is at once, also where nobody is on call"
        waits = [later - earlier for earlier, later in itertools.pairwise(reached_at)]
        assert all(wait <= POLICY.repeat_every for wait in waits)
    report = backend.report(START, END, pages)
    assert report.covered + report.uncovered == END - START
    assert sum((load.total for load in report.loads), timedelta(0)) == report.covered + report.shared
    assert sum(load.pages for load in report.loads) == len(pages) > 300
    assert report.coverage > 0.9
    assert fell_through > 0
    assert {load.person for load in report.loads} == set(who.people)
