"""The states of alerts as a metric: what a backend shows of an outage, and after it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otelmon.collect.meter import OwnMeter
from otelmon.faults import Faults
from otelmon.runtime.alert_states import ALERT_STATE, AlertStates
from tests.e2e.simulation import Simulation

CONFIG = "alerts:\n  error_rate: {threshold: 5%, window: 1m, for: 30s, keep_firing_for: 0s}\n  route_error_rate: off\n"
PENDING, FIRING = "pending", "firing"


@pytest.fixture
def simulation(tmp_path: Path) -> Iterator[Simulation]:
    (tmp_path / "otelmon.yaml").write_text(CONFIG, encoding="utf-8")
    made = Simulation(tmp_path / "otelmon.yaml")
    yield made
    made.close()


class Told:
    """The metric as a reader of the application's would have it."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader])
        rules = simulation.engine.rules
        self.states = AlertStates(
            OwnMeter(self.provider, "otelmon"),
            lambda: rules.alerts,
            monotonic=simulation.clock.monotonic,
            faults=simulation.faults,
        )
        simulation.engine.on_transitions = self.states.record

    def now(self) -> dict[str, int]:
        """The value of each state of error_rate."""
        data = self.reader.get_metrics_data()
        metrics = [] if data is None else data.resource_metrics[0].scope_metrics[0].metrics
        found = {}
        for metric in metrics:
            assert (metric.name, metric.unit) == (ALERT_STATE, "{alert}")
            for point in metric.data.data_points:
                attributes = dict(point.attributes)
                state = attributes.pop("otelmon.alert.state")
                found[state] = point.value
                assert attributes == {
                    "otelmon.alert.name": "error_rate",
                    "otelmon.alert.severity": "critical",
                    "otelmon.alert.label.job": "shop",
                }
        return found


def test_an_outage_is_pending_then_firing_then_zero_for_a_quarter_of_an_hour_then_gone(simulation: Simulation) -> None:
    told = Told(simulation)
    simulation.run(60, lambda: simulation.request("/pay"))
    assert told.now() == {}
    seen = []
    for _ in range(8):
        simulation.run(15, lambda: simulation.request("/pay", 500))
        seen.append(told.now())
    assert {PENDING: 1, FIRING: 0} in seen
    assert seen[-1] == {PENDING: 0, FIRING: 1}
    simulation.run(180, lambda: simulation.request("/pay"))
    assert told.now() == {PENDING: 0, FIRING: 0}
    simulation.run(960, lambda: simulation.request("/pay"))
    assert told.now() == {}
    assert simulation.faults.counts == {}


def test_what_evaluates_no_more_says_nothing(simulation: Simulation) -> None:
    told = Told(simulation)
    simulation.run(120, lambda: simulation.request("/pay", 500))
    assert told.now() == {PENDING: 0, FIRING: 1}
    told.states.close()
    assert told.now() == {}


def test_a_tick_goes_on_where_the_states_cannot_be_told(simulation: Simulation) -> None:
    told, faults = Told(simulation), Faults()

    def broken() -> dict[str, dict[object, object]]:
        raise ValueError("gone")

    states = AlertStates(OwnMeter(told.provider, "other"), broken, monotonic=lambda: 0.0, faults=faults)  # type: ignore[arg-type]
    states.record(())
    assert faults.counts == {"figures": 1}
