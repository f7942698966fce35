"""Turns: when they begin, whose they are, and what joining and leaving changes."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelmon.oncall.rotation import NOBODY, VACANT, Participant, Rotation

LISBON = ZoneInfo("Europe/Lisbon")
MONDAY = datetime(2026, 1, 5, 9, tzinfo=LISBON)


def local(rotation: Rotation, start: datetime, end: datetime) -> list[str]:
    zone = rotation.start.tzinfo
    return [f"{at.astimezone(zone):%m-%d %H:%M %z}" for at in rotation.handoffs(start, end)]


def turns(rotation: Rotation, start: datetime, end: datetime) -> list[tuple[str, str]]:
    return [(f"{turn.start:%m-%d}", turn.participant) for turn in rotation.shifts(start, end)]


def test_a_week_hands_off_at_nine_in_winter_and_in_summer() -> None:
    rotation = Rotation(["ana", "nobody", "bo"], "weekly", 1, MONDAY)
    assert rotation.shift_at(datetime(2026, 1, 5, 9, tzinfo=UTC)).participant == "ana"
    assert rotation.shift_at(datetime(2026, 1, 12, 9, tzinfo=UTC)).person is None
    assert rotation.participant_at(datetime(2026, 1, 12, 9, tzinfo=UTC)) == NOBODY
    assert local(rotation, datetime(2026, 3, 20, tzinfo=UTC), datetime(2026, 4, 7, tzinfo=UTC)) == [
        "03-23 09:00 +0000", "03-30 09:00 +0100", "04-06 09:00 +0100",
    ]  # fmt: skip


def test_months_from_the_31st_clamp_and_do_not_drift() -> None:
    rotation = Rotation(["ana", "bo"], "monthly", 1, datetime(2027, 10, 31, 9, tzinfo=LISBON))
    days = [entry[:5] for entry in local(rotation, datetime(2027, 10, 1, tzinfo=UTC), datetime(2028, 6, 1, tzinfo=UTC))]
    assert days == ["10-31", "11-30", "12-31", "01-31", "02-29", "03-31", "04-30", "05-31"]
    two = Rotation(["ana", "bo"], "monthly", 2, datetime(2026, 12, 31, 9, tzinfo=LISBON))
    days = [entry[:5] for entry in local(two, datetime(2026, 7, 1, tzinfo=UTC), datetime(2027, 7, 1, tzinfo=UTC))]
    assert days == ["08-31", "10-31", "12-31", "02-28", "04-30", "06-30"]


def test_havana_skips_midnight_and_the_day_begins_at_one() -> None:
    rotation = Rotation(["ana", "bo"], "daily", 1, datetime(2026, 1, 1, tzinfo=ZoneInfo("America/Havana")))
    assert local(rotation, datetime(2026, 3, 7, tzinfo=UTC), datetime(2026, 3, 10, tzinfo=UTC)) == [
        "03-07 00:00 -0500", "03-08 01:00 -0400", "03-09 00:00 -0400",
    ]  # fmt: skip


def test_cairo_skips_midnight_of_a_month() -> None:
    rotation = Rotation(["ana", "bo"], "daily", 1, datetime(2024, 4, 1, 0, 30, tzinfo=ZoneInfo("Africa/Cairo")))
    assert local(rotation, datetime(2024, 4, 24, tzinfo=UTC), datetime(2024, 4, 27, tzinfo=UTC)) == [
        "04-25 00:30 +0200", "04-26 01:00 +0300", "04-27 00:30 +0300",
    ]  # fmt: skip


def test_lord_howe_turns_its_clock_by_half_an_hour() -> None:
    rotation = Rotation(["ana", "bo"], "hourly", 1, datetime(2021, 4, 1, 1, 45, tzinfo=ZoneInfo("Australia/Lord_Howe")))
    start = datetime(2021, 4, 3, 13, tzinfo=UTC)
    assert local(rotation, start, start + timedelta(hours=5)) == [
        "04-04 00:45 +1100", "04-04 01:45 +1100", "04-04 02:45 +1030", "04-04 03:45 +1030",
    ]  # fmt: skip


def test_an_hourly_shift_over_the_repeated_hour_lasts_two_hours_and_is_one() -> None:
    rotation = Rotation(["ana", "bo"], "hourly", 1, datetime(2020, 7, 6, 2, 30, tzinfo=ZoneInfo("America/Chicago")))
    start = datetime(2020, 11, 1, 6, 30, tzinfo=UTC)
    for minutes in range(0, 120, 10):
        shift = rotation.shift_at(start + timedelta(minutes=minutes))
        assert (shift.start, shift.end) == (start, start + timedelta(hours=2))


def test_apia_lost_a_day_and_nobody_keeps_it() -> None:
    rotation = Rotation(["ana", "bo", "cy"], "daily", 1, datetime(2011, 12, 28, 9, tzinfo=ZoneInfo("Pacific/Apia")))
    start = datetime(2011, 12, 28, 18, tzinfo=UTC)
    assert local(rotation, start, start + timedelta(days=4)) == [
        "12-28 09:00 -1000", "12-29 09:00 -1000", "12-31 00:00 +1400", "12-31 09:00 +1400", "01-01 09:00 +1400",
    ]  # fmt: skip
    lost = Rotation(["ana", "bo", "cy"], "daily", 1, datetime(2011, 12, 28, tzinfo=ZoneInfo("Pacific/Apia")))
    assert [turn.participant for turn in lost.shifts(start, start + timedelta(days=3))] == ["ana", "bo", "ana", "bo"]


def test_monrovia_was_off_by_a_part_of_a_minute() -> None:
    rotation = Rotation(["ana", "bo"], "daily", 1, datetime(1972, 1, 1, 0, 10, tzinfo=ZoneInfo("Africa/Monrovia")))
    start = datetime(1972, 1, 6, tzinfo=UTC)
    assert rotation.handoffs(start, start + timedelta(days=3)) == (
        datetime(1972, 1, 6, 0, 54, 30, tzinfo=UTC),
        datetime(1972, 1, 7, 0, 44, 30, tzinfo=UTC),  # the clock showed 00:00 and then 00:44:30
        datetime(1972, 1, 8, 0, 10, tzinfo=UTC),
    )


def test_the_time_before_the_start_belongs_to_somebody_too() -> None:
    rotation = Rotation(["ana", "bo", "cy"], "weekly", 1, MONDAY)
    assert turns(rotation, MONDAY - timedelta(days=20), MONDAY) == [("12-15", "ana"), ("12-22", "bo"), ("12-29", "cy")]


@pytest.mark.parametrize(
    ("participants", "every", "start"),
    [([], 1, MONDAY), (["ana"], 0, MONDAY), (["ana"], 9001, MONDAY), (["ana"], 1, MONDAY.replace(tzinfo=None))],
)
def test_what_is_no_rotation_is_refused(participants: list[str], every: int, start: datetime) -> None:
    with pytest.raises(ValueError, match=r"."):
        Rotation(participants, "weekly", every, start)


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        Rotation(["ana"], "weekly", 1, MONDAY).shift_at(datetime(2026, 1, 1))  # noqa: DTZ001


# --- joining and leaving --------------------------------------------------------------------------------------------


def test_who_joins_takes_a_turn_after_those_who_have_begun() -> None:
    joins = Participant("cy", joins_at=datetime(2026, 1, 14, tzinfo=UTC))
    rotation = Rotation(["ana", "bo", joins], "weekly", 1, MONDAY)
    assert turns(rotation, MONDAY, MONDAY + timedelta(days=34)) == [
        ("01-05", "ana"), ("01-12", "bo"), ("01-19", "cy"), ("01-26", "ana"), ("02-02", "bo"),
    ]  # fmt: skip


def test_who_leaves_in_mid_shift_is_followed_at_once() -> None:
    leaves = Participant("ana", leaves_at=datetime(2026, 1, 7, tzinfo=UTC))
    rotation = Rotation([leaves, "bo", "cy"], "weekly", 1, MONDAY)
    assert turns(rotation, MONDAY, MONDAY + timedelta(days=20)) == [
        ("01-05", "ana"), ("01-07", "bo"), ("01-12", "bo"), ("01-19", "cy"),
    ]  # fmt: skip


def test_a_rotation_that_everybody_left_is_vacant_until_somebody_joins() -> None:
    members = [
        Participant("ana", leaves_at=datetime(2026, 1, 7, tzinfo=UTC)),
        Participant("bo", joins_at=datetime(2026, 1, 9, tzinfo=UTC)),
    ]
    rotation = Rotation(members, "weekly", 1, MONDAY)
    assert turns(rotation, MONDAY, MONDAY + timedelta(days=13)) == [
        ("01-05", "ana"), ("01-07", VACANT), ("01-09", "bo"), ("01-12", "bo"),
    ]  # fmt: skip
    assert rotation.shift_at(datetime(2026, 1, 8, tzinfo=UTC)).person is None


names = st.sampled_from(["a", "b", "c", "d", "e", NOBODY])
hours = st.integers(-24 * 90, 24 * 90)


@st.composite
def rotations(draw: st.DrawFn) -> Rotation:
    members = []
    for name in draw(st.lists(names, min_size=1, max_size=5)):
        joins, leaves = draw(st.none() | hours), draw(st.none() | hours)
        if joins is not None and leaves is not None and leaves <= joins:
            leaves = None
        at = [None if hour is None else MONDAY.astimezone(UTC) + timedelta(hours=hour) for hour in (joins, leaves)]
        members.append(Participant(name, *at))
    return Rotation(members, draw(st.sampled_from(["daily", "weekly"])), draw(st.integers(1, 3)), MONDAY)


@settings(max_examples=60, deadline=None)
@given(rotations(), hours)
def test_with_joins_and_leaves_every_instant_has_one_shift_and_who_has_it_is_in(rotation: Rotation, hour: int) -> None:
    start = MONDAY.astimezone(UTC) + timedelta(hours=hour)
    shifts = rotation.shifts(start, start + timedelta(days=40))
    for before, after in itertools.pairwise(shifts):
        assert before.start < before.end == after.start < after.end
    for shift in shifts:
        for at in (shift.start, shift.end - timedelta.resolution):
            assert rotation.shift_at(at) == shift
            assert rotation.participant_at(at) == shift.participant
            able = {member.person for member in rotation.members if member.takes_turns(at)}
            assert shift.participant in able or (shift.participant == VACANT and not able)


@settings(max_examples=60, deadline=None)
@given(rotations(), hours, st.integers(0, 4))
def test_removing_somebody_does_not_change_who_is_on_call_if_it_is_somebody_else(
    rotation: Rotation, hour: int, who: int
) -> None:
    at = MONDAY.astimezone(UTC) + timedelta(hours=hour)
    person = rotation.members[who % len(rotation.members)].person
    if all(member.person == person and member.joins_at and member.joins_at >= at for member in rotation.members):
        return
    before = rotation.shift_at(at)
    after = rotation.without(person, at)
    if before.participant not in (person, VACANT):
        assert after.participant_at(at) == before.participant
    else:
        assert after.participant_at(at) != person
    earlier = at - timedelta.resolution
    assert after.participant_at(earlier) == rotation.participant_at(earlier)
    assert all(turn.participant != person for turn in after.shifts(at, at + timedelta(days=60)))


def test_an_edited_list_keeps_who_is_on_call() -> None:
    at = MONDAY + timedelta(days=8)
    assert Rotation(["ana", "bo", "cy"], "weekly", 1, MONDAY).participant_at(at) == "bo"
    edited = Rotation(["bo", "cy"], "weekly", 1, MONDAY)
    assert edited.participant_at(at) == "cy"
    kept = edited.keeping("bo", at)
    assert [kept.participant_at(at + timedelta(weeks=week)) for week in range(3)] == ["bo", "cy", "bo"]
    with pytest.raises(ValueError, match="takes no turns"):
        edited.keeping("ana", at)
