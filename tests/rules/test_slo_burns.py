"""The workbook's table, by fast-forwarded time: each burn rate is told in its time, and what burns slower is not."""

from __future__ import annotations

import pytest

from otelmon.matching import Matcher, MatchOperator
from tests.rules.burning import START, Burning

HOUR = 3600.0
DAY = 24 * HOUR
BUDGET = 0.001
TABLE = [(14.4, HOUR, "critical"), (6.0, 6 * HOUR, "critical"), (3.0, DAY, "warning"), (1.0, 3 * DAY, "warning")]


def burn(rate: float, long: float, *, lived: float) -> Burning:
    """A service that burns at this rate for ``long`` and one view more: the last ``lived`` seconds by evaluating them,
    those before by the views that they left.
    """
    service = Burning(interval_seconds=150.0)
    errors = rate * BUDGET
    remembered = max(0.0, long - lived)
    if remembered:
        service.remember(4 * DAY, burning_seconds=remembered, errors=errors)
    else:
        service.remember(4 * DAY)
        service.run(HOUR / 2, errors=0.0)
        assert service.transitions == []
    service.run(min(long, lived) + 300, errors=errors)
    return service


def is_told_within_its_window(rate: float, long: float, severity: str, *, lived: float) -> None:
    service = burn(rate * 1.02, long, lived=lived)
    assert service.fired(severity) != []
    assert service.fired(severity)[0] - (HOUR / 2 if lived >= long else 0.0) <= min(long, lived)
    if severity == "warning":
        assert service.fired("critical") == []


def is_not_told_within_it(rate: float, long: float, severity: str, *, lived: float) -> None:
    assert burn(rate * 0.97, long, lived=lived).fired(severity) == []


@pytest.mark.parametrize(("rate", "long", "severity"), TABLE)
def test_a_burst_of_each_documented_rate_is_told_within_its_window(rate: float, long: float, severity: str) -> None:
    is_told_within_its_window(rate, long, severity, lived=6 * HOUR)


@pytest.mark.parametrize(("rate", "long", "severity"), TABLE)
def test_what_burns_a_little_slower_is_not_told_within_it(rate: float, long: float, severity: str) -> None:
    is_not_told_within_it(rate, long, severity, lived=6 * HOUR)


@pytest.mark.soak
@pytest.mark.parametrize(("rate", "long", "severity"), TABLE[2:])
def test_days_of_burning_are_told_as_well_where_every_tick_of_them_is_evaluated(
    rate: float, long: float, severity: str
) -> None:
    is_told_within_its_window(rate, long, severity, lived=long)
    is_not_told_within_it(rate, long, severity, lived=long)


def test_an_outage_is_told_in_a_minute_and_a_tick() -> None:
    """At a budget of 0.1 % an outage burns 1000 times too fast: 14.4 of that within an hour is 52 seconds."""
    service = Burning(interval_seconds=15.0)
    service.run(2 * HOUR, errors=0.0)
    begun = service.at - START
    service.run(300, errors=1.0)
    assert service.fired("critical")[0] - begun <= 52 + 15
    assert len(service.fired("critical")) == 1


def test_it_is_over_soon_after_the_errors_are() -> None:
    service = Burning()
    service.run(8 * HOUR, errors=0.0)
    service.run(300, errors=0.5)
    assert [alert.severity.value for alert in service.firing] == ["critical"]
    service.run(40 * 60, errors=0.0)
    assert service.firing == []


def test_a_page_says_how_much_of_the_budget_is_gone_and_when_the_rest_will_be() -> None:
    service = Burning()
    service.run(10 * HOUR, errors=0.0)
    service.run(2 * HOUR, errors=0.02)
    critical = next(alert for alert in service.firing if alert.severity.value == "critical")
    assert critical.annotations["title"] == "Error budget"
    assert critical.annotations["summary"] == "The error budget of checkout burns 20 times as fast as it may"
    told = critical.annotations["description"]
    # 20 times too fast for two of 720 hours is 5.6 %, less up to 5m that no view has yet.
    assert told.startswith("Objective: 99.9 % of 30d. 5.")
    assert "% of its error budget is gone; at the rate of the last 1h the rest is gone in 1d 10h " in told

    spent = Burning()
    spent.run(3 * HOUR, errors=1.0)
    told = next(alert for alert in spent.firing if alert.severity.value == "critical").annotations["description"]
    assert told.endswith("% of its error budget is gone, and nothing is left.")


def test_a_new_service_has_the_budget_of_the_whole_window() -> None:
    """Else the first burst of its first hour would be told as if it had gone on for days."""
    service = Burning()
    service.run(600, errors=0.0)
    service.run(120, errors=0.05)
    assert service.transitions == []


def test_errors_weigh_as_much_as_there_was_traffic() -> None:
    """A night of few requests, half of which fail, spends less than a noon does."""
    service = Burning()
    service.run(12 * HOUR, errors=0.0, per_second=100)
    service.run(12 * HOUR, errors=0.5, per_second=0.002)
    service.run(60, errors=0.0, per_second=0.002)
    named = Matcher(name="__name__", operator=MatchOperator.EQUAL, value="slo:budget_spent:30d")
    (spent,) = service.window.select([named])
    # Half a day of errors, to thirty days of as many events as there were on average.
    truth = 0.5 * 0.002 * 0.5 / (100.002 / 2 * 30) / BUDGET
    assert spent.values[-1] == pytest.approx(truth, rel=0.05)
