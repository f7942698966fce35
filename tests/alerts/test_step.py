"""Stories of one rule, minute by minute, as Prometheus's rules/alerting_test.go tells them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from otelmon.alerts.model import AlertState
from otelmon.alerts.step import remove, step
from otelmon.histogram import Histogram
from otelmon.labels import Labels
from otelmon.promql.evaluation import Condition, Element, Evaluation, Failed
from otelmon.rules.model import Severity, Unit
from otelmon.sample import is_stale
from tests.alerts.build import (
    EXPR,
    NOTHING,
    OVER_FIVE_PERCENT,
    Story,
    expand,
    minute,
    recorded,
    result,
    rule,
    series,
    states,
)

HOME, CART = series("/"), series("/cart")
BAD = result((HOME, 0.3))


def test_without_for_an_alert_fires_at_the_first_evaluation() -> None:
    story = Story(rule())
    made = story.at(0, BAD)
    assert story.happened == [(None, "firing", "HELD")]
    (alert,) = made.alerts.values()
    assert (alert.active_at, alert.fired_at, alert.value, alert.bound) == (minute(0), minute(0), 0.3, 0.05)


def test_with_for_it_is_pending_until_it_has_held_that_long() -> None:
    story = Story(rule(hold=300))
    seen = [states(story.at(number, BAD).alerts)["/"] for number in range(8)]
    assert seen == ["pending"] * 5 + ["firing"] * 3
    assert story.happened == [(None, "pending", "HELD"), ("pending", "firing", "HELD_FOR")]
    (alert,) = story.alerts.values()
    assert (alert.active_at, alert.fired_at, alert.last_held_at) == (minute(0), minute(5), minute(7))


def test_one_evaluation_in_which_a_pending_alert_is_absent_starts_it_afresh() -> None:
    story = Story(rule(hold=300))
    story.at(0, BAD)
    story.at(4, NOTHING)
    assert story.alerts == {}
    for number in (5, 6, 9):
        story.at(number, BAD)
    assert states(story.alerts) == {"/": "pending"}
    story.at(10, BAD)
    assert story.happened == [
        (None, "pending", "HELD"),
        ("pending", "resolved", "STOPPED_BEFORE_FIRING"),
        (None, "pending", "HELD"),
        ("pending", "firing", "HELD_FOR"),
    ]


def test_a_firing_alert_that_is_absent_is_resolved_and_leaves_the_rule() -> None:
    story = Story(rule())
    story.at(0, BAD)
    made = story.at(1, NOTHING)
    assert made.alerts == {}
    (transition,) = made.transitions
    assert transition.alert.state is AlertState.RESOLVED
    assert (transition.alert.fired_at, transition.alert.resolved_at) == (minute(0), minute(1))
    assert story.at(2, NOTHING).transitions == ()


def test_keep_firing_for_bridges_a_gap_and_counts_from_the_first_evaluation_without_it() -> None:
    story = Story(rule(keep=120))
    story.at(0, BAD)
    assert story.at(1, NOTHING).transitions == ()
    assert story.at(2.9, NOTHING).transitions == ()
    made = story.at(3, NOTHING)
    assert [transition.reason.name for transition in made.transitions] == ["STOPPED"]


def test_keep_firing_for_begins_again_once_the_expression_held_in_between() -> None:
    story = Story(rule(keep=120))
    story.at(0, BAD)
    story.at(1, NOTHING)
    story.at(2, BAD)
    story.at(3, NOTHING)
    story.at(4.9, NOTHING)
    assert states(story.alerts) == {"/": "firing"}
    story.at(5, NOTHING)
    assert [happened[1] for happened in story.happened] == ["firing", "resolved"]


def test_keep_firing_for_does_not_keep_a_pending_alert() -> None:
    story = Story(rule(hold=300, keep=600))
    story.at(0, BAD)
    story.at(1, NOTHING)
    assert story.alerts == {}


def test_each_series_is_an_alert_of_its_own() -> None:
    story = Story(rule(hold=120))
    story.at(0, BAD)
    story.at(1, result((HOME, 0.3), (CART, 0.2)))
    story.at(2, result((HOME, 0.3), (CART, 0.2)))
    assert states(story.alerts) == {"/": "firing", "/cart": "pending"}
    story.at(3, result((CART, 0.2)))
    assert states(story.alerts) == {"/cart": "firing"}


def test_its_identity_is_the_series_without_its_name_plus_the_rules_labels_and_alertname() -> None:
    made = Story(rule(labels={"severity": "warning", "team": "web-$route", "job": "other"})).at(0, BAD)
    assert list(made.alerts) == [
        Labels({"alertname": "error_rate", "http_route": "/", "job": "other", "severity": "warning", "team": "web-/"})
    ]
    (alert,) = made.alerts.values()
    assert (alert.severity, alert.series, alert.unit) == (Severity.WARNING, HOME, Unit.RATIO)


def test_a_rules_label_that_expands_to_nothing_removes_the_series_label() -> None:
    made = Story(rule(labels={"job": "$route"})).at(0, result((Labels({"job": "shop", "x": "1"}), 0.3)))
    assert list(made.alerts) == [Labels({"alertname": "error_rate", "x": "1"})]


def test_an_unknown_severity_is_a_warning() -> None:
    (alert,) = Story(rule(labels={"severity": "page"})).at(0, BAD).alerts.values()
    assert alert.severity is Severity.WARNING


def test_two_series_with_the_same_labels_fail_the_whole_rule_and_change_nothing() -> None:
    story = Story(rule(labels={"http_route": "all"}))
    story.at(0, result((HOME, 0.3)))
    before = story.alerts
    made = story.at(1, result((HOME, 0.4), (CART, 0.2)))
    assert made.problem is not None
    assert "two series" in made.problem
    assert made.alerts == before
    assert made.transitions == ()
    assert made.samples == ()


def test_a_failed_evaluation_changes_no_state_and_records_nothing() -> None:
    story = Story(rule(hold=120, keep=60))
    story.at(0, BAD)
    before = story.alerts
    made = story.at(1, Failed(reason="too many samples"))
    assert (made.alerts, made.transitions, made.samples) == (before, (), ())
    assert made.problem == "too many samples"
    assert states(story.at(2, BAD).alerts) == {"/": "firing"}


def test_value_and_annotations_are_refreshed_without_a_transition() -> None:
    story = Story(rule(annotations={"summary": "$route at $value"}))
    story.at(0, BAD)
    made = story.at(1, result((HOME, 0.5)))
    (alert,) = made.alerts.values()
    assert (alert.value, dict(alert.annotations)) == (0.5, {"summary": "/ at 0.5"})
    assert made.transitions == ()


def test_a_limit_that_is_exceeded_wipes_the_rules_alerts_and_says_so() -> None:
    story = Story(rule())
    story.at(0, BAD, limit=1)
    assert story.steps[-1].problem is None
    made = story.at(1, result((HOME, 0.3), (CART, 0.2)), limit=1)
    assert made.alerts == {}
    assert made.problem is not None
    assert "limit of 1" in made.problem
    assert [(transition.alert.series, transition.reason.name) for transition in made.transitions] == [
        (HOME, "LIMIT_EXCEEDED")
    ]
    assert states(story.at(2, BAD, limit=1).alerts) == {"/": "firing"}


def test_alerts_and_their_for_state_are_recorded_and_end_stale() -> None:
    story = Story(rule(hold=60, labels={}))
    base = 'alertname="error_rate", '
    pending = f'ALERTS{{{base}alertstate="pending", http_route="/", job="shop"}}'
    firing = pending.replace("pending", "firing")
    for_state = f'ALERTS_FOR_STATE{{{base}http_route="/", job="shop"}}'
    active_at = minute(0).timestamp()
    assert recorded(story.at(0, BAD)) == {pending: 1.0, for_state: active_at}
    fired = recorded(story.at(1, BAD))
    assert is_stale(fired.pop(pending))
    assert fired == {firing: 1.0, for_state: active_at}
    assert recorded(story.at(2, BAD)) == {firing: 1.0, for_state: active_at}
    gone = recorded(story.at(3, NOTHING))
    assert set(gone) == {firing, for_state}
    assert all(is_stale(value) for value in gone.values())
    assert recorded(story.at(4, NOTHING)) == {}


def test_samples_are_recorded_at_the_instant_that_was_queried() -> None:
    made = Story(rule()).at(1, BAD, query_offset_seconds=30)
    assert {sample.at for sample in made.samples} == {minute(0.5).timestamp()}


def test_a_histogram_in_the_result_counts_as_value_zero_as_in_prometheus() -> None:
    element = Element(labels=HOME, value=Histogram(count=3, sum=1.5))
    (alert,) = Story(rule()).at(0, Evaluation(vector=(element,))).alerts.values()
    assert alert.value == 0.0


def test_an_expression_without_a_condition_gives_alerts_without_a_bound() -> None:
    (alert,) = Story(rule()).at(0, BAD, condition=None).alerts.values()
    assert (alert.bound, alert.operator) == (None, "")


def test_removing_a_rule_resolves_what_fired() -> None:
    story = Story(rule())
    story.at(0, BAD)
    made = remove(story.alerts, at=minute(1))
    assert made.alerts == {}
    assert [(transition.alert.state, transition.reason.name) for transition in made.transitions] == [
        (AlertState.RESOLVED, "RULE_REMOVED")
    ]
    assert all(is_stale(sample.value) for sample in made.samples)


@pytest.mark.parametrize("hold", [0, 15, 60])
def test_the_input_is_left_as_it_was(hold: float) -> None:
    story = Story(rule(hold=hold))
    story.at(0, BAD)
    before = dict(story.alerts)
    step(
        story.rule,
        before,
        NOTHING,
        at=minute(0) + timedelta(seconds=1),
        condition=Condition(measure=EXPR, operator=">", bound=0.05),
        expand=expand,
    )
    assert before == story.alerts
    assert OVER_FIVE_PERCENT.holds(0.3)
