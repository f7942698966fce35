"""People, schedules and policies as they are written, and what is said of those that cannot be meant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from otelmon.document.fields import Problems
from otelmon.document.load import parse_document
from otelmon.document.model import Section
from otelmon.errors import Problem
from otelmon.oncall.load import read_team
from otelmon.oncall.people import Team
from otelmon.oncall.policy import Target, TargetKind

EXAMPLE = """\
people:
  ana: {discord: 112233445566778899, time_zone: Europe/Lisbon}
  bo:  {discord: 223344556677889900, time_zone: America/Chicago}
schedules:
  backend:
    time_zone: Europe/Lisbon
    layers:
      - rotation: weekly              # hourly | daily | weekly | monthly; every: N
        start: 2026-01-05 09:00
        participants: [ana, nobody, bo]   # "nobody" is a week off on purpose; an empty list is an error
        only: {days: mon-fri, from: 09:00, to: 18:00}   # may cross midnight
    overrides:
      - {from: 2026-12-24 00:00, to: 2026-12-27 00:00, person: bo, replaces: ana}
escalation:
  default:
    repeat: 3
    steps:
      - {notify: [schedule: backend]}
      - {wait: 10m, notify: [next: backend, role: 998877665544332211]}   # since the step before
      - {wait: 15m, notify: [everyone: backend, webhook: managers]}
"""


def read(text: str, webhooks: tuple[str, ...] | None = None) -> tuple[Team, list[Problem]]:
    document = parse_document(text, name="otelmon.yaml")
    assert isinstance(document, Section)
    problems = Problems()
    sections = [entry.value if (entry := document.entries.get(name)) else None for name in ("people", "schedules")]
    escalation = document.entries["escalation"].value if "escalation" in document.entries else None
    return read_team(*sections, escalation, problems, webhooks=webhooks), problems.found


def test_the_example_means_what_a_person_reads() -> None:
    team, problems = read(EXAMPLE)
    assert problems == []
    assert team.people["ana"].discord == "112233445566778899"
    assert team.people["bo"].time_zone == ZoneInfo("America/Chicago")
    backend = team.schedules["backend"]
    assert backend.on_call(datetime(2026, 1, 5, 8, 59, tzinfo=UTC)) == ()
    assert backend.on_call(datetime(2026, 1, 5, 9, tzinfo=UTC)) == ("ana",)
    assert backend.on_call(datetime(2026, 1, 5, 17, 59, tzinfo=UTC)) == ("ana",)
    assert backend.on_call(datetime(2026, 1, 5, 18, tzinfo=UTC)) == ()
    assert backend.on_call(datetime(2026, 1, 12, 12, tzinfo=UTC)) == ()
    assert backend.on_call(datetime(2026, 1, 19, 12, tzinfo=UTC)) == ("bo",)
    summer = backend.shifts(datetime(2026, 7, 6, tzinfo=UTC), datetime(2026, 7, 26, tzinfo=UTC))
    assert {(shift.start.hour, shift.end.hour) for shift in summer} == {(8, 17)}
    policy = team.policies["default"]
    assert policy.repeat == 3
    assert [step.wait for step in policy.steps] == [timedelta(0), timedelta(minutes=10), timedelta(minutes=15)]
    assert policy.steps[1].notify == (
        Target(kind=TargetKind.NEXT, name="backend"),
        Target(kind=TargetKind.ROLE, name="998877665544332211"),
    )


def test_everything_that_can_be_written() -> None:
    team, problems = read("""\
people: {ana: {discord: "112233445566778899"}, bo: {}}
schedules:
  backend:
    time_zone: Africa/Cairo
    layers:
      - {rotation: monthly, every: 2, start: 2026-01-31T09:00, end: 2027-01-01 00:00, participants: [ana, bo]}
      - rotation: daily
        start: 2026-01-01 00:00
        level: 1
        participants:
          - bo
          - {person: ana, from: 2026-03-01 00:00, to: 2026-09-01 00:00}
        only:
          - {days: [mon, tue], from: 22:00, to: 06:00}
          - {days: sat-sun}
    overrides:
      - {from: 2026-02-01 00:00, to: 2026-02-02 24:00, removes: ana, reason: ill, by: bo}
""")
    assert [problem.message for problem in problems] == ["'2026-02-02 24:00' is no day and time of the calendar"]
    assert len(team.schedules["backend"].layers[1].only) == 2
    team, problems = read("""\
escalation:
  night:
    repeat_every: 20m
    fallback_role: 998877665544332211
    acknowledge_timeout: 2h
    quiet_hours: {from: 22:00, to: 24:00}
    remind_after: [30m, 1h]
    steps: [{notify: [webhook: managers], everyone_acknowledges: yes}]
""")
    assert problems == []
    policy = team.policies["night"]
    assert policy.steps[0].everyone_acknowledges
    assert policy.quiet is not None
    assert policy.quiet.is_active(datetime(2026, 1, 1, 23, 59, tzinfo=UTC))
    assert policy.remind_after == (timedelta(minutes=30), timedelta(hours=1))


def test_no_sections_are_no_team() -> None:
    assert read("a: 1") == (Team(), [])


SCHEDULE = "people: {ana: {}, bo: {}}\nschedules:\n  backend:\n    time_zone: Europe/Lisbon\n"
LAYER = SCHEDULE + "    layers:\n      - "
GOOD = "{rotation: weekly, start: 2026-01-05 09:00, participants: [ana]}"
OVERRIDE = LAYER + GOOD + "\n    overrides:\n      - "
POLICY = LAYER + GOOD + "\nescalation:\n  default:\n"

# What is written; the line of the fault; words of what is said; words of what to write.
MALFORMED = {
    "no zone": ("schedules:\n  b:\n    layers: []", 3, "needs a time zone", "time_zone: Europe/Lisbon"),
    "unknown zone": ("schedules:\n  b:\n    time_zone: Europe/Lisbonn", 3, "no time zone", '"Europe/Lisbon"'),
    "abbreviated zone": ("schedules:\n  b:\n    time_zone: ../../XYZZY", 3, "no time zone", "Europe/Lisbon"),
    "schedule is a word": ("schedules:\n  b: weekly", 2, "section of keys", "layers:"),
    "schedules is a list": ("schedules: [a]", 1, "section of names", "schedules: with a name"),
    "no layers": (SCHEDULE, 4, "nobody on call", "rotation: weekly"),
    "empty layers": (SCHEDULE + "    layers: []", 5, "nobody on call", "rotation: weekly"),
    "layer is a word": (LAYER + "weekly", 6, "a layer expected", "rotation: weekly"),
    "unknown key": (LAYER + "{rotaton: weekly}", 6, "unknown key", '"rotation"'),
    "unknown unit": (LAYER + GOOD.replace("weekly", "weekley"), 6, "not known here", '"weekly"'),
    "no unit": (LAYER + "{start: 2026-01-05 09:00, participants: [ana]}", 6, "needs a rotation", "rotation: weekly"),
    "every 0": (LAYER + GOOD.replace("weekly", "weekly, every: 0"), 6, "out of bounds", "1 to 9000"),
    "no start": (LAYER + "{rotation: weekly, participants: [ana]}", 6, "start is missing", "2026-01-05 09:00"),
    "start without a time": (LAYER + GOOD.replace(" 09:00", ""), 6, "has no time", "2026-01-05 00:00"),
    "start with an offset": (LAYER + GOOD.replace("09:00", "09:00+01:00"), 6, "more than a date", "without an offset"),
    "no such day": (LAYER + GOOD.replace("01-05", "02-30"), 6, "no day and time", "2026-01-05 09:00"),
    "start in words": (LAYER + GOOD.replace("2026-01-05 09:00", "monday"), 6, "no date with a time", "2026-01-05"),
    "no participants": (LAYER + "{rotation: weekly, start: 2026-01-05 09:00}", 6, "needs participants", "[ana, bo]"),
    "empty participants": (LAYER + GOOD.replace("[ana]", "[]"), 6, "empty list", "nobody for a turn off"),
    "one participant, no list": (LAYER + GOOD.replace("[ana]", "ana"), 6, "a list expected", "'- '"),
    "unknown person": (LAYER + GOOD.replace("[ana]", "[anna]"), 6, "no person 'anna'", '"ana"'),
    "only nobody": (LAYER + GOOD.replace("[ana]", "[nobody]"), 6, "nobody is ever", "[ana, bo]"),
    "leaves first": (
        LAYER + GOOD.replace("[ana]", "[bo, {person: ana, from: 2026-02-01 00:00, to: 2026-01-01 00:00}]"),
        6, "leaves before joining", "after from:",
    ),
    "ends first": (LAYER + GOOD.replace("}", ", end: 2025-01-01 00:00}"), 6, "ends before it starts", "later end"),
    "unknown day": (LAYER + GOOD.replace("}", ", only: {days: mon-fry}}"), 6, "no day of the week", "mon-fri"),
    "time of 1080": (LAYER + GOOD.replace("}", ", only: {from: 09:00, to: 1080}}"), 6, "no time of day", "18:00"),
    "time of 25:00": (LAYER + GOOD.replace("}", ", only: {from: 09:00, to: 25:00}}"), 6, "no time of day", "24:00"),
    "from without to": (LAYER + GOOD.replace("}", ", only: {from: 09:00}}"), 6, "from without to", "to: 18:00"),
    "only is a word": (LAYER + GOOD.replace("}", ", only: mon-fri}"), 6, "days and times expected", "{days: mon-fri"),
    "override of nobody": (OVERRIDE + "{from: 2026-01-01 00:00, to: 2026-01-02 00:00}", 8, "of nobody", "person: bo"),
    "nobody on call": (
        OVERRIDE + "{from: 2026-01-01 00:00, to: 2026-01-02 00:00, person: nobody}", 8, "cannot be put", "removes:",
    ),
    "override backwards": (
        OVERRIDE + "{from: 2026-01-02 00:00, to: 2026-01-01 00:00, person: bo}", 8, "ends before", "after from:",
    ),
    "replaces alone": (
        OVERRIDE + "{from: 2026-01-01 00:00, to: 2026-01-02 00:00, replaces: ana}", 8, "by whom", "person: bo",
    ),
    "replaces the same": (
        OVERRIDE + "{from: 2026-01-01 00:00, to: 2026-01-02 00:00, person: bo, replaces: bo}", 8, "by the same", "two",
    ),
    "override without an end": (OVERRIDE + "{from: 2026-01-01 00:00, person: bo}", 8, "to is missing", "09:00"),
    "short id": ("people:\n  ana: {discord: 1234}", 2, "no Discord id", "17 to 20 digits"),
    "person is a word": ("people:\n  ana: 112233445566778899", 2, "section of keys", "discord:"),
    "person called nobody": ("people:\n  nobody: {}", 2, "a turn off", "another name"),
    "no steps": (POLICY + "    repeat: 1", 9, "pages nobody", "notify: [schedule: backend]"),
    "repeat 9": (POLICY + "    repeat: 9\n    steps: [{notify: [person: ana]}]", 9, "out of bounds", "0 to 5"),
    "no notify": (POLICY + "    steps:\n      - {wait: 5m}", 10, "notifies nobody", "[schedule: backend]"),
    "no wait": (
        POLICY + "    steps:\n      - notify: [person: ana]\n      - notify: [person: bo]", 11, "no wait", "wait: 10m",
    ),
    "wait of a number": (POLICY + "    steps:\n      - {wait: 5, notify: [person: ana]}", 10, "no duration", "5s"),
    "target is a word": (POLICY + "    steps:\n      - {notify: [backend]}", 10, "one target", "[schedule: backend]"),
    "unknown target": (POLICY + "    steps:\n      - {notify: [schedul: backend]}", 10, "be notified", '"schedule"'),
    "unknown schedule": (POLICY + "    steps:\n      - {notify: [next: backed]}", 10, "no schedule", '"backend"'),
    "role by name": (POLICY + "    steps:\n      - {notify: [role: admins]}", 10, "no Discord id", "17 to 20 digits"),
    "endless quiet": (
        POLICY + "    quiet_hours: {days: mon-sun}\n    steps: [{notify: [person: ana]}]", 9, "never end", "22:00",
    ),
    "reminders backwards": (
        POLICY + "    remind_after: [1h, 30m]\n    steps: [{notify: [person: ana]}]", 9, "do not increase", "shortest",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_what_cannot_be_meant_is_told_with_its_line_and_what_to_write(name: str) -> None:
    text, line, message, hint = MALFORMED[name]
    _, problems = read(text)
    found = [one for one in problems if message in one.message and hint in (one.hint or "") and one.line == line]
    assert found, "\n".join(map(str, problems))
    assert found[0].file == "otelmon.yaml"
    assert all(one.line for one in problems)


def test_there_are_thirty_kinds_of_malformed_schedules() -> None:
    assert len(MALFORMED) >= 30


def test_a_webhook_has_to_be_known_where_the_names_are() -> None:
    _, problems = read(EXAMPLE, webhooks=("manager",))
    assert [problem.hint for problem in problems] == ['did you mean "manager"?']
