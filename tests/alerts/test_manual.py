"""Values put through a rule by hand."""

from __future__ import annotations

import math

from otelmon.alerts.manual import expire, manual_step
from otelmon.alerts.restore import restore
from otelmon.alerts.step import Step
from otelmon.labels import Labels
from otelmon.sample import is_stale
from tests.alerts.build import NOTHING, OVER_FIVE_PERCENT, Story, expand, minute, recorded, result, rule, series

BY_HAND = Labels({"alertname": "error_rate", "severity": "critical", "source": "manual"})


def put(story: Story, value: float, minutes: float, **context: str) -> Step:
    made = manual_step(
        story.rule,
        story.alerts,
        value=value,
        condition=OVER_FIVE_PERCENT,
        context=context,
        at=minute(minutes),
        expand=expand,
    )
    story.alerts = made.alerts
    story.steps.append(made)
    return made


def expired(story: Story, minutes: float) -> Step:
    made = expire(story.alerts, at=minute(minutes))
    story.alerts = made.alerts
    story.steps.append(made)
    return made


def test_a_value_over_the_bound_fires_at_once_whatever_for_says() -> None:
    story = Story(rule(hold=600))
    put(story, 0.06, 0, environment="staging")
    assert story.happened == [(None, "firing", "HELD")]
    alert = story.alerts[BY_HAND]
    assert (alert.manual, alert.value, alert.bound, dict(alert.context)) == (
        True,
        0.06,
        0.05,
        {"environment": "staging"},
    )


def test_a_value_under_the_bound_does_nothing() -> None:
    story = Story(rule())
    assert put(story, 0.05, 0).transitions == ()
    assert story.alerts == {}


def test_a_value_under_the_bound_resolves() -> None:
    story = Story(rule(keep=600))
    put(story, 0.06, 0)
    put(story, 0.01, 1)
    assert story.happened == [(None, "firing", "HELD"), ("firing", "resolved", "STOPPED")]
    assert story.alerts == {}


def test_five_minutes_after_the_last_value_it_is_over() -> None:
    story = Story(rule())
    put(story, 0.06, 0)
    put(story, 0.08, 4)
    assert story.alerts[BY_HAND].value == 0.08
    assert story.alerts[BY_HAND].fired_at == minute(0)
    assert expired(story, 8.9).transitions == ()
    expired(story, 9)
    assert story.happened == [(None, "firing", "HELD"), ("firing", "resolved", "EXPIRED")]
    assert expired(story, 20).transitions == ()


def test_what_is_not_a_number_changes_nothing() -> None:
    story = Story(rule())
    put(story, math.nan, 0)
    assert story.alerts == {}
    put(story, 0.06, 1)
    put(story, math.nan, 2)
    assert story.alerts[BY_HAND].last_held_at == minute(1)


def test_it_is_a_series_of_its_own_beside_what_is_measured() -> None:
    story = Story(rule())
    put(story, 0.06, 0)
    story.at(1, result((series("/"), 0.3)))
    assert len(story.alerts) == 2
    story.at(2, NOTHING)
    assert list(story.alerts) == [BY_HAND]
    put(story, 0.0, 3)
    assert story.alerts == {}


def test_a_limit_of_the_rule_does_not_count_it() -> None:
    story = Story(rule())
    put(story, 0.06, 0)
    made = story.at(1, result((series("/"), 0.3)), limit=1)
    assert made.problem is None
    made = story.at(2, result((series("/"), 0.3), (series("/cart"), 0.3)), limit=1)
    assert list(made.alerts) == [BY_HAND]


def test_it_is_recorded_like_every_alert() -> None:
    story = Story(rule(labels={}))
    name = 'ALERTS{alertname="error_rate", alertstate="firing", source="manual"}'
    assert recorded(put(story, 0.06, 0))[name] == 1.0
    assert is_stale(recorded(put(story, 0.01, 1))[name])


def test_it_survives_a_restart_as_it_was_and_expires_then() -> None:
    story = Story(rule())
    put(story, 0.06, 0)
    story.alerts = restore(story.rule, story.alerts, saved_at=minute(1), at=minute(3))
    assert expired(story, 4.9).transitions == ()
    assert len(expired(story, 5).transitions) == 1
