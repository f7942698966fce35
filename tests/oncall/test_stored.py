"""Overrides made by hand, and swaps."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from otelmon.oncall.layer import Layer
from otelmon.oncall.overrides import Override
from otelmon.oncall.people import Person, Team
from otelmon.oncall.rotation import Rotation
from otelmon.oncall.schedule import Schedule
from otelmon.oncall.stored import stored_override, unusable, with_overrides
from otelmon.oncall.swap import SwapError, swap

MONDAY = datetime(2026, 1, 5, 9, tzinfo=UTC)
DAY, WEEK = timedelta(days=1), timedelta(weeks=1)
ANA_OFF = Override(start=MONDAY, end=MONDAY + DAY, person="bo", replaces="ana")


def team(*people: str, overrides: tuple[Override, ...] = ()) -> Team:
    names = people or ("ana", "bo", "cy")
    layer = Layer(rotation=Rotation(names, "weekly", 1, MONDAY))
    return Team(
        people={name: Person(name=name) for name in names},
        schedules={"backend": Schedule(name="backend", layers=[layer], overrides=overrides)},
    )


def test_stored_overrides_count_after_those_of_the_files() -> None:
    of = team(overrides=(Override(start=MONDAY, end=MONDAY + DAY, person="cy", replaces="ana"),))
    again = Override(start=MONDAY, end=MONDAY + DAY, person="bo", replaces="cy")
    merged = with_overrides(of, [stored_override("backend", again, MONDAY)])
    assert merged.schedules["backend"].on_call(MONDAY) == ("bo",)
    assert of.schedules["backend"].on_call(MONDAY) == ("cy",)


def test_what_was_taken_back_or_names_what_is_gone_changes_nothing_and_the_latter_is_told() -> None:
    kept = stored_override("backend", ANA_OFF, MONDAY)
    removed = replace(kept, removed_at=MONDAY, removed_by="bo")
    elsewhere = stored_override("frontend", ANA_OFF, MONDAY)
    assert with_overrides(team(), [removed, elsewhere]) == team()
    assert with_overrides(team("ana", "cy"), [kept]) == team("ana", "cy")
    assert [each.reason for each in unusable(team(), [kept, removed, elsewhere])] == [
        "there is no schedule frontend any more"
    ]
    assert [each.reason for each in unusable(team("ana", "cy"), [kept])] == ["there is no bo among the people any more"]


def test_two_people_exchange_a_shift_each_and_nobody_elses_changes() -> None:
    schedule = team().schedules["backend"]
    made = swap(schedule, "ana", "bo", now=MONDAY - DAY)
    assert (made.given.start, made.taken.start) == (MONDAY, MONDAY + WEEK)
    after = replace(schedule, overrides=made.overrides)
    weeks = [after.on_call(MONDAY + number * WEEK)[0] for number in range(6)]
    assert weeks == ["bo", "ana", "cy", "ana", "bo", "cy"]
    assert all(
        shift.end - shift.start == WEEK for shift in after.shifts(MONDAY, MONDAY + 6 * WEEK) if shift.person == "cy"
    )


def test_of_a_shift_that_began_the_rest_is_swapped() -> None:
    made = swap(team().schedules["backend"], "ana", "cy", now=MONDAY + DAY, for_at=MONDAY + 2 * WEEK)
    assert (made.given.start, made.given.end) == (MONDAY + DAY, MONDAY + WEEK)


@pytest.mark.parametrize(
    ("one", "other", "shift_at", "for_at", "said"),
    [
        ("ana", "ana", None, None, "with themselves"),
        ("bo", "ana", MONDAY, None, "bo is not on call then"),
        ("ana", "bo", MONDAY, MONDAY + 2 * WEEK, "bo is not on call then"),
        ("dee", "bo", None, None, "dee has no shift within 400 days"),
    ],
)
def test_what_cannot_be_swapped_is_refused(
    one: str, other: str, shift_at: datetime | None, for_at: datetime | None, said: str
) -> None:
    with pytest.raises(SwapError, match=said):
        swap(team().schedules["backend"], one, other, now=MONDAY - DAY, shift_at=shift_at, for_at=for_at)


def test_people_who_are_on_call_together_or_without_an_end_cannot_swap() -> None:
    both = Override(start=MONDAY, end=MONDAY + WEEK, person="bo")
    with pytest.raises(SwapError, match="bo is on call too while ana is"):
        swap(team(overrides=(both,)).schedules["backend"], "ana", "bo", now=MONDAY - DAY, for_at=MONDAY + WEEK)
    with pytest.raises(SwapError, match="give an override's times"):
        swap(team("ana").schedules["backend"], "ana", "bo", now=MONDAY)
