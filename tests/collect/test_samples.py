from __future__ import annotations

import gc

from otelmon.collect.collector import Collector
from otelmon.collect.samples import Samples
from otelmon.labels import Labels
from otelmon.sample import Sample
from tests.collect.making import START, Recorder, cell


def test_samples_can_be_read_again_and_again() -> None:
    a, b = Labels({"__name__": "a"}), Labels({"__name__": "b"})
    samples = Samples(START)
    assert not samples
    samples.add((a, b), (1.0, 2.0), start_at=START - 15)
    samples.add([a], [3.0])
    expected = [
        Sample(labels=a, at=START, value=1.0, start_at=START - 15),
        Sample(labels=b, at=START, value=2.0, start_at=START - 15),
        Sample(labels=a, at=START, value=3.0),
    ]
    assert len(samples) == 3
    assert list(samples) == list(samples) == expected
    assert (samples[-1], samples[:2]) == (expected[-1], expected[:2])


def test_a_collection_leaves_little_for_the_garbage_collector() -> None:
    collector = Collector(
        None, recorder=Recorder(*(cell([0.1], route=f"/{number}") for number in range(100))), job="s", instance="h"
    )
    collector.collect(START)
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        samples = collector.collect(START + 15)
        total = sum(1 for _ in samples)
        left = len(gc.get_objects()) - before
    finally:
        gc.enable()
    assert total == 100 * 18
    assert left < 100
