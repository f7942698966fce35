"""One workload for clients of any language, and what an in-process reader makes of it: all instrument kinds, whole and
broken numbers, explicit and exponential histograms, series that come later and series that rest.

What clients send is kept byte by byte, but its times are moved to instants that the test knows.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricReader
from opentelemetry.sdk.metrics.view import (
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    View,
)
from opentelemetry.sdk.resources import Resource

from otelmon.collect.ingest import Ingest
from otelmon.collect.otlp import Signal
from otelmon.collect.reader import ObservedSum
from otelmon.collect.translate import Translation
from otelmon.promql.evaluation import Evaluation
from otelmon.promql.query import Query
from otelmon.server.arrivals import Arrived
from otelmon.server.forward.json_body import protobuf_of
from otelmon.window.window import Window
from tests.collect.making import START

EVERY_SECONDS = 15.0
RESOURCE = {"service.name": "shop", "service.namespace": "web", "service.instance.id": "i-1", "zone": "b"}
_MOMENT = 10e-6
BOUNDS = [0.05, 0.1, 0.5, 1, 5]
Round = dict[str, Any]
"""By instrument, the measurements with their attributes."""

QUERIES = [
    "orders_total",
    "rate(orders_total[2m])",
    "increase(orders_total[1m])",
    "resets(orders_total[5m])",
    "rate(spent_euros_total[1m])",
    "inside",
    "depth_ratio",
    "deriv(depth_ratio[2m])",
    "rate(seen_total[2m])",
    "left",
    "level_celsius",
    "target_info",
    "took_seconds_bucket",
    "rate(took_seconds_count[2m])",
    "increase(took_seconds_sum[1m])",
    "histogram_quantile(0.95, sum by (le) (rate(took_seconds_bucket[2m])))",
    "rate(exact_seconds_count[2m])",
    "increase(exact_seconds_sum[1m])",
    "histogram_count(increase(exact_seconds[1m]))",
    "histogram_sum(rate(exact_seconds[2m]))",
    "histogram_quantile(0.5, exact_seconds)",
    "histogram_quantile(0.937, rate(exact_seconds[2m]))",
    "histogram_quantile(0.99, sum(rate(exact_seconds[2m])))",
    "histogram_fraction(0, 0.2, rate(exact_seconds[1m]))",
]


def workload(rounds: int = 10) -> list[Round]:
    """What happens in each round."""
    dice = random.Random(11)
    played = []
    for number in range(rounds):
        # Nothing at all happens in some, and one kind of order comes late.
        busy = 0 if number in {4, 5} else dice.randrange(5, 40)
        kinds = [{"kind": "a", "ok": True, "tags": ["x", "y"]}, {"kind": "b", "status": 200, "part": 0.5}]
        if number > 5:
            kinds.append({"kind": "late", "ok": False})
        seconds = [dice.lognormvariate(-2, 1.5) for _ in range(busy)]
        played.append(
            {
                "orders": [[dice.randrange(4), dice.choice(kinds)] for _ in range(busy)],
                "spent": [[round(dice.random() * 9, 3), {}] for _ in range(busy)],
                "inside": [[dice.choice((1, -1)), {}] for _ in range(busy)],
                # JavaScript's SDK does not send a gauge with the deltas of a round in which it was not set.
                "depth": [[dice.random(), {"queue": queue}] for queue in "ppqq"],
                "took": [[value, {"route": dice.choice("rs")}] for value in seconds],
                "exact": [[value, {"route": dice.choice("rs")}] for value in [*seconds, *[0.0] * (busy // 9)]],
                "seen": [[8_000_000 + 7 * number, {}]],
                "left": [[-number / 4, {}]],
                "level": [[20 - number, {"room": "1"}]],
            }
        )
    return played


class App:
    """The workload's instruments in the Python SDK."""

    def __init__(self, *readers: MetricReader) -> None:
        exponential = ExponentialBucketHistogramAggregation()
        self.provider = MeterProvider(
            readers,
            resource=Resource(RESOURCE),
            views=[
                View(instrument_name="took", aggregation=ExplicitBucketHistogramAggregation(BOUNDS)),
                View(instrument_name="exact", aggregation=exponential),
            ],
            shutdown_on_exit=False,
        )
        meter = self.provider.get_meter("app")
        self._now: Round = {}
        self._do: dict[str, Any] = {
            "orders": meter.create_counter("orders").add,
            "spent": meter.create_counter("spent", "euros").add,
            "inside": meter.create_up_down_counter("inside").add,
            "depth": meter.create_gauge("depth", "1").set,
            "took": meter.create_histogram("took", "s").record,
            "exact": meter.create_histogram("exact", "s").record,
        }
        meter.create_observable_counter("seen", [self._observe("seen")])
        meter.create_observable_up_down_counter("left", [self._observe("left")])
        meter.create_observable_gauge("level", [self._observe("level")], "Cel")

    def _observe(self, name: str) -> Any:
        def observe(_options: CallbackOptions) -> Iterator[Observation]:
            return (Observation(value, attributes) for value, attributes in self._now[name])

        return observe

    def play(self, played: Round) -> None:
        """A round."""
        self._now = played
        for name, do in self._do.items():
            for value, attributes in played[name]:
                do(value, attributes)


def in_process(played: Sequence[Round]) -> Iterator[Window]:
    """The window of an in-process reader after each round."""
    reader = InMemoryMetricReader()
    app, translation, window = App(reader), Translation(), Window(retention_seconds=900)
    began: dict[Any, float] = {}
    for number, each in enumerate(played):
        before, at = START + number * EVERY_SECONDS, START + (number + 1) * EVERY_SECONDS
        app.play(each)
        data = reader.get_metrics_data()
        assert data is not None
        for metric in data.resource_metrics[0].scope_metrics[0].metrics:
            if metric.name == "seen":
                # As our reader marks it: what it counts is older than the process.
                object.__setattr__(metric, "data", _observed_sum(metric.data))
            for point in metric.data.data_points:
                start = began.setdefault((metric.name, str(point.attributes)), before)
                object.__setattr__(point, "start_time_unix_nano", round(start * 1e9))
        window.append(translation.samples(data, at))
        yield window


def _observed_sum(data: Any) -> ObservedSum:
    return ObservedSum(
        data_points=data.data_points,
        aggregation_temporality=data.aggregation_temporality,
        is_monotonic=data.is_monotonic,
    )


def moved(bodies: Sequence[Arrived]) -> Iterator[Arrived]:
    """The requests as if they came every 15 s; what began between two of them began with the first."""
    collected: list[int] = []
    for number, arrived in enumerate(bodies):
        points = list(_points(arrived))
        at = START + (number + 1) * EVERY_SECONDS
        times = {point.time_unix_nano for _, point in points}
        new = dict.fromkeys(times, at)
        for name, point in points:
            start = getattr(point, "start_time_unix_nano", 0)
            since = START + sum(one <= start for one in collected) * EVERY_SECONDS
            if start:
                # A counter that is observed begins with its first collection, for all that the SDKs know.
                new.setdefault(start, at - _MOMENT if name == "seen" and since == START else since)
        collected.append(min(times))
        body = arrived.body
        for old, at in new.items():
            body = body.replace(_written(old, in_json=arrived.json), _written(round(at * 1e9), in_json=arrived.json))
        yield Arrived(body=body, json=arrived.json)


def _written(nanoseconds: int, *, in_json: bool) -> bytes:
    return str(nanoseconds).encode() if in_json else struct.pack("<Q", nanoseconds)


def _points(arrived: Arrived) -> Iterator[tuple[str, Any]]:
    body = protobuf_of(Signal.METRICS, arrived.body) if arrived.json else arrived.body
    for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in getattr(metric, str(metric.WhichOneof("data"))).data_points:
                    yield metric.name, point


def assert_evaluates_as_in_process(bodies: Sequence[Arrived], played: Sequence[Round]) -> None:
    """What was sent, a request a round, has the value of each query that the in-process reader has, after each."""
    assert len(bodies) >= len(played)
    ingest, there = Ingest(), Window(retention_seconds=900)
    for number, (here, arrived) in enumerate(zip(in_process(played), moved(bodies[: len(played)]), strict=True)):
        at = START + (number + 1) * EVERY_SECONDS
        taken = (ingest.take_json if arrived.json else ingest.take)(arrived.body, at=at)
        assert (taken.rejected, taken.message) == (0, "")
        there.append(ingest.collect(at))
        for text in QUERIES:
            query = Query(text)
            mine, theirs = _values(query.evaluate(here, at + 2)), _values(query.evaluate(there, at + 2))
            assert theirs == pytest.approx(mine, rel=1e-6, nan_ok=True), (number, text)
            assert mine or number < 1, text
    assert not ingest.dropped


def _values(found: Any) -> dict[str, Any]:
    assert isinstance(found, Evaluation)
    return {str(each.labels): each.value for each in found.vector}
