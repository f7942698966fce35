"""How long incidents take people, as metrics."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otelmon.collect.meter import OwnMeter
from otelmon.faults import Faults
from otelmon.incidents.model import Acknowledge
from otelmon.runtime.incident_metrics import TIME_TO_ACKNOWLEDGE, TIME_TO_RESOLVE, IncidentMetrics
from tests.alerts.build import minute
from tests.incidents.test_step import FIRST, Story, fires, resolves


class Told:
    """A story whose changes are recorded."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader])
        self.faults = Faults()
        self.metrics = IncidentMetrics(OwnMeter(self.provider, "otelmon"), lambda: {"ana"}, faults=self.faults)
        self.story = Story()

    def at(self, number: float, *given: Any) -> str:
        made = self.story.at(number, *given)
        self.metrics.record(made.changes)
        return next(iter(made.incidents), "")

    def points(self) -> dict[str, list[tuple[dict[str, object], int, float]]]:
        data = self.reader.get_metrics_data()
        self.provider.shutdown()
        assert self.faults.counts == {}
        metrics = [] if data is None else data.resource_metrics[0].scope_metrics[0].metrics
        return {
            metric.name: [(dict(point.attributes), point.count, point.sum) for point in metric.data.data_points]
            for metric in metrics
        }


RULE = {"alertname": "error_rate", "severity": "critical"}


def test_each_acknowledgement_and_each_end_is_recorded_once_with_the_person() -> None:
    told = Told()
    id_ = told.at(0, [fires(FIRST)])
    told.at(4, [], Acknowledge(incident_id=id_, by="ana"))
    told.at(5, [], Acknowledge(incident_id=id_, by="ana"))
    told.at(9, [resolves(FIRST, minute(9))])
    told.at(10)
    assert told.points() == {
        TIME_TO_ACKNOWLEDGE: [(RULE | {"person": "ana"}, 1, 240.0)],
        TIME_TO_RESOLVE: [(RULE | {"person": "ana"}, 1, 540.0)],
    }


def test_a_name_that_is_no_person_of_the_team_makes_no_series() -> None:
    told = Told()
    id_ = told.at(0, [fires(FIRST)])
    told.at(2, [], Acknowledge(incident_id=id_, by="root@laptop-1"))
    assert told.points() == {TIME_TO_ACKNOWLEDGE: [(RULE, 1, 120.0)]}


def test_an_acknowledgement_after_one_that_ran_out_is_not_the_first() -> None:
    told = Told()
    id_ = told.at(0, [fires(FIRST)])
    told.at(1, [], Acknowledge(incident_id=id_, by="ana"))
    told.at(61)
    told.at(70, [], Acknowledge(incident_id=id_, by="ana"))
    assert told.points() == {TIME_TO_ACKNOWLEDGE: [(RULE | {"person": "ana"}, 1, 60.0)]}


def test_what_nobody_took_is_recorded_when_it_ends() -> None:
    told = Told()
    told.at(0, [fires(FIRST)])
    told.at(3, [resolves(FIRST, minute(3))])
    assert told.points() == {TIME_TO_RESOLVE: [(RULE, 1, 180.0)]}
