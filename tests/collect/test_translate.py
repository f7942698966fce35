from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Buckets,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
)

from otelmon.collect.reader import ObservedSum
from otelmon.collect.translate import Point, Translation
from otelmon.histogram import Buckets as NativeBuckets
from otelmon.labels import Labels
from tests.collect.making import START, by_text, data_of, starts

AT = START + 15
CUMULATIVE, DELTA = AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA
BEGUN, NOW = round(START * 1e9), round(AT * 1e9)


def number(value: float, **attributes: Any) -> NumberDataPoint:
    return NumberDataPoint(attributes=attributes, start_time_unix_nano=BEGUN, time_unix_nano=NOW, value=value)


def counter(
    name: str, *points: NumberDataPoint, unit: str = "", temporality: Any = CUMULATIVE, cls: Any = Sum
) -> Metric:
    data = cls(data_points=list(points), aggregation_temporality=temporality, is_monotonic=True)
    return Metric(name=name, description="", unit=unit, data=data)


def gauge(name: str, *points: NumberDataPoint, unit: str = "") -> Metric:
    return Metric(name=name, description="", unit=unit, data=Gauge(data_points=list(points)))


def explicit(name: str, bounds: tuple[float, ...], counts: tuple[int, ...], total: float) -> Metric:
    point = HistogramDataPoint(
        attributes={"k": "v"},
        start_time_unix_nano=BEGUN,
        time_unix_nano=NOW,
        count=sum(counts),
        sum=total,
        bucket_counts=counts,
        explicit_bounds=bounds,
        min=0,
        max=9,
    )
    return Metric(name, "", "s", Histogram(data_points=[point], aggregation_temporality=CUMULATIVE))


def exponential(
    scale: int, offset: int, counts: list[int], *, negative: Buckets | None = None, zero: int = 0
) -> Metric:
    point = ExponentialHistogramDataPoint(
        attributes={},
        start_time_unix_nano=BEGUN,
        time_unix_nano=NOW,
        count=sum(counts) + zero,
        sum=7.0,
        scale=scale,
        zero_count=zero,
        positive=Buckets(offset=offset, bucket_counts=counts),
        negative=negative or Buckets(offset=0, bucket_counts=[]),
        flags=0,
        min=0,
        max=9,
    )
    data = ExponentialHistogram(data_points=[point], aggregation_temporality=CUMULATIVE)
    return Metric("took", "", "s", data)


@pytest.fixture
def translation() -> Translation:
    return Translation(job="shop", instance="h1")


def test_a_counter_carries_the_start_from_which_it_counts_and_a_gauge_has_none(translation: Translation) -> None:
    samples = translation.samples(data_of(counter("orders", number(3, kind="a")), gauge("depth", number(2))), AT)
    assert by_text(samples) == {'orders_total{kind="a"}': 3.0, "depth{}": 2.0}
    assert starts(samples) == {'orders_total{kind="a"}': START, "depth{}": None}
    assert {sample.at for sample in samples} == {AT}


def test_job_and_instance_are_on_every_series_and_an_attribute_of_that_name_yields(translation: Translation) -> None:
    (sample,) = translation.samples(data_of(gauge("depth", number(1, job="mine", instance="mine", zone="a"))), AT)
    expected = {"__name__": "depth", "job": "shop", "instance": "h1", "zone": "a"}
    assert sample.labels is Labels(expected)


def test_an_up_down_counter_is_a_gauge_without_a_start(translation: Translation) -> None:
    data = Sum(data_points=[number(-2)], aggregation_temporality=CUMULATIVE, is_monotonic=False)
    samples = translation.samples(data_of(Metric("inside", "", "1", data)), AT)
    assert (by_text(samples), starts(samples)) == ({"inside{}": -2.0}, {"inside{}": None})


def test_an_observable_counter_has_no_known_start(translation: Translation) -> None:
    samples = translation.samples(data_of(counter("boot", number(1e9), unit="s", cls=ObservedSum)), AT)
    assert (by_text(samples), starts(samples)) == ({"boot_seconds_total{}": 1e9}, {"boot_seconds_total{}": None})


def test_an_explicit_histogram_gives_classic_series_with_cumulative_buckets(translation: Translation) -> None:
    samples = translation.samples(data_of(explicit("took", (0.5, 1.0), (2, 3, 1), 4.5)), AT)
    assert by_text(samples) == {
        'took_seconds_count{k="v"}': 6.0,
        'took_seconds_sum{k="v"}': 4.5,
        'took_seconds_bucket{k="v", le="0.5"}': 2.0,
        'took_seconds_bucket{k="v", le="1.0"}': 5.0,
        'took_seconds_bucket{k="v", le="+Inf"}': 6.0,
    }
    assert set(starts(samples).values()) == {START}


def test_an_exponential_histogram_gives_a_native_one_counted_from_one_higher(translation: Translation) -> None:
    negative = Buckets(offset=2, bucket_counts=[4])
    values = by_text(translation.samples(data_of(exponential(5, -3, [1, 0, 2], negative=negative, zero=1)), AT))
    native = values.pop("took_seconds{}")
    assert values == {"took_seconds_count{}": 4.0, "took_seconds_sum{}": 7.0}
    assert (native.scale, native.count, native.sum, native.zero_count) == (5, 4.0, 7.0, 1.0)
    assert native.positive == NativeBuckets(indices=(-2, 0), counts=(1.0, 2.0))
    assert native.negative == NativeBuckets(indices=(3,), counts=(4.0,))


def test_a_scale_finer_than_prometheus_has_is_merged_down_and_a_coarser_one_keeps_count_and_sum(
    translation: Translation,
) -> None:
    native = by_text(translation.samples(data_of(exponential(10, -5, [1] * 8)), AT))["took_seconds{}"]
    # Indices -5 .. 2 at scale 10 are -2 .. 0 at scale 8, by the floor of a fourth.
    assert (native.scale, native.positive) == (8, NativeBuckets(indices=(-1, 0, 1), counts=(1.0, 4.0, 3.0)))
    coarse = by_text(translation.samples(data_of(exponential(-5, 0, [3])), AT))
    assert coarse == {"took_seconds_count{}": 3.0, "took_seconds_sum{}": 7.0}


def test_the_resource_goes_to_target_info_and_gives_job_and_instance_when_nobody_says_otherwise() -> None:
    resource = {"service.name": "shop", "service.namespace": "web", "service.instance.id": "i-1", "host.name": "h1"}
    samples = Translation().samples(data_of(gauge("depth", number(1)), resource=resource), AT)
    identity = {"job": "web/shop", "instance": "i-1"}
    assert [dict(sample.labels) for sample in samples] == [
        {"__name__": "target_info", "host_name": "h1", **identity},
        {"__name__": "depth", **identity},
    ]
    assert samples[0].value == 1.0


def test_the_scope_leaves_no_label(translation: Translation) -> None:
    (sample,) = translation.samples(data_of(gauge("depth", number(1)), scope="my.module"), AT)
    assert set(sample.labels) == {"__name__", "job", "instance"}


def test_delta_points_and_what_has_no_name_are_counted_and_the_rest_is_translated(translation: Translation) -> None:
    delta = counter("lost", number(1), number(2, k="v"), temporality=DELTA)
    strange = Metric("strange", "", "", object())  # type: ignore[arg-type]
    samples = translation.samples(data_of(delta, gauge("数", number(1)), strange, gauge("depth", number(1))), AT)
    assert by_text(samples) == {"depth{}": 1.0}
    assert translation.skipped == {"delta": 2, "no valid name": 1, "unknown type": 1}


def test_a_metric_that_breaks_is_told_and_the_others_go_on(translation: Translation) -> None:
    broken = counter("broken", number("not a number"))  # type: ignore[arg-type]
    told: list[str] = []

    def points() -> Iterator[Point]:
        return translation.points(
            data_of(broken, gauge("depth", number(1))), on_error=lambda name, _: told.append(name)
        )

    assert [str(point.series[0].metric_name) for point in points()] == ["depth"]
    assert told == ["broken"]


def test_labels_are_made_once_for_an_attribute_set_and_forgotten_with_it(translation: Translation) -> None:
    attributes = {"k": "v"}
    point = NumberDataPoint(attributes=attributes, start_time_unix_nano=BEGUN, time_unix_nano=NOW, value=1)

    def series(*points: NumberDataPoint) -> list[tuple[Labels, ...]]:
        metric = counter("orders", *points)
        return [found.series for found in translation.points(data_of(metric), on_error=lambda *_: None)]

    first = series(point)
    assert series(point)[0] is first[0]
    others = series(number(1, k="w"))
    assert str(others[0][0].get("k")) == "w"
    (stream,) = translation._streams.values()
    assert len(stream._series) == 1


def test_an_attributes_object_with_another_content_is_never_mistaken(translation: Translation) -> None:
    # Objects die and their ids are given anew; the cache must not answer with the labels of the dead one.
    for index in range(200):
        (sample,) = translation.samples(data_of(gauge("depth", number(1, k=str(index)))), AT)
        assert sample.labels["k"] == str(index)
