"""Calendar feeds, read back by another's reader."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from icalendar import Calendar

from otelmon.oncall.calendar import person_feed, schedule_feed
from otelmon.oncall.layer import Layer
from otelmon.oncall.overrides import Override
from otelmon.oncall.rotation import Rotation
from otelmon.oncall.schedule import Schedule

LISBON = ZoneInfo("Europe/Lisbon")
MONDAY = datetime(2026, 1, 5, 9, tzinfo=UTC)
WEEK = timedelta(weeks=1)
AT = datetime(2026, 1, 1, tzinfo=UTC)


def schedule(*people: str, name: str = "backend", overrides: tuple[Override, ...] = ()) -> Schedule:
    rotation = Rotation(people, "weekly", 1, MONDAY.astimezone(LISBON))
    return Schedule(name=name, time_zone=LISBON, layers=[Layer(rotation=rotation)], overrides=overrides)


def events(feed: bytes) -> dict[str, tuple[str, datetime, datetime]]:
    assert all(len(line) <= 75 for line in feed.split(b"\r\n"))
    found = {}
    for event in Calendar.from_ical(feed).walk("VEVENT"):
        assert event.decoded("dtstamp") == AT
        found[str(event["uid"])] = (str(event["summary"]), event.decoded("dtstart"), event.decoded("dtend"))
    return found


def test_a_feed_has_each_shift_whole_and_at_its_instant() -> None:
    feed = schedule_feed(schedule("ana", "bo"), MONDAY + timedelta(days=1), MONDAY + timedelta(days=8), at=AT)
    assert list(events(feed).values()) == [
        ("ana on call: backend", MONDAY, MONDAY + WEEK),
        ("bo on call: backend", MONDAY + WEEK, MONDAY + 2 * WEEK),
    ]


def test_a_shift_has_the_same_uid_in_every_feed_and_whatever_time_was_asked_for() -> None:
    team = schedule("ana", "bo")
    first = events(schedule_feed(team, MONDAY, MONDAY + 8 * WEEK, at=AT))
    later = events(schedule_feed(team, MONDAY + 3 * WEEK + timedelta(hours=5), MONDAY + 12 * WEEK, at=AT))
    both = set(first) & set(later)
    assert len(both) == 5
    assert all(first[uid] == later[uid] for uid in both)
    assert len({event[1] for event in [*first.values(), *later.values()]}) == len({*first, *later})
    other = schedule("ana", "bo", name="frontend")
    own = events(person_feed("ana", [team, other], MONDAY, MONDAY + 8 * WEEK, at=AT))
    assert len(own) == 8
    assert {uid for uid, event in first.items() if event[0].startswith("ana")} < set(own)


def test_somebody_who_is_always_on_call_has_one_event_a_month() -> None:
    first = events(schedule_feed(schedule("ana"), MONDAY, MONDAY + 20 * WEEK, at=AT))
    later = events(schedule_feed(schedule("ana"), MONDAY + 7 * WEEK, MONDAY + 30 * WEEK, at=AT))
    both = set(first) & set(later)
    assert len(first) == 5
    assert len(both) == 4
    assert all(first[uid] == later[uid] for uid in both)
    assert [start.astimezone(LISBON).day for _, start, _ in first.values()] == [1] * 5


def test_gaps_show_and_turns_of_nobody_do_not() -> None:
    removed = Override(start=MONDAY, end=MONDAY + timedelta(hours=1), replaces="ana")
    feed = schedule_feed(schedule("ana", "nobody", overrides=(removed,)), MONDAY, MONDAY + 2 * WEEK, at=AT)
    assert [event[0] for event in events(feed).values()] == ["NOBODY on call: backend", "ana on call: backend"]


def test_names_are_data() -> None:
    name = "ana;X-EVIL:1,\\n\nBEGIN:VALARM ü" + "long " * 30
    feed = schedule_feed(schedule(name, "bo"), MONDAY, MONDAY + timedelta(days=1), at=AT)
    assert len(Calendar.from_ical(feed).walk()) == 2
    (event,) = events(feed).values()
    assert event[0].split() == f"{name} on call: backend".split()


def test_no_time_has_no_events() -> None:
    assert events(schedule_feed(schedule("ana"), MONDAY, MONDAY, at=AT)) == {}
