"""The window's samples over a restart."""

from __future__ import annotations

import struct
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from otelmon.errors import StateError
from otelmon.histogram import Buckets, Histogram
from otelmon.labels import Labels
from otelmon.sample import STALE, Sample, is_stale
from otelmon.storage.sqlite import SqliteStorage
from otelmon.storage.store import Storage
from tests.alerts.build import minute
from tests.storage.build import SAMPLES

REQUESTS = Labels({"__name__": "requests_total", "http_route": "/"})
LATENCY = Labels({"__name__": "latency_seconds"})
HISTOGRAM = Histogram(count=3, sum=1.5, scale=3, positive=Buckets(indices=(-2, 7), counts=(1.0, 2.0)))


def as_bits(sample: Sample) -> tuple[object, ...]:
    """A sample so that two NaNs are equal if their bits are."""
    value = sample.value
    return (
        sample.labels,
        sample.at,
        struct.pack("<d", value) if isinstance(value, float | int) else value,
        sample.start_at,
    )


def test_samples_come_back_in_the_order_of_their_time_with_start_times_and_histograms(storage: Storage) -> None:
    early = [
        Sample(labels=REQUESTS, at=100.0, value=5.0, start_at=90.5),
        Sample(labels=LATENCY, at=100.0, value=HISTOGRAM, start_at=90.5),
    ]
    late = [Sample(labels=REQUESTS, at=115.0, value=STALE)]
    storage.save(minute(0), alerts={}, samples=early)
    storage.save(minute(1), alerts={}, samples=late)
    found = list(storage.samples(0))
    assert [as_bits(sample) for sample in found] == [as_bits(sample) for sample in early + late]
    assert is_stale(found[-1].value)
    assert [sample.at for sample in storage.samples(100.1)] == [115.0]


def test_a_tick_that_spans_since_gives_only_what_is_later(storage: Storage) -> None:
    storage.save(minute(0), alerts={}, samples=[Sample(labels=REQUESTS, at=at, value=at) for at in (30.0, 10.0, 20.0)])
    assert [sample.at for sample in storage.samples(15)] == [20.0, 30.0]


@settings(max_examples=60, deadline=None)
@given(ticks=st.lists(st.lists(SAMPLES, max_size=5), max_size=3))
def test_any_samples_survive(ticks: list[list[Sample]]) -> None:
    with SqliteStorage(":memory:") as storage:
        for samples in ticks:
            storage.save(minute(0), alerts={}, samples=samples)
        saved = sorted(repr(as_bits(sample)) for samples in ticks for sample in samples)
        assert sorted(repr(as_bits(sample)) for sample in storage.samples(0)) == saved


def test_a_jump_of_the_clock_moves_what_was_saved(storage: Storage) -> None:
    storage.save(minute(0), alerts={}, samples=[Sample(labels=REQUESTS, at=100.0, value=1.0, start_at=90.0)])
    storage.shift(3600)
    storage.save(minute(60), alerts={}, samples=[Sample(labels=REQUESTS, at=3715.0, value=2.0, start_at=3690.0)])
    assert [(sample.at, sample.start_at) for sample in storage.samples(3000)] == [(3700.0, 3690.0), (3715.0, 3690.0)]
    storage.shift(-3600)
    assert [sample.at for sample in storage.samples(0)] == [100.0, 115.0]


def test_pruning_keeps_what_is_later(storage: Storage) -> None:
    for at in (100.0, 115.0, 130.0):
        storage.save(minute(0), alerts={}, samples=[Sample(labels=REQUESTS, at=at, value=at)])
    storage.prune(samples_before=115.0, finished_before=minute(0))
    assert [sample.at for sample in storage.samples(0)] == [115.0, 130.0]
    storage.prune(samples_before=1000.0, finished_before=minute(0))
    assert list(storage.samples(0)) == []
    storage.save(minute(0), alerts={}, samples=[Sample(labels=REQUESTS, at=2000.0, value=1.0)])
    assert [sample.labels for sample in storage.samples(0)] == [REQUESTS]


def test_series_that_come_and_go_leave_a_bounded_file(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    sizes = []
    with SqliteStorage(path) as storage:
        for tick in range(60):
            samples = [
                Sample(labels=Labels({"__name__": "m", "pod": f"{tick}-{number}"}), at=15.0 * tick, value=float(number))
                for number in range(200)
            ]
            storage.save(minute(tick), alerts={}, samples=samples)
            storage.prune(samples_before=15.0 * (tick - 4), finished_before=minute(0))
            sizes.append(path.stat().st_size)
        assert len(list(storage.samples(0))) == 5 * 200
    assert path.stat().st_size <= 1_000_000
    assert max(sizes[30:]) <= 1.2 * max(sizes[:30])


def test_series_that_were_pruned_are_known_again(tmp_path: Path) -> None:
    with SqliteStorage(tmp_path / "state.db") as storage:
        many = [Labels({"__name__": "m", "pod": str(number)}) for number in range(3000)]
        storage.save(minute(0), alerts={}, samples=[Sample(labels=labels, at=0.0, value=1.0) for labels in many])
        storage.save(minute(0), alerts={}, samples=[Sample(labels=REQUESTS, at=60.0, value=1.0)])
        storage.prune(samples_before=30.0, finished_before=minute(0))
        storage.save(minute(0), alerts={}, samples=[Sample(labels=labels, at=90.0, value=1.0) for labels in many])
        assert {sample.labels for sample in storage.samples(0)} == {REQUESTS, *many}


def test_series_of_a_save_that_failed_are_not_taken_for_known(tmp_path: Path) -> None:
    with SqliteStorage(tmp_path / "state.db") as storage:
        sample = Sample(labels=REQUESTS, at=1.0, value=1.0)
        broken = [sample, Sample(labels=LATENCY, at=1.0, value="no number")]
        try:
            storage.save(minute(0), alerts={}, samples=broken)
        except (StateError, TypeError):
            pass
        else:
            raise AssertionError
        storage.save(minute(0), alerts={}, samples=[sample])
        assert list(storage.samples(0)) == [sample]


def test_lasting_samples_outlive_others_and_come_back_with_them(storage: Storage) -> None:
    view = Labels({"__name__": "view"})
    for at in (100.0, 115.0, 130.0):
        storage.save(
            minute(0),
            alerts={},
            samples=[Sample(labels=REQUESTS, at=at, value=at)],
            lasting=[Sample(labels=view, at=at, value=at)],
        )
    storage.prune(samples_before=130.0, lasting_before=115.0, finished_before=minute(0))
    found = [(sample.labels, sample.at) for sample in storage.samples(130.0, lasting_since=0.0)]
    assert found == [(view, 115.0), (view, 130.0), (REQUESTS, 130.0)]
    assert [sample.at for sample in storage.samples(120.0)] == [130.0, 130.0]
    storage.shift(1000.0)
    assert [sample.at for sample in storage.samples(0.0)] == [1115.0, 1130.0, 1130.0]
