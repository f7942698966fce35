"""The recorder: bounded, exact at the bounds of its buckets, readable while it is written."""

import math
import random
import statistics
import threading

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.metrics._internal.exponential_histogram.mapping.logarithm_mapping import LogarithmMapping

from otelmon.instrument.buckets import SLOT_BOUNDS, exponential_bound, exponential_index
from otelmon.instrument.model import BOUNDS, SCALE, Traffic
from otelmon.instrument.recorder import RequestRecorder


def record(recorder, *seconds, route="/", status=200, error_type="", method="GET", traffic=Traffic.REQUEST):
    lane = recorder.lane(traffic, method, "http")
    for value in seconds:
        lane.begin()
        lane.end(route, status, error_type, value)


def only_cell(recorder):
    (cell,) = recorder.snapshot().cells
    return cell


# Below the smallest normal float the bounds of neighbouring buckets are the same number.
durations = st.floats(min_value=2.3e-308, max_value=1e300)


@given(durations)
@example(1.0)
@example(0.005)
@example(2.0**-20)
@example(4096.0)
@settings(max_examples=300)
def test_a_duration_lies_in_its_exponential_bucket_upper_bound_included(seconds):
    index = exponential_index(seconds)
    assert exponential_bound(index - 1) < seconds <= exponential_bound(index)


@given(st.integers(min_value=-700, max_value=450))
@settings(max_examples=200)
def test_a_bound_belongs_to_the_bucket_below_it_and_the_next_float_to_the_one_above(index):
    bound = exponential_bound(index)
    assert exponential_index(bound) == index
    assert exponential_index(math.nextafter(bound, math.inf)) == index + 1


@given(st.floats(min_value=1e-6, max_value=1e4))
@settings(max_examples=300)
def test_indices_are_those_of_the_opentelemetry_sdk(seconds):
    ours, theirs = exponential_index(seconds), LogarithmMapping(SCALE).map_to_index(seconds)
    # The SDK's logarithm may be one off at a bound that is no power of two; ours is exact there.
    near_bound = math.isclose(seconds, exponential_bound(min(ours, theirs)), rel_tol=1e-12)
    assert ours == theirs or (near_bound and abs(ours - theirs) == 1)


@given(st.floats(min_value=0.0, max_value=1e6))
@example(0.0)
@example(5e-324)
@example(1e-9)
@example(5000.0)
@settings(max_examples=300)
def test_one_duration_is_counted_once_in_either_histogram(seconds):
    recorder = RequestRecorder(start_at=0.0)
    record(recorder, seconds)
    cell = only_cell(recorder)
    bucket = cell.explicit.index(1)
    assert bucket == 0 or BOUNDS[bucket - 1] < seconds
    assert bucket == len(BOUNDS) or seconds <= BOUNDS[bucket]
    assert (dict(cell.exponential), cell.zero_count) == (({exponential_index(seconds): 1}, 0) if seconds else ({}, 1))
    assert (cell.count, cell.sum) == (1, seconds)


def test_every_slot_bound_is_counted_below_itself_and_in_one_bucket():
    recorder = RequestRecorder(start_at=0.0)
    record(recorder, *SLOT_BOUNDS)
    cell = only_cell(recorder)
    assert cell.count == sum(cell.exponential.values()) == sum(cell.explicit) == len(SLOT_BOUNDS)
    assert set(cell.exponential) == {exponential_index(bound) for bound in SLOT_BOUNDS}


def test_p95_is_within_two_per_cent_of_the_truth():
    chance = random.Random(7)
    values = [chance.lognormvariate(-3.0, 0.9) for _ in range(20_000)]
    recorder = RequestRecorder(start_at=0.0)
    record(recorder, *values)
    cell, seen = only_cell(recorder), 0
    for index in sorted(cell.exponential):
        seen += cell.exponential[index]
        if seen >= 0.95 * cell.count:
            break
    estimate = math.sqrt(exponential_bound(index - 1) * exponential_bound(index))
    assert estimate == pytest.approx(statistics.quantiles(values, n=20)[-1], rel=0.02)


def test_beyond_the_cap_each_kind_of_traffic_has_one_overflow_cell():
    recorder = RequestRecorder(start_at=0.0, max_cells=3)
    for number in range(10):
        record(recorder, 0.1, route=f"/r{number}")
    record(recorder, 0.2, traffic=Traffic.WEBSOCKET)
    record(recorder, 0.1, route="/r0")
    cells = recorder.snapshot().cells
    assert [(c.route, c.count) for c in cells if not c.overflow] == [("/r0", 2), ("/r1", 1), ("/r2", 1)]
    assert [(c.traffic, c.count, c.method, c.status) for c in cells if c.overflow] == [
        (Traffic.REQUEST, 7, "", 0),
        (Traffic.WEBSOCKET, 1, "", 0),
    ]
    assert recorder.overflowed == 8


@pytest.mark.parametrize(("status", "counted"), [(100, 100), (599, 599), (99, 0), (600, 0), (-1, 0), (10**9, 0)])
def test_a_status_outside_of_100_to_599_is_none(status, counted):
    recorder = RequestRecorder(start_at=0.0)
    record(recorder, 0.1, status=status)
    assert only_cell(recorder).status == counted


def test_unknown_methods_and_schemes_are_one_each():
    recorder = RequestRecorder(start_at=0.0)
    for method in ("BREW", "get", "PROPFIND", ""):
        record(recorder, 0.1, method=method)
    recorder.lane(Traffic.REQUEST, "GET", "gopher").begin()
    assert [(c.method, c.count) for c in recorder.snapshot().cells] == [("_OTHER", 4)]
    assert {(a.method, a.scheme, a.count) for a in recorder.snapshot().active} == {
        ("_OTHER", "http", 0),
        ("GET", "_OTHER", 1),
    }
    assert set(recorder.requests) == set()


def test_the_environment_may_name_the_known_methods(monkeypatch):
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "GET, BREW ,")
    recorder = RequestRecorder(start_at=0.0)
    for method in ("BREW", "POST"):
        record(recorder, 0.1, method=method)
    assert [c.method for c in recorder.snapshot().cells] == ["BREW", "_OTHER"]


def test_a_snapshot_from_another_thread_agrees_with_itself_while_requests_run():
    recorder = RequestRecorder(start_at=5.0, max_cells=300)
    total, done = 60_000, threading.Event()

    def requests():
        chance = random.Random(1)
        for number in range(total):
            record(recorder, chance.random(), route=f"/{number % 400}", status=200 + number % 3)
        done.set()

    writer = threading.Thread(target=requests)
    writer.start()
    seen = []
    while not done.is_set():
        cells = recorder.snapshot().cells
        assert all(c.count == sum(c.explicit) == c.zero_count + sum(c.exponential.values()) for c in cells)
        seen.append(sum(cell.count for cell in cells))
    writer.join()
    assert seen == sorted(seen)
    assert sum(cell.count for cell in recorder.snapshot().cells) == total
    assert recorder.snapshot().start_at == 5.0


def test_what_is_forgotten_does_not_come_back_with_the_requests_that_were_in_flight():
    recorder = RequestRecorder(start_at=0.0, max_cells=1)
    lane = recorder.lane(Traffic.REQUEST, "GET", "http")
    lane.begin()
    recorder.forget()
    lane.end("/slow", 200, "", 3.0)
    assert not recorder.snapshot().cells
    record(recorder, 0.1)
    assert only_cell(recorder).count == 1
    assert recorder.overflowed == 0
