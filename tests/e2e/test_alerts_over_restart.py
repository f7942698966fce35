"""What survives a restart: pending, firing and keep_firing_for, as Prometheus defines the first two."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from otelmon.promql.evaluation import Evaluation
from otelmon.promql.query import Query
from otelmon.storage.sqlite import SqliteStorage
from otelmon.testing.clock import FakeClock
from tests.e2e.simulation import Simulation

MINUTE = 60.0
RULES = """
groups:
  - name: shop
    rules:
      - record: shop:errors:ratio1m
        expr: |
          (sum(rate(http_server_request_duration_seconds_count{http_response_status_code=~"5.."}[1m])) or vector(0))
          / sum(rate(http_server_request_duration_seconds_count[1m]))
      - alert: Failing
        expr: shop:errors:ratio1m > 0.2
        for: 5m
        keep_firing_for: 10m
        labels: {severity: warning}
"""


class Shop:
    """One app over several processes: the disk and the clock stay."""

    def __init__(self, folder: Path) -> None:
        (folder / "rules.yml").write_text(RULES)
        self.config = folder / "otelmon.yaml"
        off = "{error_rate: off, route_error_rate: off, response_time: off}"
        self.config.write_text(f"service: shop\nrule_files: [rules.yml]\nalerts: {off}\n")
        self.clock = FakeClock()
        self.disk = SqliteStorage(folder / "state.db")
        self.said: list[tuple[str, float]] = []
        self.began_at = self.clock.now()

    @contextmanager
    def process(self) -> Iterator[Simulation]:
        simulation = Simulation(self.config, clock=self.clock, disk=self.disk)
        yield simulation
        for word, found in (("triggered", simulation.triggered), ("resolved", simulation.resolved)):
            self.said += [(word, (at - self.began_at) / MINUTE) for at, _ in found]

    def run(self, minutes: float, *, failing: bool) -> None:
        with self.process() as simulation:
            simulation.run(minutes * MINUTE, lambda: simulation.request(status=500 if failing else 200))

    def down(self, minutes: float) -> None:
        self.clock.advance(minutes * MINUTE)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_a_pending_alert_serves_the_rest_of_its_for_after_a_restart(shop: Shop) -> None:
    shop.run(4, failing=True)
    assert shop.said == []
    shop.run(3, failing=True)
    ((word, at),) = shop.said
    assert word == "triggered"
    assert 5 <= at <= 6


def test_the_outage_itself_does_not_count_towards_for(shop: Shop) -> None:
    shop.run(4, failing=True)
    shop.down(20)
    shop.run(1, failing=True)
    assert shop.said == []
    shop.run(2, failing=True)
    ((word, at),) = shop.said
    assert word == "triggered"
    assert 25 <= at <= 27


def test_after_an_outage_of_more_than_an_hour_for_begins_anew(shop: Shop) -> None:
    shop.run(4, failing=True)
    shop.down(61)
    shop.run(4.5, failing=True)
    assert shop.said == []
    shop.run(3, failing=True)
    assert [word for word, _ in shop.said] == ["triggered"]


def test_a_firing_alert_fires_on_over_a_restart_and_is_not_paged_again(shop: Shop) -> None:
    shop.run(7, failing=True)
    shop.down(2)
    shop.run(20, failing=True)
    assert [word for word, _ in shop.said] == ["triggered"]


def test_keep_firing_for_goes_on_counting_over_a_restart(shop: Shop) -> None:
    """Prometheus forgets it, and resolves at the first evaluation."""
    shop.run(7, failing=True)
    shop.run(4, failing=False)
    shop.run(5, failing=False)
    assert [word for word, _ in shop.said] == ["triggered"]
    shop.run(6, failing=False)
    assert [word for word, _ in shop.said] == ["triggered", "resolved"]
    # It stopped holding within a minute of minute 7, and is kept for ten.
    assert 17 <= shop.said[-1][1] <= 18.5


def test_what_rules_record_and_which_alerts_there_are_can_be_queried(shop: Shop) -> None:
    with shop.process() as simulation:
        simulation.run(4 * MINUTE, lambda: simulation.request(status=500))
        assert value(simulation, "shop:errors:ratio1m") == pytest.approx(1.0)
        assert value(simulation, 'ALERTS{alertname="Failing", alertstate="pending", severity="warning"}') == 1.0
        active_at = value(simulation, "ALERTS_FOR_STATE")
        assert shop.began_at <= active_at <= shop.began_at + MINUTE
        simulation.run(2 * MINUTE, lambda: simulation.request(status=500))
        assert value(simulation, "ALERTS") == 1.0
        assert value(simulation, 'count(ALERTS{alertstate="firing"})') == 1.0
        assert value(simulation, "ALERTS_FOR_STATE") == active_at


def value(simulation: Simulation, expr: str) -> float:
    evaluation = Query(expr).evaluate(simulation.window, simulation.clock.now())
    assert isinstance(evaluation, Evaluation)
    (element,) = evaluation.vector
    assert isinstance(element.value, float)
    return element.value
