"""What of an incident's past is drawn."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from otelmon.alerts.model import Alert, AlertState
from otelmon.incidents.model import Event, EventKind, Incident, IncidentState
from otelmon.labels import Labels
from otelmon.paging.charted import chart_of
from otelmon.rules.model import Severity, Unit

NOON = 1_767_614_400.0


def instant(minute: float) -> datetime:
    return datetime.fromtimestamp(NOON + 60 * minute, UTC)


def alert(bound: float | None = 0.05) -> Alert:
    return Alert(
        labels=Labels({"alertname": "error_rate"}),
        annotations={},
        severity=Severity.CRITICAL,
        state=AlertState.FIRING,
        active_at=instant(50),
        value=0.124,
        bound=bound,
        operator=">",
        unit=Unit.RATIO,
    )


def incident(*events: tuple[float, EventKind]) -> Incident:
    timeline = tuple(Event(at=instant(minute), kind=kind) for minute, kind in events)
    return Incident(
        id="7KQ2",
        state=IncidentState.TRIGGERED,
        alerts=(alert(),),
        triggered_at=instant(50),
        timeline=timeline,
    )


def course(minutes: range) -> list[tuple[float, float | None]]:
    return [(NOON + 60 * minute, minute / 1000) for minute in minutes]


def drawn(points, *events, bound=0.05, deploys=()):
    return chart_of(points, incident(*events), alert(bound), every_seconds=60, deploys=deploys)


def test_the_last_hour_is_shown_with_the_limit():
    chart = drawn(course(range(90)))
    assert chart is not None
    assert (chart.points[0], chart.points[-1]) == ((NOON + 29 * 60, 0.029), (NOON + 89 * 60, 0.089))
    assert (chart.bound, chart.unit, chart.severity) == (0.05, Unit.RATIO, Severity.CRITICAL)


def test_where_nobody_watched_there_is_a_gap():
    chart = drawn([*course(range(5)), *course(range(20, 25))])
    assert chart is not None
    assert chart.points[4:7] == ((NOON + 240, 0.004), (NOON + 300, None), (NOON + 1200, 0.02))


def test_a_minute_that_comes_late_is_no_gap():
    chart = drawn([(NOON, 1.0), (NOON + 60, 1.0), (NOON + 140, 1.0)])
    assert chart is not None
    assert len(chart.points) == 3


def test_each_time_that_it_fired_is_a_span():
    chart = drawn(
        course(range(61)),
        (10, EventKind.TRIGGERED),
        (12, EventKind.ACKNOWLEDGED),
        (20, EventKind.RESOLVED),
        (50, EventKind.REOPENED),
    )
    assert chart is not None
    assert chart.firing == ((NOON + 600, NOON + 1200), (NOON + 3000, None))


def test_what_was_over_before_is_not_shown_and_what_began_before_is():
    events = ((-60, EventKind.TRIGGERED), (-30, EventKind.RESOLVED), (-20, EventKind.REOPENED), (5, EventKind.RESOLVED))
    chart = drawn(course(range(61)), *events)
    assert chart is not None
    assert chart.firing == ((NOON - 1200, NOON + 300),)


def test_the_deploys_of_that_time_are_marked():
    deploys = [(instant(-5), "old"), (instant(70), "new"), (instant(44), "v" * 100), (instant(3), "v1")]
    chart = drawn(course(range(61)), deploys=deploys)
    assert chart is not None
    assert chart.deploys == ((NOON + 180, "v1"), (NOON + 44 * 60, "v" * 40))
    chart = drawn(course(range(61)), deploys=[(instant(minute), f"v{minute}") for minute in range(60)])
    assert chart is not None
    assert [text for _, text in chart.deploys] == ["v54", "v55", "v56", "v57", "v58", "v59"]


@pytest.mark.parametrize(
    ("points", "bound"),
    [
        ([], 0.05),
        (course(range(2)), 0.05),
        ([(NOON, None)] * 9, 0.05),
        ([(NOON, math.nan), (NOON + 60, math.inf), (NOON + 120, -math.inf), (NOON + 180, None)], 0.05),
        (course(range(9)), None),
    ],
)
def test_of_too_little_nothing_is_drawn(points, bound):
    assert drawn(points, bound=bound) is None
