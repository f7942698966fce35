"""Stories of the window: samples come, series end, clocks jump, too many series are refused."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelmon.histogram import Buckets, Histogram
from otelmon.labels import Labels
from otelmon.matching import Matcher, MatchOperator
from otelmon.sample import STALE, Sample
from otelmon.window.window import Window

START = 1_700_000_000.0


def named(name: str) -> list[Matcher]:
    return [Matcher(name="__name__", operator=MatchOperator.EQUAL, value=name)]


def sample(name: str, at: float, value: float | Histogram, start_at: float | None = None, **labels: str) -> Sample:
    return Sample(labels=Labels({"__name__": name, **labels}), at=START + at, value=value, start_at=start_at)


def values(window: Window, name: str) -> list[tuple[float, object]]:
    found = window.select(named(name))
    return [(time - START, value) for series in found for time, value in zip(series.times, series.values, strict=True)]


def test_samples_come_back_in_order_with_their_labels() -> None:
    window = Window(retention_seconds=300)
    window.append([sample("a", 0, 1.0, job="x"), sample("a", 0, 5.0, job="y"), sample("a", 15, 2.0, job="x")])
    first, second = window.select(named("a"))
    assert (first.labels["job"], first.values.tolist()) == ("x", [1.0, 2.0])
    assert (second.labels["job"], second.values.tolist()) == ("y", [5.0])
    assert window.select([*named("a"), Matcher(name="job", operator=MatchOperator.REGEX, value="y|z")])[
        0
    ] == second or (
        window.select([*named("a"), Matcher(name="job", operator=MatchOperator.EQUAL, value="y")])[0].labels
        == second.labels
    )
    assert window.select(named("b")) == []


def test_what_is_not_newer_is_dropped_and_counted() -> None:
    window = Window(retention_seconds=300)
    window.append([sample("a", 15, 1.0)])
    window.append([sample("a", 15, 2.0), sample("a", 10, 3.0), sample("a", 30, 4.0)])
    assert values(window, "a") == [(15, 1.0), (30, 4.0)]
    assert window.out_of_order == 2


def test_the_first_sample_of_a_counter_counts_from_its_start() -> None:
    window = Window(retention_seconds=300)
    window.append([sample("errors", 15, 3.0, start_at=START + 2)])
    window.append([sample("errors", 30, 5.0, start_at=START + 2)])
    assert values(window, "errors") == [(2, 0.0), (15, 3.0), (30, 5.0)]


def test_a_restarted_counter_counts_from_its_new_start() -> None:
    window = Window(retention_seconds=300)
    window.append([sample("errors", 15, 30.0, start_at=START)])
    window.append([sample("errors", 45, 2.0, start_at=START + 40)])
    assert values(window, "errors") == [(0, 0.0), (15, 30.0), (40, 0.0), (45, 2.0)]


def test_a_start_before_the_retention_writes_no_zero() -> None:
    window = Window(retention_seconds=300)
    window.append([sample("errors", 1000, 3.0, start_at=START)])
    assert values(window, "errors") == [(1000, 3.0)]


def test_a_series_without_samples_in_the_retention_is_forgotten_and_its_row_used_again() -> None:
    window = Window(retention_seconds=60)
    window.append([sample("a", 0, 1.0, job="old"), sample("a", 0, 1.0, job="stays")])
    selection = window.selection(tuple(named("a")))
    for at in range(15, 91, 15):
        window.append([sample("a", at, float(at), job="stays")])
    assert window.series_count == 1
    window.append([sample("a", 90, 7.0, job="new")])
    assert {series.labels["job"] for series in window.select(named("a"))} == {"stays", "new"}
    assert window.selection(tuple(named("a"))) is selection, "the selection was extended, not rebuilt"
    assert window.select([*named("a"), Matcher(name="job", operator=MatchOperator.EQUAL, value="new")])[
        0
    ].values.tolist() == [7.0]


def test_churn_does_not_pile_up() -> None:
    window = Window(retention_seconds=60)
    for tick in range(100):
        window.append([sample("a", tick * 15, 1.0, pod=str(tick * 10 + index)) for index in range(10)])
    assert window.series_count <= 70
    assert window.size_bytes < 100_000
    assert len(window.selection(tuple(named("a"))).labels) < 250


def test_too_many_series_are_refused_counted_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    window = Window(retention_seconds=300, max_series=2)
    with caplog.at_level(logging.WARNING):
        window.append([sample("a", 0, 1.0, n=str(index)) for index in range(5)])
        window.append([sample("a", 15, 2.0, n=str(index)) for index in range(5)])
    assert (window.series_count, window.overflowed) == (2, 6)
    assert [series.values.tolist() for series in window.select(named("a"))] == [[1.0, 2.0], [1.0, 2.0]]
    assert len(caplog.records) == 1
    assert "2 series" in caplog.text


def test_a_jump_of_the_clock_moves_every_sample() -> None:
    window = Window(retention_seconds=300)
    window.append([sample("a", 0, 1.0), sample("h", 0, Histogram(count=1, sum=1.0))])
    window.shift(3600)
    assert values(window, "a") == [(3600, 1.0)]
    assert [at for at, _ in values(window, "h")] == [3600]
    window.append([sample("a", 3615, 2.0)])
    assert values(window, "a") == [(3600, 1.0), (3615, 2.0)]


def histogram(*counts: float, scale: int = 5, first: int = 10, zero: float = 0.0) -> Histogram:
    filled = [(first + index, count) for index, count in enumerate(counts) if count]
    return Histogram(
        count=sum(counts) + zero,
        sum=1.5 * sum(counts),
        scale=scale,
        zero_count=zero,
        positive=Buckets(indices=tuple(at for at, _ in filled), counts=tuple(count for _, count in filled)),
    )


def test_histograms_come_back_as_they_went_in_also_over_resets_and_compaction() -> None:
    window = Window(retention_seconds=100)
    given_values = []
    for tick in range(40):
        grown = tick % 13  # a reset every 13 ticks
        value = histogram(1 + grown, 2 * grown, 0, grown, first=10 - tick // 10, zero=float(grown))
        given_values.append((tick * 10.0, value))
        window.append([sample("h", tick * 10, value), sample("h", tick * 10, histogram(3.0), route="other")])
    found = next(series for series in window.select(named("h")) if "route" not in series.labels)
    kept = list(zip((found.times - START).tolist(), found.values.tolist(), strict=True))
    assert kept == given_values[-len(kept) :]
    assert len(kept) >= 10


def test_mixed_scales_and_custom_bounds_are_kept_too() -> None:
    window = Window(retention_seconds=1000)
    ones = [histogram(1, 2), histogram(3, 4, scale=3), Histogram(count=2, sum=3, bounds=(1.0, 2.0))]
    for index, one in enumerate(ones):
        window.append([sample("h", index * 15, one)])
    assert [value for _, value in values(window, "h")] == ones


def test_a_stale_marker_of_an_unknown_series_makes_none() -> None:
    window = Window(retention_seconds=300)
    window.append([sample("a", 0, STALE)])
    assert window.series_count == 0


def test_thousands_of_histograms_end_at_once_and_others_begin() -> None:
    """As when a deploy renames every route: more markers in one batch than calls may nest."""
    window = Window(retention_seconds=300)
    histogram = Histogram(count=1.0, sum=0.1, scale=5, positive=Buckets(indices=(3,), counts=(1.0,)))
    window.append(sample("a", 0, histogram, n=str(number)) for number in range(3000))
    ends = [sample("a", 15, STALE, n=str(number)) for number in range(2900)]
    window.append([*ends, *(sample("a", 15, float(number), n=str(number)) for number in range(2900, 3000))])
    block = window.selection(tuple(named("a"))).parts[0].family.histograms
    assert block is not None
    _, live = block.last_at(START + 16, np.arange(3000), 300.0)
    assert np.count_nonzero(live) == 100
    window.append(sample("a", 30, histogram, n=str(number)) for number in range(3000))
    _, live = block.last_at(START + 31, np.arange(3000), 300.0)
    assert live.all()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 60), st.floats(0, 1e6) | st.just(STALE)), min_size=1, max_size=60
    ),
    st.integers(1, 20),
)
def test_the_window_holds_what_a_dict_of_lists_would(samples: list[tuple[int, int, float]], size: int) -> None:
    window = Window(retention_seconds=1e6)
    expected: dict[int, list[tuple[float, float]]] = {}
    latest: dict[int, float] = {}
    batch = []
    for series, at, value in samples:
        batch.append(sample("a", at, value, n=str(series)))
        is_marker = math.isnan(value)
        if (is_marker and series not in expected) or at <= latest.get(series, -1):
            continue
        latest[series] = at
        expected.setdefault(series, [])
        if not is_marker:
            expected[series].append((START + at, value))
    for begin in range(0, len(batch), size):
        window.append(batch[begin : begin + size])
    found = {
        int(series.labels["n"]): list(zip(series.times.tolist(), series.values.tolist(), strict=True))
        for series in window.select(named("a"))
    }
    assert found == expected


def test_counter_resets_are_summed_as_samples_arrive() -> None:
    window = Window(retention_seconds=1000)
    for index, value in enumerate([0.0, 5.0, 3.0, 4.0, 1.0]):
        window.append([sample("c", index, value)])
    block = window.selection(tuple(named("c"))).parts[0].family.floats
    assert block is not None
    assert np.array_equal(block.columns["resets"][0, :5], [0, 0, 5, 5, 9])


def test_a_metric_may_be_kept_longer_than_others() -> None:
    window = Window(retention_seconds=600.0, lasting={"view": 86_400.0})
    for at in range(0, 200_000, 300):
        window.append(
            [
                Sample(labels=Labels({"__name__": "view"}), at=float(at), value=float(at)),
                Sample(labels=Labels({"__name__": "raw"}), at=float(at), value=float(at)),
            ]
        )
    by_name = {series.labels.metric_name: series.times for series in window.select(())}
    newest = by_name["raw"][-1]
    assert newest - by_name["raw"][0] < 3 * 600
    assert 86_100 <= newest - by_name["view"][0] < 2 * 86_400
    assert window.longest_seconds == 86_400
    # One that has no samples any more goes when its own time is over.
    for at in range(200_000, 240_000, 300):
        window.append([Sample(labels=Labels({"__name__": "other"}), at=float(at), value=1.0)])
    assert {series.labels.metric_name for series in window.select(())} == {"view", "other"}


def test_a_few_histograms_with_buckets_far_apart_do_not_take_the_memory_of_all() -> None:
    window = Window(retention_seconds=300)
    low, high = [
        Histogram(count=2.0, sum=1.0, scale=8, positive=Buckets(indices=(index,), counts=(2.0,)))
        for index in (-16000, 16000)
    ]
    window.append([sample("a", 0, low, n="0"), sample("a", 0, high, n="1")])
    family = window.selection(tuple(named("a"))).parts[0].family
    # They were sent in a request or two; as many rows of 32,000 buckets would be gigabytes.
    for tick in (10, 20):
        window.append(sample("a", tick, high if number % 2 else low, n=str(number)) for number in range(4000))
    assert sum(block.size_bytes for block in family.blocks) < 32 << 20
    assert [each.values.tolist() for each in window.select(named("a"))[:3]] == [[low] * 3, [high] * 3, [low] * 2]
