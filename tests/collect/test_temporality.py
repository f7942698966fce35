from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogramDataPoint,
    Gauge,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    Sum,
)

from otelmon.collect.reader import ObservedSum
from otelmon.collect.requests import request_metrics
from otelmon.collect.temporality import DeltaConversion, Preference, attributes_key
from tests.collect.making import START, cell, data_of, snapshot
from tests.collect.test_reader import metrics_of

CUMULATIVE, DELTA = AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA


def number(value: float, *, at: float, start: float = START, **attributes: Any) -> NumberDataPoint:
    times = {"start_time_unix_nano": round(start * 1e9), "time_unix_nano": round(at * 1e9)}
    return NumberDataPoint(attributes=attributes, value=value, **times)


def counted(*points: NumberDataPoint, cls: Any = Sum, monotonic: bool = True, name: str = "orders") -> Metric:
    return Metric(name, "", "", cls(list(points), CUMULATIVE, monotonic))


def accepted(conversion: DeltaConversion, data: MetricsData) -> dict[str, Any]:
    converted = conversion.convert(data)
    conversion.commit(converted)
    return metrics_of(converted.data)


def values(data: Any) -> list[tuple[float, float, float]]:
    """Value, start and time of each point; times as seconds since START."""
    seconds = [
        (point.start_time_unix_nano / 1e9 - START, point.time_unix_nano / 1e9 - START) for point in data.data_points
    ]
    return [(point.value, *map(round, times)) for point, times in zip(data.data_points, seconds, strict=True)]


def test_a_delta_covers_the_time_since_the_last_accepted_export() -> None:
    conversion = DeltaConversion(Preference.DELTA)
    first = accepted(conversion, data_of(counted(number(5, at=START + 60))))["orders"]
    assert (values(first), first.aggregation_temporality, first.is_monotonic) == ([(5, 0, 60)], DELTA, True)
    assert values(accepted(conversion, data_of(counted(number(8, at=START + 120))))["orders"]) == [(3, 60, 120)]


def test_an_export_that_failed_is_covered_by_the_next() -> None:
    conversion = DeltaConversion(Preference.DELTA)
    accepted(conversion, data_of(counted(number(5, at=START + 60))))
    conversion.convert(data_of(counted(number(8, at=START + 120))))
    assert values(accepted(conversion, data_of(counted(number(9, at=START + 180))))["orders"]) == [(4, 60, 180)]


def test_what_did_not_count_says_nothing_and_its_next_delta_has_no_gap() -> None:
    conversion = DeltaConversion(Preference.DELTA)
    accepted(conversion, data_of(counted(number(5, at=START + 60))))
    idle = conversion.convert(data_of(counted(number(5, at=START + 120))))
    assert idle.data is None
    conversion.commit(idle)
    assert values(accepted(conversion, data_of(counted(number(6, at=START + 180))))["orders"]) == [(1, 120, 180)]


def test_a_reset_begins_at_the_new_start_or_where_the_count_fell() -> None:
    conversion = DeltaConversion(Preference.DELTA)
    accepted(conversion, data_of(counted(number(5, at=START + 60))))
    restarted = counted(number(7, at=START + 120, start=START + 90))
    assert values(accepted(conversion, data_of(restarted))["orders"]) == [(7, 90, 120)]
    fallen = counted(number(2, at=START + 180, start=START + 90))
    assert values(accepted(conversion, data_of(fallen))["orders"]) == [(2, 120, 180)]


def test_a_series_that_was_away_does_not_count_twice() -> None:
    conversion = DeltaConversion(Preference.DELTA)
    accepted(conversion, data_of(counted(number(5, at=START + 60, k="a"), number(1, at=START + 60, k="b"))))
    accepted(conversion, data_of(counted(number(2, at=START + 120, k="b"))))
    back = counted(number(6, at=START + 180, k="a"), number(2, at=START + 180, k="b"))
    assert values(accepted(conversion, data_of(back))["orders"]) == [(1, 60, 180)]


@pytest.mark.parametrize(
    ("preference", "delta"),
    [
        (Preference.CUMULATIVE, set()),
        (Preference.DELTA, {"orders", "boot", "http.server.request.duration"}),
        (Preference.LOWMEMORY, {"orders", "http.server.request.duration"}),
    ],
)
def test_the_preference_decides_which_kinds_become_deltas(preference: Preference, delta: set[str]) -> None:
    data = data_of(
        counted(number(1, at=START + 60)),
        counted(number(1, at=START + 60), cls=ObservedSum, name="boot"),
        counted(number(1, at=START + 60), monotonic=False, name="inside"),
        Metric("depth", "", "", Gauge([number(1, at=START + 60)])),
        *request_metrics(snapshot(cell([0.1])), at=START + 60, exponential=False),
    )
    found = accepted(DeltaConversion(preference), data)
    assert len(found) == 5
    temporalities = {name: getattr(data, "aggregation_temporality", None) for name, data in found.items()}
    assert {name for name, temporality in temporalities.items() if temporality == DELTA} == delta


def test_up_down_counters_and_gauges_are_said_each_time() -> None:
    conversion = DeltaConversion(Preference.DELTA)
    data = data_of(
        counted(number(3, at=START), monotonic=False, name="inside"),
        Metric("depth", "", "", Gauge([number(4, at=START)])),
    )
    for _ in range(2):
        found = accepted(conversion, data)
        assert [found[name].data_points[0].value for name in ("inside", "depth")] == [3, 4]


def test_true_and_one_are_different_attributes() -> None:
    keys = [attributes_key({"k": value}) for value in (True, 1, 1.0, "1", (1,), None)]
    assert len(set(keys)) == len(keys)
    assert attributes_key({"a": 1, "b": [1, "x"]}) == attributes_key({"b": (1, "x"), "a": 1})


rounds = st.lists(
    st.tuples(
        st.lists(st.sampled_from([0.0, 0.0004, 0.003, 0.01, 0.4, 7.0, 300.0]), max_size=4),
        st.booleans(),  # whether the export is accepted
        st.booleans(),  # whether the process restarts before it
    ),
    min_size=1,
    max_size=12,
)


def spread(point: ExponentialHistogramDataPoint, scale: int) -> dict[int, int]:
    found: dict[int, int] = {}
    for index, count in enumerate(point.positive.bucket_counts, point.positive.offset):
        if count:
            found[index >> (point.scale - scale)] = found.get(index >> (point.scale - scale), 0) + count
    return found


@settings(max_examples=80, deadline=None)
@given(rounds, st.booleans())
def test_what_was_accepted_adds_up_to_what_was_counted(steps: Any, exponential: bool) -> None:
    conversion = DeltaConversion(Preference.DELTA)
    happened: list[float] = []  # since the restart
    begun = START
    unsent: list[float] = []
    sent_until = START
    deltas: list[Any] = []
    expected: list[float] = []
    for step, (seconds, is_accepted, restarts) in enumerate(steps, 1):
        at = START + 60 * step
        if restarts:
            # What no export covered before the restart is lost with the process; it is not the conversion's to keep.
            happened, unsent, begun = [], [], at - 30
        happened += seconds
        unsent += seconds
        taken = snapshot(cell(happened) if happened else cell([]), start_at=begun)
        converted = conversion.convert(data_of(*request_metrics(taken, at=at, exponential=exponential)))
        if not is_accepted:
            continue
        conversion.commit(converted)
        expected += unsent
        unsent = []
        for point in metrics_of(converted.data).get("http.server.request.duration", Gauge([])).data_points:
            start = point.start_time_unix_nano / 1e9
            assert max(sent_until, begun) - 1e-3 <= start < at
            deltas.append(point)
        sent_until = at
    assert sum(point.count for point in deltas) == len(expected)
    assert sum(point.sum for point in deltas) == pytest.approx(sum(expected))
    whole = cell(expected)
    if not exponential:
        summed = [sum(counts) for counts in zip(*(point.bucket_counts for point in deltas), strict=True)]
        assert summed == ([*whole.explicit] if deltas else [])
        assert all(isinstance(point, HistogramDataPoint) for point in deltas)
        return
    assert sum(point.zero_count for point in deltas) == whole.zero_count
    coarsest = min((point.scale for point in deltas), default=5)
    merged: dict[int, int] = {}
    for point in deltas:
        for index, count in spread(point, coarsest).items():
            merged[index] = merged.get(index, 0) + count
    exact: dict[int, int] = {}
    for index, count in whole.exponential.items():
        exact[index >> (5 - coarsest)] = exact.get(index >> (5 - coarsest), 0) + count
    assert merged == exact


def test_a_histogram_whose_bounds_changed_begins_anew() -> None:
    conversion = DeltaConversion(Preference.DELTA)
    (metric,) = request_metrics(snapshot(cell([0.1, 0.2])), at=START + 60, exponential=False)
    accepted(conversion, data_of(metric))
    (point,) = metric.data.data_points
    assert isinstance(point, HistogramDataPoint)
    other = replace(
        point, explicit_bounds=(1.0,), bucket_counts=(3, 0), count=3, time_unix_nano=point.time_unix_nano + 1
    )
    changed = replace(metric, data=replace(metric.data, data_points=[other]))
    (delta,) = accepted(conversion, data_of(changed))["http.server.request.duration"].data_points
    assert delta.count == 3
