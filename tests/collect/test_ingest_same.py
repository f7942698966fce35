"""What is sent is evaluated as what the in-process reader has: the same names, values and starts."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    Buckets,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    InMemoryMetricReader,
    Metric,
    MetricsData,
    NumberDataPoint,
    Sum,
)
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource

from otelmon.collect.ingest import Ingest
from otelmon.collect.names import label_set
from otelmon.collect.translate import Translation
from otelmon.labels import Labels
from otelmon.promql.query import Query
from otelmon.sample import Sample
from otelmon.window.window import Window
from tests.collect.making import START, data_of
from tests.collect.sending import CUMULATIVE, DELTA, as_json, encoded

AT = START + 15
NOW = round(AT * 1e9)
_Found = Mapping[Labels, tuple[Any, ...]]

finite = st.floats(allow_nan=False, width=64) | st.integers(-(2**53), 2**53)
names = st.text("ab.é_ 1%", min_size=1, max_size=6)
units = st.sampled_from(["", "s", "By", "1", "{things}", "By/s", "%", "odd unit"])
attribute_values = (
    st.text(max_size=4)
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.lists(st.text(max_size=2), max_size=2).map(tuple)
)
attributes = st.dictionaries(st.text("ab._1é", min_size=1, max_size=3), attribute_values, max_size=3)
since = st.sampled_from([round(START * 1e9), round((START + 14) * 1e9)])


@st.composite
def numbers(draw: st.DrawFn) -> NumberDataPoint:
    return NumberDataPoint(
        attributes=draw(attributes), start_time_unix_nano=draw(since), time_unix_nano=NOW, value=draw(finite)
    )


@st.composite
def explicits(draw: st.DrawFn) -> HistogramDataPoint:
    bounds = sorted(draw(st.sets(st.floats(-1e9, 1e9), max_size=4)))
    counts = draw(st.lists(st.integers(0, 2**40), min_size=len(bounds) + 1, max_size=len(bounds) + 1))
    return HistogramDataPoint(
        attributes=draw(attributes),
        start_time_unix_nano=draw(since),
        time_unix_nano=NOW,
        count=sum(counts),
        sum=draw(st.floats(-1e9, 1e9)),
        bucket_counts=counts,
        explicit_bounds=bounds,
        min=0.0,
        max=1.0,
    )


@st.composite
def exponentials(draw: st.DrawFn) -> ExponentialHistogramDataPoint:
    sides = [
        Buckets(offset=draw(st.integers(-400, 400)), bucket_counts=draw(st.lists(st.integers(0, 300), max_size=5)))
        for _ in range(2)
    ]
    zeros = draw(st.integers(0, 3))
    return ExponentialHistogramDataPoint(
        attributes=draw(attributes),
        start_time_unix_nano=draw(since),
        time_unix_nano=NOW,
        count=sum(sum(side.bucket_counts) for side in sides) + zeros,
        sum=draw(st.floats(-1e9, 1e9)),
        scale=draw(st.integers(-6, 20)),
        zero_count=zeros,
        positive=sides[0],
        negative=sides[1],
        flags=0,
        min=0.0,
        max=1.0,
    )


def some(points: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """With no two that are one series."""
    return st.lists(points, min_size=1, max_size=4, unique_by=lambda point: Labels(label_set(point.attributes)))


data = st.one_of(
    some(numbers()).map(lambda points: Gauge(data_points=points)),
    st.tuples(some(numbers()), st.booleans()).map(
        lambda drawn: Sum(data_points=drawn[0], aggregation_temporality=CUMULATIVE, is_monotonic=drawn[1])
    ),
    some(explicits()).map(lambda points: Histogram(data_points=points, aggregation_temporality=CUMULATIVE)),
    some(exponentials()).map(
        lambda points: ExponentialHistogram(data_points=points, aggregation_temporality=CUMULATIVE)
    ),
)
metrics = st.builds(lambda name, unit, data: Metric(name, "", unit, data), names, units, data)
resources = st.fixed_dictionaries(
    {"service.name": st.sampled_from(["shop", "a b"])},
    optional={"service.namespace": st.just("web"), "service.instance.id": st.just("i"), "host.name": st.just("h")},
)


def seen(samples: Sequence[Sample]) -> _Found:
    """The first sample of each series."""
    found: dict[Labels, tuple[Any, ...]] = {}
    for sample in samples:
        value = sample.value
        text = repr(value) if isinstance(value, float) and math.isnan(value) else value
        found.setdefault(sample.labels, (sample.at, text, sample.start_at))
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(metrics, min_size=1, max_size=3), resources)
def test_what_is_sent_is_what_the_translation_of_the_same_data_gives(
    metrics: list[Metric], resource: dict[str, Any]
) -> None:
    # No two with one name, which may not be told from each other.
    named = [replace(metric, name=f"{metric.name}.m{index}") for index, metric in enumerate(metrics)]
    given_data = data_of(*named, resource=resource)
    expected = seen(Translation().samples(given_data, AT))
    request = encoded(given_data)
    for take, body in (("take", request), ("take_json", as_json(request))):
        ingest = Ingest()
        for _ in range(2):  # the second time nothing is new, and all is dropped as sent twice
            getattr(ingest, take)(body, at=AT)
        assert seen(ingest.collect(AT)) == expected


KINDS = """
orders_total
rate(orders_total[2m])
increase(orders_total[2m])
inside
depth
watched_total
level
histogram_quantile(0.95, sum by (le) (rate(took_seconds_bucket[2m])))
histogram_quantile(0.937, rate(exact_seconds[2m]))
rate(took_seconds_count[2m])
rate(exact_seconds_sum[2m])
increase(exact_seconds_count[2m])
"""


class App:
    """All instrument kinds, collected by a reader of either temporality and by one that is cumulative."""

    def __init__(self, temporality: Any) -> None:
        deltas = {} if temporality is CUMULATIVE else dict.fromkeys(_kinds(), DELTA)
        self.sent = InMemoryMetricReader(preferred_temporality=deltas)
        self.own = InMemoryMetricReader()
        provider = MeterProvider(
            [self.sent, self.own],
            resource=Resource({"service.name": "shop", "service.instance.id": "i", "zone": "b"}),
            views=[View(instrument_name="exact", aggregation=ExponentialBucketHistogramAggregation())],
            shutdown_on_exit=False,
        )
        meter = provider.get_meter("app")
        self._dice = random.Random(7)
        self.orders, self.inside = meter.create_counter("orders"), meter.create_up_down_counter("inside")
        self.depth = meter.create_gauge("depth")
        self.took, self.exact = meter.create_histogram("took", "s"), meter.create_histogram("exact", "s")
        self.watched = 0
        meter.create_observable_gauge("level", [lambda _: [_observed(self.watched / 3)]])
        meter.create_observable_up_down_counter("watched_total", [lambda _: [_observed(-self.watched)]])

    def live(self) -> None:
        """Something happens."""
        self.watched += 5
        self.depth.set(self._dice.random())
        for _ in range(self._dice.randrange(60)):
            status = self._dice.choice((200, 200, 404, 500))
            self.orders.add(self._dice.randrange(3), {"status": status, "ok": status < 500})
            self.inside.add(self._dice.choice((1, -1)))
            for histogram in (self.took, self.exact):
                histogram.record(self._dice.lognormvariate(-2, 1), {"route": self._dice.choice("ab")})


def _kinds() -> Sequence[type]:
    from opentelemetry.sdk import metrics as sdk

    return (
        *(sdk.Counter, sdk.UpDownCounter, sdk.Histogram),
        *(sdk.ObservableCounter, sdk.ObservableUpDownCounter),
    )


def _observed(value: float) -> Any:
    from opentelemetry.metrics import Observation

    return Observation(value)


def _at(data: MetricsData, at: float, before: float, temporality: Any) -> MetricsData:
    """The data as if they were collected at ``at``, and the time before at ``before``."""
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                delta = getattr(metric.data, "aggregation_temporality", None) == DELTA
                for point in metric.data.data_points:
                    object.__setattr__(point, "time_unix_nano", round(at * 1e9))
                    object.__setattr__(point, "start_time_unix_nano", round((before if delta else START) * 1e9))
    return data


@pytest.mark.parametrize("temporality", [CUMULATIVE, DELTA])
def test_all_instruments_evaluate_as_they_do_in_the_process(temporality: Any) -> None:
    app, translation, ingest = App(temporality), Translation(), Ingest()
    here, there = Window(retention_seconds=600), Window(retention_seconds=600)
    at = START
    for _ in range(12):
        before, at = at, at + 15
        app.live()
        own, sent = app.own.get_metrics_data(), app.sent.get_metrics_data()
        assert own is not None
        assert sent is not None
        here.append(translation.samples(_at(own, at, before, CUMULATIVE), at))
        ingest.take(encoded(_at(sent, at, before, temporality)), at=at)
        there.append(ingest.collect(at))
        for text in KINDS.split("\n")[1:-1]:
            query = Query(text)
            mine, theirs = query.evaluate(here, at + 2), query.evaluate(there, at + 2)
            assert _vector(theirs) == pytest.approx(_vector(mine), rel=1e-7), text
    assert len(_vector(Query("{job='shop'}").evaluate(there, at))) > 30


def _vector(evaluation: Any) -> dict[Any, Any]:
    return {each.labels: each.value for each in evaluation.vector if isinstance(each.value, float)}
