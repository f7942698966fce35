"""A year of a team of six: everybody who should be paged is, nobody who is off is, and the hours add up."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from time import process_time
from zoneinfo import ZoneInfo

from otelmon.alerts.model import Transition
from otelmon.incidents.model import Acknowledge, EventKind, Incident, IncidentState
from otelmon.incidents.policy import Policy as IncidentPolicy
from otelmon.incidents.step import step
from otelmon.oncall.escalation import Escalation
from otelmon.oncall.escalations import EscalationsStep, escalate, timing
from otelmon.oncall.figures import figures, handled
from otelmon.oncall.layer import Layer
from otelmon.oncall.model import MentionKind
from otelmon.oncall.overrides import Override
from otelmon.oncall.people import Person, Team
from otelmon.oncall.policy import Policy, Step, Target, TargetKind
from otelmon.oncall.report import Paged
from otelmon.oncall.restriction import Restriction
from otelmon.oncall.rotation import Participant, Rotation
from otelmon.oncall.schedule import Schedule
from otelmon.paging.decide import Context, decide
from otelmon.paging.model import Page, PageAction
from tests.incidents.test_step import alert, fires, resolves
from tests.paging.build import fixed

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
    return Team(
        people={name: Person(name=name, discord=str(number) * 18) for number, name in enumerate(names, start=1)},
        schedules={"backend": schedule},
    )


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


CLOCK_CHANGES = datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)
EVERY = (1, 5, 12, 30, 70)


class Year:
    """Incidents and their escalations through a year, asked for what is due whenever something may be."""

    def __init__(self, who: Team) -> None:
        self.team = who
        self.open: Mapping[str, Incident] = {}
        self.recent: Mapping[str, Incident] = {}
        self.escalations: Mapping[str, Escalation] = {}
        self.pages: list[tuple[datetime, Page]] = []
        self.over: list[Incident] = []

    def at(self, at: datetime, transitions: Sequence[Transition] = (), *requests: Acknowledge) -> EscalationsStep:
        stepped = step(
            self.open,
            transitions,
            requests,
            at=at,
            recent=self.recent,
            policy=GENERAL,
            timing=timing(GENERAL, policy_of),
        )
        made = escalate(
            self.escalations, stepped.incidents, stepped.changes, stepped.refused, team=self.team,
            policy_of=policy_of, at=at,
        )  # fmt: skip
        self.open, self.recent, self.escalations = made.incidents, stepped.recent, made.escalations
        self.over += [each.incident for each in made.changes if each.incident.state is IncidentState.RESOLVED]
        owed = decide(made.changes, routing=fixed(["discord"]), about=Context(service="shop"), calls=made.calls)
        self.pages += [(at, page) for page in owed if page.action is PageAction.POST]
        return made


def policy_of(_: Incident) -> Policy:
    return POLICY


GENERAL = IncidentPolicy(ack_timeout=None)


def test_a_year_of_three_hundred_incidents() -> None:
    cpu = process_time()
    chance = random.Random(2026)
    who = team(chance)
    backend = who.schedules["backend"]
    year = Year(who)
    people = {person.discord: person.name for person in who.people.values()}
    paged: list[Paged] = []
    fell_through = 0
    # One in each of 300 stretches of the year, and right before each change of the clock.
    stretch = (END - START) / 300
    for number in range(300):
        stretch_at = START + number * stretch
        began = stretch_at + timedelta(minutes=chance.randrange(20))
        began = next(
            (at - 5 * TICK for at in CLOCK_CHANGES if stretch_at <= at - 5 * TICK < stretch_at + stretch), began
        )
        answered = began + timedelta(minutes=chance.choice(EVERY))
        one = alert(f"rule_{number}", at=began)
        before = len(year.pages)
        made = year.at(began, [fires(one)])
        (id_,) = made.incidents
        at = began
        while at < answered:
            at += TICK
            asked = [Acknowledge(incident_id=id_, by="ana")] if at == answered else []
            year.at(at, (), *asked)
        told = len(year.pages)
        for _ in range(40):
            at += TICK
            year.at(at)
        assert len(year.pages) == told, "nobody is paged once somebody acknowledged"
        year.at(at + TICK, [resolves(one, at + TICK)])
        pages = year.pages[before:told]
        assert pages[0][0] == began, "the first page is at once, also where nobody is on call"
        assert all(page.message.mentions for _, page in pages)
        assert pages[-1][0] < answered
        waits = [later - earlier for (earlier, _), (later, _) in itertools.pairwise([*pages, (answered, pages[-1][1])])]
        assert all(wait <= longest for wait, longest in zip(waits, allowed(pages), strict=True))
        (incident,) = [each for each in year.over if each.id == id_]
        fell_through += any(event.kind is EventKind.UNREACHED for event in incident.timeline)
        for when, page in pages:
            names = {people[mention.id] for mention in page.message.mentions if mention.kind is MentionKind.USER}
            following = backend.next_on_call(when)
            may = {*backend.on_call(when), *([following.person] if following else [])}
            assert names <= may, "paged while off"
            assert not ("bo" in names and when >= LEAVES)
            assert not ("fay" in names and when < JOINS - timedelta(weeks=6))
            paged += [Paged(person=name, at=when) for name in names]
    assert len(year.over) == 300
    assert year.escalations == {}
    report = backend.report(START, END, paged)
    assert report.covered + report.uncovered == END - START
    assert sum((load.total for load in report.loads), timedelta(0)) == report.covered + report.shared
    assert sum(load.pages for load in report.loads) == len(paged) > 300
    assert report.coverage > 0.9
    assert fell_through > 0
    assert {load.person for load in report.loads} == set(who.people)
    assert process_time() - cpu < 10, "the processor's time, whatever else it does"
    made_of = figures(spell for incident in year.over for spell in handled(incident))
    assert made_of.overall.incidents == made_of.overall.acknowledged == made_of.overall.resolved == 300
    assert timedelta(minutes=min(EVERY)) < made_of.overall.mtta < timedelta(minutes=max(EVERY))
    assert len(made_of.by_rule) == 300
    assert list(made_of.by_person) == ["ana"]


def allowed(pages: Sequence[tuple[datetime, Page]]) -> list[timedelta]:
    """The longest wait that each page may be followed by: the wait of the step after it."""
    return [POLICY.steps[1].wait if is_of_first_step(page) else POLICY.repeat_every for _, page in pages]


def is_of_first_step(page: Page) -> bool:
    """Whether it is a page of the first step."""
    return any(field.name == "Next" and " in 10 min" in field.value for field in page.message.fields)
