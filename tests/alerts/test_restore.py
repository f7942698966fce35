"""A restart, or a jump of the clock, in the middle of an alert."""

from __future__ import annotations

import math

import pytest

from otelmon.alerts.restore import restore, shift
from otelmon.promql.evaluation import Condition
from tests.alerts.build import EXPR, NOTHING, Story, expand, minute, result, rule, series, states

HOME = series("/")
BAD = result((HOME, 0.3))
WELL = result(measured={HOME: 0.01})
UNKNOWN = result(measured={})


def restarted(hold: float = 0.0, keep: float = 0.0, saved: float = 10, at: float = 11) -> Story:
    """A rule that fired at minute 0 and was restarted."""
    before = Story(rule(hold=hold, keep=keep))
    before.at(0, BAD)
    before.at(saved, BAD)
    alerts = restore(before.rule, before.alerts, saved_at=minute(saved), at=minute(at))
    return Story(before.rule, alerts)


def test_a_firing_alert_goes_on_firing_and_is_not_new() -> None:
    story = restarted()
    assert states(story.alerts) == {"/": "firing"}
    assert story.at(11, BAD, hold_restored_until=minute(16)).transitions == ()
    (alert,) = story.alerts.values()
    assert alert.fired_at == minute(0)
    assert not alert.restored


def test_an_empty_window_does_not_resolve_it() -> None:
    story = restarted()
    for number in (11, 12, 15.9):
        assert story.at(number, UNKNOWN, hold_restored_until=minute(16)).transitions == ()
    assert states(story.alerts) == {"/": "firing"}


def test_a_ratio_of_nothing_to_nothing_does_not_resolve_it() -> None:
    story = restarted()
    story.at(11, result(measured={HOME: math.nan}), hold_restored_until=minute(16))
    assert states(story.alerts) == {"/": "firing"}


def test_a_measured_value_below_its_bound_resolves_it() -> None:
    story = restarted()
    story.at(11, WELL, hold_restored_until=minute(16))
    assert story.happened == [("firing", "resolved", "STOPPED")]


def test_a_value_measured_without_the_metrics_name_is_found_too() -> None:
    story = restarted()
    story.at(11, result(measured={HOME.without(["__name__"]): 0.01}), hold_restored_until=minute(16))
    assert story.happened == [("firing", "resolved", "STOPPED")]


def test_another_series_measured_below_its_bound_does_not_resolve_it() -> None:
    story = restarted()
    story.at(11, result(measured={series("/cart"): 0.01}), hold_restored_until=minute(16))
    assert story.happened == []


def test_a_value_over_the_bound_that_only_a_second_condition_hides_does_not_resolve_it() -> None:
    # "ratio > 0.05 and errors >= 5": the window has 3 errors so far.
    story = restarted()
    story.at(11, result(measured={HOME: 0.3}), hold_restored_until=minute(16))
    assert story.happened == []


def test_once_the_window_had_time_to_fill_absence_resolves_it() -> None:
    story = restarted()
    story.at(15, UNKNOWN, hold_restored_until=minute(16))
    story.at(16, UNKNOWN, hold_restored_until=minute(16))
    assert story.happened == [("firing", "resolved", "NO_DATA")]


def test_once_it_was_seen_holding_absence_resolves_it_at_any_time() -> None:
    story = restarted()
    story.at(11, BAD, hold_restored_until=minute(16))
    story.at(12, NOTHING, hold_restored_until=minute(16))
    assert story.happened == [("firing", "resolved", "STOPPED")]


def test_an_expression_without_a_condition_waits_for_the_window_to_fill() -> None:
    story = restarted()
    story.at(12, NOTHING, condition=None, hold_restored_until=minute(16))
    assert story.happened == []
    story.at(16, NOTHING, condition=None, hold_restored_until=minute(16))
    assert len(story.happened) == 1


def test_keep_firing_for_applies_to_a_restored_alert_as_well() -> None:
    story = restarted(keep=120)
    story.at(11, WELL, hold_restored_until=minute(30))
    story.at(12, UNKNOWN, hold_restored_until=minute(30))
    assert states(story.alerts) == {"/": "firing"}
    story.at(13, WELL, hold_restored_until=minute(30))
    assert story.happened == [("firing", "resolved", "STOPPED")]


def test_keep_firing_for_that_had_begun_goes_on_over_a_restart() -> None:
    before = Story(rule(keep=600))
    before.at(0, BAD)
    before.at(1, NOTHING)
    story = Story(before.rule, restore(before.rule, before.alerts, saved_at=minute(1), at=minute(5)))
    story.at(5, WELL, hold_restored_until=minute(10))
    assert states(story.alerts) == {"/": "firing"}
    story.at(11, WELL, hold_restored_until=minute(10))
    assert story.happened == [("firing", "resolved", "STOPPED")]


@pytest.mark.parametrize(
    ("hold", "saved", "at", "grace", "fires"),
    [
        pytest.param(1800, 5, 10, 600, 35, id="half an hour, 5 served: the 5 of the outage do not count"),
        pytest.param(1800, 25, 26, 600, 36, id="less than the grace is left: the grace"),
        pytest.param(1800, 25, 26, 0, 31, id="no grace asked for: what is left"),
        pytest.param(300, 4, 5, 600, 6, id="shorter than the grace: what is left"),
    ],
)
def test_a_pending_alert_goes_on_waiting(hold: float, saved: float, at: float, grace: float, fires: float) -> None:
    before = Story(rule(hold=hold))
    before.at(0, BAD)
    alerts = restore(before.rule, before.alerts, saved_at=minute(saved), at=minute(at), grace_seconds=grace)
    story = Story(before.rule, alerts)
    story.at(fires - 0.1, BAD)
    assert story.happened == []
    story.at(fires, BAD)
    assert story.happened == [("pending", "firing", "HELD_FOR")]


def test_a_pending_alert_does_not_survive_an_hour() -> None:
    before = Story(rule(hold=1800))
    before.at(0, BAD)
    assert restore(before.rule, before.alerts, saved_at=minute(5), at=minute(66)) == {}
    assert restore(before.rule, before.alerts, saved_at=minute(5), at=minute(65)) != {}


def test_a_pending_alert_that_does_not_hold_after_the_restart_is_dropped_once_it_is_measured() -> None:
    before = Story(rule(hold=1800))
    before.at(0, BAD)
    story = Story(before.rule, restore(before.rule, before.alerts, saved_at=minute(5), at=minute(6)))
    story.at(6, UNKNOWN, hold_restored_until=minute(30))
    assert len(story.alerts) == 1
    story.at(7, result(measured={HOME: 0.01}), hold_restored_until=minute(30))
    assert story.alerts == {}


def test_a_jump_of_the_clock_neither_fires_nor_resolves() -> None:
    story = Story(rule(hold=300, keep=300))
    story.at(0, BAD)
    story.alerts = shift(story.alerts, 3600)
    story.at(61, BAD)
    assert story.happened == [(None, "pending", "HELD")]
    story.at(65, BAD)
    story.at(66, NOTHING)
    story.alerts = shift(story.alerts, -3600)
    story.at(7, NOTHING)
    story.at(10.9, NOTHING)
    assert states(story.alerts) == {"/": "firing"}
    story.at(11, NOTHING)
    assert [happened[1] for happened in story.happened] == ["pending", "firing", "resolved"]


def test_a_restored_alert_of_a_below_condition_resolves_above_it() -> None:
    below = Condition(measure=EXPR, operator="<", bound=10.0)
    story = restarted()
    story.at(11, result(measured={HOME: 3.0}), condition=below, hold_restored_until=minute(16), expand=expand)
    assert story.happened == []
    story.at(12, result(measured={HOME: 12.0}), condition=below, hold_restored_until=minute(16))
    assert len(story.happened) == 1
