"""While the engine loads, Python does not look through all objects again and again; afterwards all is as before."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

from otelmon.runtime.loading import Loading

_FULL = 2


@pytest.fixture(autouse=True)
def thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(100, 2, 2)
    if gc.get_threshold() != (100, 2, 2):
        pytest.skip("this Python collects the old generation in steps")
    yield
    gc.set_threshold(*before)


def full_collections_of_many_objects() -> int:
    """How many it takes to make more objects than there were."""
    before = gc.get_stats()[_FULL]["collections"]
    made = [[index] for index in range(2 * len(gc.get_objects()))]
    assert made
    return int(gc.get_stats()[_FULL]["collections"] - before)


def test_no_full_collection_falls_into_loading_and_young_objects_are_collected_as_ever() -> None:
    loading = Loading()
    assert full_collections_of_many_objects() > 0
    loading.begin()
    loading.begin()
    young = gc.get_stats()[0]["collections"]
    assert full_collections_of_many_objects() == 0
    assert gc.get_stats()[0]["collections"] > young
    loading.end()
    assert gc.get_threshold() == (100, 2, 2)
    assert full_collections_of_many_objects() > 0


def test_what_the_application_sets_meanwhile_stays() -> None:
    loading = Loading()
    loading.begin()
    gc.set_threshold(5000, 50, 1000)
    loading.end()
    loading.end()
    assert gc.get_threshold() == (5000, 50, 1000)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_a_child_that_is_forked_meanwhile_collects_as_before() -> None:
    from otelmon.runtime.loading import LOADING

    LOADING.begin()
    try:
        child = os.fork()
        if not child:
            os._exit(0 if gc.get_threshold() == (100, 2, 2) else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert gc.get_threshold()[_FULL] > _FULL
    finally:
        LOADING.end()
