"""Who is on call: layers, overrides, temporary schedules, gaps and reports."""

from __future__ import annotations

import random
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelmon.oncall.history import Recorded, shifts_with_history
from otelmon.oncall.layer import Layer
from otelmon.oncall.overrides import Override
from otelmon.oncall.report import Paged
from otelmon.oncall.restriction import Restriction, parse_days
from otelmon.oncall.rotation import Participant, Rotation
from otelmon.oncall.schedule import Gap, Schedule, Shift
from otelmon.oncall.temporary import FixedShift, TemporarySchedule

LISBON = ZoneInfo("Europe/Lisbon")
MONDAY = datetime(2026, 1, 5, 9, tzinfo=UTC)
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)
OFFICE = Restriction("mon-fri", time(9), time(18), LISBON)


def layer(*people: str | Participant, only: tuple[Restriction, ...] = (), level: int | None = None) -> Layer:
    return Layer(rotation=Rotation(people, "weekly", 1, MONDAY.astimezone(LISBON)), only=only, level=level)


def override(start: float, end: float, person: str = "", replaces: str = "") -> Override:
    return Override(start=MONDAY + start * HOUR, end=MONDAY + end * HOUR, person=person, replaces=replaces)


# --- restrictions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("mon-fri", {0, 1, 2, 3, 4}),
        ("fri-mon", {4, 5, 6, 0}),
        ("sat, sun", {5, 6}),
        ("Wednesday", {2}),
        ("every day", set(range(7))),
    ],
)
def test_days_as_people_write_them(text: str, days: set[int]) -> None:
    assert parse_days(text) == days


def test_a_night_ends_on_the_day_after_the_one_it_begins_on() -> None:
    friday = Restriction("fri", time(18), time(9), LISBON)
    assert friday.active_from(datetime(2026, 1, 9, 12, tzinfo=UTC)) == datetime(2026, 1, 9, 18, tzinfo=UTC)
    assert friday.active_until(datetime(2026, 1, 10, 3, tzinfo=UTC)) == datetime(2026, 1, 10, 9, tzinfo=UTC)
    assert not friday.is_active(datetime(2026, 1, 9, 3, tzinfo=UTC))
    assert not friday.is_active(datetime(2026, 1, 10, 9, tzinfo=UTC))


def test_equal_times_make_days_one_stretch() -> None:
    week = Restriction("mon-fri", time(0), time(0), LISBON)
    assert week.active_from(datetime(2026, 1, 7, tzinfo=UTC)) == datetime(2026, 1, 5, tzinfo=UTC)
    assert week.active_until(datetime(2026, 1, 7, tzinfo=UTC)) == datetime(2026, 1, 10, tzinfo=UTC)
    assert Restriction("every day", time(8), time(8), LISBON).active_from(MONDAY) is None
    never = Restriction([], time(8), time(9), LISBON)
    assert (never.is_active(MONDAY), never.active_from(MONDAY), never.active_until(MONDAY)) == (False, None, None)


def test_an_end_that_the_clock_shows_twice_is_the_last_of_the_two() -> None:
    chicago = Restriction("every day", time(22), time(1, 30), "America/Chicago")
    assert chicago.active_until(datetime(2020, 11, 1, 5, tzinfo=UTC)) == datetime(2020, 11, 1, 7, 30, tzinfo=UTC)


# --- layers, overrides ----------------------------------------------------------------------------------------------


def test_a_higher_layer_wins_where_it_covers_and_a_turn_of_nobody_does_not() -> None:
    schedule = Schedule(layers=[layer("ana"), layer("bo", "nobody", only=(OFFICE,))])
    assert schedule.on_call(MONDAY) == ("bo",)
    assert schedule.on_call(MONDAY + 9 * HOUR) == ("ana",)
    assert schedule.on_call(MONDAY + WEEK) == ("ana",)


def test_equal_layers_are_both_on_call() -> None:
    schedule = Schedule(layers=[layer("bo", level=1), layer("ana", level=1), layer("cy", only=(OFFICE,), level=2)])
    assert schedule.on_call(MONDAY - HOUR) == ("ana", "bo")
    assert schedule.on_call(MONDAY) == ("cy",)


def test_a_layer_counts_from_its_start_to_its_end() -> None:
    dated = Layer(rotation=layer("bo").rotation, starts_at=MONDAY, ends_at=MONDAY + DAY)
    schedule = Schedule(layers=[layer("ana"), dated])
    assert [shift.person for shift in schedule.shifts(MONDAY - DAY, MONDAY + 2 * DAY)] == ["ana", "bo", "ana"]


def test_a_swap_of_a_swap_and_a_replacement_of_somebody_who_is_off() -> None:
    overrides = [override(0, 10, "bo", "ana"), override(2, 4, "cy", "bo"), override(0, 10, "dee", "nemo")]
    schedule = Schedule(layers=[layer("ana")], overrides=overrides)
    found = [(shift.person, (shift.start - MONDAY) / HOUR) for shift in schedule.shifts(MONDAY, MONDAY + 12 * HOUR)]
    assert found == [("bo", 0), ("cy", 2), ("bo", 4), ("ana", 10)]


def test_a_hole_in_a_temporary_schedule_stays_one_whatever_overrides_say() -> None:
    plan = TemporarySchedule(
        start=MONDAY, end=MONDAY + DAY, shifts=(FixedShift(person="bo", start=MONDAY + HOUR, end=MONDAY + 2 * HOUR),)
    )
    schedule = Schedule(layers=[layer("ana")], overrides=[override(0, 24, "cy")], temporary=[plan])
    assert schedule.gaps(MONDAY - DAY, MONDAY + WEEK) == (
        Gap(start=MONDAY, end=MONDAY + HOUR),
        Gap(start=MONDAY + 2 * HOUR, end=MONDAY + DAY),
    )


def test_a_week_of_nobody_is_a_gap_on_purpose_and_a_removal_is_not() -> None:
    schedule = Schedule(layers=[layer("ana", "nobody")], overrides=[override(0, 1, replaces="ana")])
    assert schedule.gaps(MONDAY, MONDAY + 3 * WEEK) == (
        Gap(start=MONDAY, end=MONDAY + HOUR),
        Gap(start=MONDAY + WEEK, end=MONDAY + 2 * WEEK, on_purpose=True),
    )


def test_turns_of_one_person_that_follow_each_other_are_one_shift() -> None:
    (shift,) = Schedule(layers=[layer("ana")]).shifts(MONDAY, MONDAY + 3 * WEEK)
    assert shift == Shift(person="ana", start=MONDAY, end=MONDAY + 3 * WEEK, truncated=True)


def test_who_comes_next_is_somebody_else() -> None:
    schedule = Schedule(layers=[layer("ana", "ana", "bo")])
    following = schedule.next_on_call(MONDAY)
    assert following == Shift(person="bo", start=MONDAY + 2 * WEEK, end=MONDAY + 3 * WEEK)
    assert Schedule(layers=[layer("ana")]).next_on_call(MONDAY) is None
    soon = override(5 * 24, 400, "cy"), override(6 * 24, 7 * 24, "dee")
    both = Schedule(layers=[layer("ana")], overrides=soon).next_on_call(MONDAY)
    assert both is not None
    assert (both.person, both.end) == ("cy", MONDAY + 400 * HOUR)
    yearly = Schedule(layers=[Layer(rotation=Rotation(["ana", "bo"], "monthly", 12, MONDAY))])
    later = yearly.next_on_call(MONDAY + DAY)
    assert later is not None
    assert (later.person, later.start) == ("bo", MONDAY.replace(year=2027))


def test_recorded_history_wins_for_the_past() -> None:
    schedule = Schedule(layers=[layer("ana")])
    history = [
        Recorded(person="bo", start=MONDAY - HOUR, end=MONDAY + HOUR),
        Recorded(person="ana", start=MONDAY + HOUR),
    ]
    found = shifts_with_history(schedule, history, MONDAY, MONDAY + DAY, at=MONDAY + 2 * HOUR)
    assert [(shift.person, shift.start) for shift in found] == [("bo", MONDAY - HOUR), ("ana", MONDAY + HOUR)]


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        Schedule(layers=[layer("ana")]).on_call(datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_report_counts_hours_nights_weekends_and_pages() -> None:
    schedule = Schedule(time_zone=LISBON, layers=[layer("ana", "bo", "nobody")])
    start, end = MONDAY, MONDAY + 3 * WEEK
    pages = [Paged(person="bo", at=MONDAY + WEEK), Paged(person="bo", at=MONDAY - DAY), Paged(person="cy", at=MONDAY)]
    report = schedule.report(start, end, pages)
    ana, bo, cy = report.loads
    assert (ana.hours, ana.night, ana.weekend, ana.shifts, ana.pages) == (168, 56 * HOUR, 48 * HOUR, 1, 0)
    assert (bo.hours, bo.pages, cy.hours, cy.pages) == (168, 1, 0, 1)
    assert (report.covered, report.uncovered, report.off_on_purpose) == (2 * WEEK, WEEK, WEEK)
    assert (round(report.coverage, 3), report.balance) == (0.667, 1)


# --- one answer, however it is asked --------------------------------------------------------------------------------

people = st.sampled_from(["ana", "bo", "cy", "dee"])
restrictions = st.builds(
    Restriction,
    st.lists(st.integers(0, 6), max_size=7),
    st.times().map(lambda at: at.replace(second=0, microsecond=0)),
    st.times().map(lambda at: at.replace(second=0, microsecond=0)),
    st.just(LISBON),
)
layers = st.builds(
    lambda who, unit, only, level: Layer(rotation=Rotation(who, unit, 1, MONDAY), only=tuple(only), level=level),
    st.lists(people | st.just("nobody"), min_size=1, max_size=4),
    st.sampled_from(["daily", "weekly", "monthly"]),
    st.lists(restrictions, max_size=2),
    st.none() | st.integers(1, 2),
)
overrides_ = st.builds(
    lambda start, length, person, replaces: override(start, start + length, person, replaces),
    st.integers(-100, 2000), st.integers(1, 300), people, people | st.just(""),
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(layers, max_size=4), st.lists(overrides_, max_size=6), st.integers(0, 1000))
def test_shifts_gaps_and_the_report_agree_with_who_is_on_call_at_any_instant(
    chosen: list[Layer], overrides: list[Override], seed: int
) -> None:
    schedule = Schedule(time_zone=LISBON, layers=chosen, overrides=overrides)
    start = datetime(2026, 3, 20, tzinfo=UTC)
    end = start + timedelta(days=20)
    shifts, gaps = schedule.shifts(start, end), schedule.gaps(start, end)
    chance = random.Random(seed)
    moments = [start + timedelta(seconds=chance.randrange(20 * 86400)) for _ in range(30)]
    moments += [at for one in (*shifts, *gaps) for at in (one.start, one.end - timedelta.resolution)][:60]
    for at in moments:
        on_call = tuple(sorted(shift.person for shift in shifts if shift.start <= at < shift.end))
        assert on_call == schedule.on_call(at)
        assert any(gap.start <= at < gap.end for gap in gaps) == (not on_call)
    report = schedule.report(start, end)
    assert report.covered + report.uncovered == end - start
    assert sum((load.total for load in report.loads), timedelta(0)) == report.covered + report.shared
    assert report.uncovered == sum((gap.end - gap.start for gap in gaps), timedelta(0))
