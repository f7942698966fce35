"""What people are told of their shifts, and how often."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from otelmon.oncall.layer import Layer
from otelmon.oncall.overrides import Override
from otelmon.oncall.people import Person, Team
from otelmon.oncall.restriction import Restriction
from otelmon.oncall.rotation import Rotation
from otelmon.oncall.schedule import Schedule
from otelmon.oncall.shifts_told import (
    Handover,
    NoticeSettings,
    Reminder,
    ShiftNotice,
    Told,
    changed,
    due,
    first_told,
    told_after,
)

LISBON = ZoneInfo("Europe/Lisbon")
MONDAY = datetime(2026, 1, 5, 9, tzinfo=UTC)
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)
ALL = NoticeSettings()


def team(*overrides: Override, unit: str = "weekly", people: Iterable[str] = ("ana", "bo"), only: str = "") -> Team:
    rotation = Rotation(list(people), unit, 1, MONDAY.astimezone(LISBON))
    hours = (Restriction(only, time(9), time(18), LISBON),) if only else ()
    schedule = Schedule(
        name="backend", time_zone=LISBON, layers=[Layer(rotation=rotation, only=hours)], overrides=overrides
    )
    chicago = Person(name="bo", discord="2" * 18, time_zone=ZoneInfo("America/Chicago"))
    return Team(people={"ana": Person(name="ana", discord="1" * 18), "bo": chicago}, schedules={"backend": schedule})


def told_over(
    of: Team, start: datetime, end: datetime, *, every: timedelta, settings: NoticeSettings = ALL
) -> list[tuple[datetime, ShiftNotice]]:
    told, at, found = first_told(of, start), start, []
    while at < end:
        at += every
        found += [(at, notice) for notice in due(told, of, settings, at)]
        told = told_after(told, of, at, looked_ahead=False)
    return found


def test_a_shift_is_announced_once_where_it_begins_and_the_evening_before_by_the_persons_clock() -> None:
    found = told_over(team(), MONDAY - 2 * DAY, MONDAY + 8 * DAY, every=timedelta(minutes=7))
    assert [type(notice) for _, notice in found] == [Reminder, Handover, Reminder, Handover]
    reminded, handed = found[2][1], found[3][1]
    assert isinstance(reminded, Reminder)
    assert isinstance(handed, Handover)
    assert (reminded.person, reminded.at) == ("bo", MONDAY + 6 * DAY + 15 * HOUR)  # 18:00 in Chicago
    assert found[3][0] - MONDAY - WEEK < timedelta(minutes=7)
    assert [(shift.person, shift.start, shift.end) for shift in handed.began] == [
        ("bo", MONDAY + WEEK, MONDAY + 2 * WEEK)
    ]
    assert [shift.person for shift in handed.ended] == ["ana"]


def test_nothing_is_told_of_what_was_before_the_first_look() -> None:
    told = first_told(team(), MONDAY + HOUR)
    assert due(told, team(), ALL, MONDAY + 2 * HOUR) == ()
    assert changed(told, team(), MONDAY + 2 * HOUR) == ()


def test_a_restart_repeats_no_notice_and_skips_none_but_those_that_are_too_late() -> None:
    told = first_told(team(), MONDAY - HOUR)
    (once,) = due(told, team(), ALL, MONDAY + timedelta(seconds=5))
    (again,) = due(told, team(), ALL, MONDAY + timedelta(minutes=50))
    assert once.key == again.key
    assert due(told, team(), ALL, MONDAY + 2 * HOUR) == ()
    evening = first_told(team(), MONDAY - 16 * HOUR)
    assert [notice.key for notice in due(evening, team(), ALL, MONDAY - 13 * HOUR)]
    assert due(evening, team(), ALL, MONDAY - 11 * HOUR) == ()


def test_where_nobody_follows_the_end_is_told_with_who_comes_next() -> None:
    of = team(only="mon-fri", people=("ana",))
    found = [notice for _, notice in told_over(of, MONDAY + HOUR, MONDAY + 10 * HOUR, every=timedelta(minutes=5))]
    (over,) = found
    assert isinstance(over, Handover)
    assert (over.began, [shift.person for shift in over.ended], over.on_call) == ((), ["ana"], ())
    assert over.next is not None
    assert over.next.start == MONDAY + DAY
    silent = NoticeSettings(shift_end=False)
    assert not told_over(of, MONDAY + HOUR, MONDAY + 10 * HOUR, every=timedelta(minutes=5), settings=silent)


def test_each_kind_of_notice_can_be_switched_off() -> None:
    start, end = MONDAY - 2 * DAY, MONDAY + 8 * DAY
    no_start = told_over(team(), start, end, every=HOUR, settings=NoticeSettings(shift_start=False))
    assert {type(notice) for _, notice in no_start} == {Reminder}
    no_reminder = told_over(team(), start, end, every=HOUR, settings=NoticeSettings(reminder=None))
    assert {type(notice) for _, notice in no_reminder} == {Handover}


def test_a_schedule_that_changes_hands_each_hour_tells_each_person_once_a_day() -> None:
    found = told_over(team(unit="hourly"), MONDAY, MONDAY + 5 * DAY, every=HOUR)
    began = Counter(shift.person for _, notice in found if isinstance(notice, Handover) for shift in notice.began)
    assert began == {"ana": 5, "bo": 5}
    assert len(found) == 10
    first = found[0][1]
    assert isinstance(first, Handover)
    assert first.more == 5


def test_days_that_follow_each_other_are_announced_by_one_reminder() -> None:
    found = told_over(team(only="mon-fri"), MONDAY - 2 * DAY, MONDAY + 13 * DAY, every=HOUR)
    assert [notice.person for _, notice in found if isinstance(notice, Reminder)] == ["ana", "bo"]


def test_whoever_a_change_concerns_is_told_what_changed_and_why() -> None:
    told = first_told(team(), MONDAY - DAY)
    swapped = Override(start=MONDAY, end=MONDAY + DAY, person="bo", replaces="ana", reason="dentist", by="ana")
    ana, bo = changed(told, team(swapped), MONDAY - HOUR)
    span = ("backend", (MONDAY, MONDAY + DAY))
    assert (ana.person, ana.added, ana.removed) == ("ana", (), (span,))
    assert (bo.person, bo.added, bo.removed) == ("bo", (span,), ())
    assert ana.because == bo.because == ("ana: dentist",)
    after = told_after(told, team(swapped), MONDAY - HOUR, looked_ahead=True)
    assert changed(after, team(swapped), MONDAY) == ()
    back = changed(after, team(), MONDAY)
    assert [(one.person, one.added, one.removed) for one in back] == [("ana", (span,), ()), ("bo", (), (span,))]


def test_time_that_passes_and_people_who_left_are_no_change() -> None:
    told = first_told(team(), MONDAY)
    assert changed(told, team(), MONDAY + 20 * DAY) == ()
    assert changed(told, team(), MONDAY + 60 * DAY) == ()
    gone = team(people=("ana",))
    gone = replace(gone, people={"ana": gone.people["ana"]})
    assert [one.person for one in changed(told, gone, MONDAY)] == ["ana"]


def test_a_clock_that_was_put_back_tells_nothing_twice() -> None:
    told = Told(at=MONDAY + HOUR, until=MONDAY + 28 * DAY)
    assert due(told, team(), ALL, MONDAY + timedelta(minutes=1)) == ()


def test_each_long_shift_is_told_once_whatever_the_ticks_the_restarts_and_the_overrides() -> None:
    chance = random.Random(7)
    for _ in range(3):
        start, end = MONDAY - 3 * DAY, MONDAY + 9 * DAY
        begins = [start + chance.randrange(12 * 24) * HOUR for _ in range(5)]
        overrides = [
            Override(start=at, end=at + chance.randrange(1, 40) * HOUR, person="bo", replaces="ana") for at in begins
        ]
        of = team(*overrides, unit=chance.choice(["hourly", "daily", "weekly"]), only=chance.choice(["", "mon-fri"]))
        sent: dict[str, ShiftNotice] = {}
        told = saved = first_told(of, start)
        at = start
        while at < end:
            at += timedelta(seconds=chance.randrange(60, 1200))
            found = due(told, of, ALL, at)
            sent |= {notice.key: notice for notice in found if notice.key not in sent}
            told = told_after(told, of, at, looked_ahead=False)
            if found or chance.random() < 0.1:
                saved = told
            if chance.random() < 0.05:
                told = saved  # the process died, and the next one begins with what was saved
        began = [shift for one in sent.values() if isinstance(one, Handover) for shift in one.began]
        told_of = Counter((shift.person, shift.start) for shift in began)
        long = [one for one in of.schedules["backend"].shifts(start, at) if one.end - one.start >= 6 * HOUR]
        assert {(one.person, one.start) for one in long if start < one.start < at - HOUR} <= told_of.keys()
        assert set(told_of.values()) <= {1}
        days = Counter((shift.person, shift.start.date()) for shift in began)
        assert max(days.values(), default=0) <= 6
