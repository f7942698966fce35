"""When a firing alert is over: without data, without traffic, and with hysteresis, minute by minute."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest

from otelmon.alerts.model import TransitionReason
from otelmon.labels import Labels
from otelmon.promql.analyze import condition
from otelmon.promql.evaluation import Evaluation, Failed
from otelmon.promql.parse import parse
from otelmon.rules.model import AlertingRule, NoData, ResolveWhen
from tests.alerts.build import Story, result, rule, series

HOME, CART = series("/"), series("/cart")
USAGE = parse("usage > 0.05")


def gauge(no_data: NoData, **more: object) -> AlertingRule:
    return replace(rule(**more), expr=USAGE, no_data=no_data)


def measured(values: Mapping[Labels, float], bound: float = 0.05) -> Evaluation:
    """What the rule measures, and in the result what of it holds."""
    return result(*((labels, value) for labels, value in values.items() if value > bound), measured=values)


NOTHING = measured({})


def ended(story: Story) -> list[tuple[float, str]]:
    return [
        (transition.at.minute, transition.reason.value)
        for made in story.steps
        for transition in made.transitions
        if transition.before == "firing"
    ]


def test_an_alert_whose_gauge_is_gone_resolves_at_once_as_in_prometheus() -> None:
    story = Story(gauge(NoData.RESOLVE))
    story.at(0, measured({HOME: 0.9}))
    story.at(1, NOTHING)
    assert ended(story) == [(1, "no data")]
    assert story.steps[-1].transitions[0].alert.ended is TransitionReason.NO_DATA


@pytest.mark.parametrize("no_data", [NoData.KEEP, NoData.ALERT])
def test_a_kept_alert_fires_on_without_data_and_resolves_on_the_first_value_below(no_data: NoData) -> None:
    story = Story(gauge(no_data))
    story.at(0, measured({HOME: 0.9}))
    for minute in range(1, 50):
        story.at(minute, NOTHING if minute % 2 else measured({HOME: math.nan}))
    assert ended(story) == []
    story.at(50, measured({HOME: 0.01}))
    assert ended(story)[0] == (50, TransitionReason.STOPPED.value)


def test_a_kept_alert_whose_own_series_is_gone_while_others_are_measured_is_over_after_an_hour() -> None:
    story = Story(gauge(NoData.KEEP))
    story.at(0, measured({HOME: 0.9, CART: 0.01}))
    for minute in range(1, 60):
        story.at(minute, measured({CART: 0.01}))
    assert ended(story) == []
    story.at(60, measured({CART: 0.01}))
    assert ended(story) == [(0, TransitionReason.SERIES_GONE.value)]


def test_a_ratio_without_traffic_resolves_with_these_words() -> None:
    story = Story(gauge(NoData.RESOLVE))
    story.at(0, measured({HOME: 0.9}))
    story.at(1, measured({HOME: math.nan}))
    assert ended(story) == [(1, "no traffic")]


def test_a_rule_about_requests_says_no_traffic_also_where_its_series_are_gone() -> None:
    about_requests = replace(gauge(NoData.RESOLVE), expr=parse("rate(http_server_active_requests[5m]) > 1"))
    story = Story(about_requests)
    story.at(0, measured({HOME: 0.9}))
    story.at(1, NOTHING)
    assert ended(story) == [(1, "no traffic")]


def test_keep_firing_for_counts_before_an_alert_without_data_resolves() -> None:
    story = Story(gauge(NoData.RESOLVE, keep=120.0))
    story.at(0, measured({HOME: 0.9}))
    for minute in range(1, 4):
        story.at(minute, NOTHING)
    assert ended(story) == [(3, "no data")]


def test_an_expression_without_a_limit_is_kept_only_while_its_selectors_find_nothing() -> None:
    kept = replace(gauge(NoData.KEEP), expr=parse("a > b"))
    found = Evaluation(vector=(), selected_series=2)
    story = Story(kept)
    story.at(0, result((HOME, 0.9)), condition=None)
    story.at(1, Evaluation(vector=(), selected_series=0), condition=None)
    assert ended(story) == []
    story.at(2, found, condition=None)
    assert ended(story) == [(2, TransitionReason.STOPPED.value)]


def test_a_rule_for_which_nothing_is_measured_pages_after_five_minutes_with_an_alert_of_its_own() -> None:
    story = Story(gauge(NoData.ALERT))
    story.at(0, measured({HOME: 0.01}))
    for minute in range(1, 6):
        story.at(minute, NOTHING)
    assert [state for _, state, _ in story.happened] == ["pending"]
    (transition,) = story.at(6, NOTHING).transitions
    assert (transition.alert.state, transition.reason) == ("firing", TransitionReason.NOTHING_MEASURED)
    assert dict(transition.alert.labels) == {"alertname": "error_rate", "severity": "critical", "source": "no_data"}
    (transition,) = story.at(7, measured({HOME: 0.01})).transitions
    assert (transition.alert.state, transition.reason) == ("resolved", TransitionReason.MEASURED_AGAIN)
    assert story.alerts == {}


def test_a_gap_of_data_shorter_than_five_minutes_is_no_alert() -> None:
    story = Story(gauge(NoData.ALERT))
    for minute in range(30):
        story.at(minute, measured({HOME: 0.01}) if minute % 5 == 0 else NOTHING)
    assert {state for _, state, _ in story.happened} == {"pending", "resolved"}


@pytest.mark.parametrize("no_data", [NoData.RESOLVE, NoData.KEEP])
def test_no_other_rule_has_an_alert_about_missing_data(no_data: NoData) -> None:
    story = Story(gauge(no_data))
    for minute in range(30):
        story.at(minute, NOTHING)
    assert story.happened == []


def with_bound(bound: float, text: str = "usage > 0.05") -> AlertingRule:
    wanted = ResolveWhen(text=str(bound), bound=bound)
    return replace(gauge(NoData.RESOLVE), expr=parse(text), resolve_when=wanted)


def test_with_a_bound_to_resolve_at_an_alert_fires_on_between_the_two() -> None:
    story = Story(with_bound(0.03))
    for minute, value in enumerate([0.04, 0.06, 0.04, 0.05, 0.031, 0.06, 0.03, 0.04]):
        story.at(minute, measured({HOME: value}))
    assert [(before, after) for before, after, _ in story.happened] == [(None, "firing"), ("firing", "resolved")]
    assert ended(story) == [(6, TransitionReason.STOPPED.value)]


def test_hysteresis_holds_for_a_lower_limit_too() -> None:
    lower = with_bound(0.9, "usage < 0.5")
    story = Story(lower)
    below = condition(lower.expr)
    for minute, value in enumerate([0.4, 0.6, 0.8, 0.9]):
        vector = [(HOME, value)] if value < 0.5 else []
        story.at(minute, result(*vector, measured={HOME: value}), condition=below)
    assert ended(story) == [(3, TransitionReason.STOPPED.value)]


def test_without_data_hysteresis_leaves_the_word_to_no_data() -> None:
    story = Story(with_bound(0.03))
    story.at(0, measured({HOME: 0.9}))
    story.at(1, NOTHING)
    assert ended(story) == [(1, "no data")]
    kept = Story(replace(with_bound(0.03), no_data=NoData.KEEP))
    kept.at(0, measured({HOME: 0.9}))
    kept.at(1, NOTHING)
    assert ended(kept) == []


def test_with_an_expression_to_resolve_at_each_series_waits_for_an_element_of_its_own_labels() -> None:
    quiet = parse("quiet == 1")
    story = Story(replace(gauge(NoData.RESOLVE), resolve_when=ResolveWhen(text="quiet == 1", expr=quiet)))
    low = measured({HOME: 0.01, CART: 0.01})
    only_home = result((Labels({"http_route": "/"}), 1.0))
    story.at(0, measured({HOME: 0.9, CART: 0.9}), resolving=result())
    story.at(1, low, resolving=result())
    story.at(2, low, resolving=Failed(reason="broken"))
    assert ended(story) == []
    story.at(3, low, resolving=only_home)
    assert [str(alert.labels["http_route"]) for alert in story.alerts.values()] == ["/cart"]
    story.at(4, low, resolving=result((Labels({}), 1.0)))
    assert story.alerts == {}


def test_keep_firing_for_counts_from_when_the_alert_may_resolve() -> None:
    story = Story(replace(with_bound(0.03), keep_firing_for_seconds=120.0))
    for minute, value in enumerate([0.9, 0.04, 0.04, 0.01, 0.01, 0.01]):
        story.at(minute, measured({HOME: value}))
    assert ended(story) == [(5, TransitionReason.STOPPED.value)]
