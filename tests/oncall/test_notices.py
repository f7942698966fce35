"""Notices of who is on call, and heartbeats that are missed."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from otelmon.oncall.heartbeat import Heartbeat, missed
from otelmon.oncall.notices import Subscription, next_notice_at, step

AT = datetime(2026, 3, 28, 12, tzinfo=UTC)
LISBON = ZoneInfo("Europe/Lisbon")


def test_a_notice_at_a_time_that_the_clock_skips_comes_after_the_gap() -> None:
    assert next_notice_at(AT, time(1, 30), LISBON) == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert next_notice_at(AT, time(9), LISBON) == datetime(2026, 3, 29, 8, tzinfo=UTC)


def test_the_only_day_was_lost_at_the_date_line() -> None:
    at = datetime(2011, 12, 24, tzinfo=UTC)
    found = next_notice_at(at, time(9), ZoneInfo("Pacific/Apia"), {4})
    assert found is not None
    assert found > at


def test_a_channel_is_told_of_changes_only_and_of_a_missed_time_once() -> None:
    daily = Subscription(channel="daily", time_of_day=time(9))
    done = step([Subscription(channel="changes"), daily], ("ana",), ("ana",), at=AT, zone=LISBON)
    assert done.channels == ()
    later = AT + timedelta(days=5)
    done = step(done.subscriptions, ("ana",), ("ana",), at=later, zone=LISBON)
    assert done.channels == ("daily",)
    assert step(done.subscriptions, ("ana",), ("ana",), at=later, zone=LISBON).channels == ()
    assert step(done.subscriptions, ("ana",), (), at=later, zone=LISBON).channels == ("changes",)


def test_a_heartbeat_that_never_came_is_not_missed() -> None:
    backup = Heartbeat(name="backup", interval=timedelta(hours=1))
    assert missed([backup], {}, at=AT) == ()
    assert missed([backup], {"backup": AT - timedelta(minutes=59)}, at=AT) == ()
    assert missed([backup], {"backup": AT - timedelta(hours=1)}, at=AT) == ("backup",)
