"""What holds for any sequence of evaluations."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from otelmon.promql.evaluation import Failed
from tests.alerts.build import Story, minute, result, rule, series

ROUTES = ("/", "/cart", "/pay")
# Which routes are in the result of each minute; None is an evaluation that failed.
RUNS = st.lists(st.one_of(st.none(), st.sets(st.sampled_from(ROUTES))), max_size=25)
MINUTES = st.integers(0, 5)


def told(runs: list[set[str] | None], hold: int, keep: int) -> Story:
    story = Story(rule(hold=60 * hold, keep=60 * keep))
    for number, routes in enumerate(runs):
        if routes is None:
            story.at(number, Failed(reason="x"))
        else:
            story.at(number, result(*((series(route), 0.5) for route in sorted(routes))))
    return story


@settings(max_examples=150, deadline=None)
@given(runs=RUNS, hold=MINUTES, keep=MINUTES)
def test_it_fires_exactly_when_it_held_for_long_enough(runs: list[set[str] | None], hold: int, keep: int) -> None:
    story = told(runs, hold, keep)
    for route in ROUTES:
        # A plain reckoning of the same thing: since when it is active, whether it fires, since when it is absent.
        active = fired = stopped = None
        for number, (routes, made) in enumerate(zip(runs, story.steps, strict=True)):
            if routes is not None and route in routes:
                active = number if active is None else active
                stopped = None
                fired = number if fired is None and number - active >= hold else fired
            elif routes is not None and fired is None:
                active = None
            elif routes is not None:
                stopped = number if stopped is None else stopped
                if number - stopped >= keep:
                    active = fired = stopped = None
            found = [alert for alert in made.alerts.values() if alert.labels["http_route"] == route]
            expected = [] if active is None else [(minute(active), None if fired is None else minute(fired))]
            assert [(alert.active_at, alert.fired_at) for alert in found] == expected


@settings(max_examples=100, deadline=None)
@given(runs=RUNS, hold=MINUTES, keep=MINUTES)
def test_firing_and_resolved_alternate(runs: list[set[str] | None], hold: int, keep: int) -> None:
    story = told(runs, hold, keep)
    for route in ROUTES:
        ends = [
            str(transition.alert.state)
            for made in story.steps
            for transition in made.transitions
            if transition.alert.labels["http_route"] == route and transition.alert.fired_at is not None
        ]
        assert ends == ["firing", "resolved"] * (len(ends) // 2) + ["firing"] * (len(ends) % 2)


@settings(max_examples=50, deadline=None)
@given(runs=RUNS, hold=MINUTES, keep=MINUTES)
def test_the_same_evaluations_give_the_same_steps(runs: list[set[str] | None], hold: int, keep: int) -> None:
    once, again = told(runs, hold, keep).steps, told(runs, hold, keep).steps
    assert [(step.alerts, step.transitions) for step in once] == [(step.alerts, step.transitions) for step in again]
    # STALE is a NaN, equal to nothing: compare the samples as text.
    assert [repr(step.samples) for step in once] == [repr(step.samples) for step in again]
