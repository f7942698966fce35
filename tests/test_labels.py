from __future__ import annotations

import gc
import pickle
import threading

import pytest

from otelmon import labels as module
from otelmon.labels import EMPTY_LABELS, Labels


def test_equal_sets_are_one_object_whatever_the_order() -> None:
    assert Labels({"b": "2", "a": "1"}) is Labels([("a", "1"), ("b", "2")])
    assert Labels({"a": "", "b": ""}) is EMPTY_LABELS


def test_a_set_is_a_mapping_in_the_order_of_the_names() -> None:
    found = Labels({"job": "shop", "__name__": "up"})
    assert list(found.items()) == [("__name__", "up"), ("job", "shop")]
    assert (found["job"], found.get("job"), found.get("other"), found.get("other", "x")) == ("shop", "shop", None, "x")
    assert ("job" in found, "other" in found, len(found), found.metric_name) == (True, False, 2, "up")
    with pytest.raises(KeyError, match="other"):
        found["other"]


def test_sets_are_derived_from_others() -> None:
    found = Labels({"a": "1", "b": "2"})
    assert found.with_label("a", "") == found.without(["a"]) == found.only(["b"]) == Labels({"b": "2"})
    assert found.with_labels({"b": "3", "c": "4"}).pairs == (("a", "1"), ("b", "3"), ("c", "4"))
    assert pickle.loads(pickle.dumps(found)) is found


def test_sets_that_nobody_holds_do_not_pile_up_and_those_in_use_stay_the_same_object() -> None:
    kept = [Labels({"kept": str(number)}) for number in range(100)]
    ids = [id(each) for each in kept]
    for number in range(50_000):
        Labels({"dropped": str(number)})
    assert len(module._interned) < 30_000
    assert [id(Labels({"kept": str(number)})) for number in range(100)] == ids


def test_sets_made_by_several_threads_are_equal_while_unused_ones_are_swept() -> None:
    found: list[list[Labels]] = []

    def make() -> None:
        found.append([Labels({"shared": str(number % 500), "other": str(number % 7)}) for number in range(20_000)])

    threads = [threading.Thread(target=make) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        module._sweep()
    for thread in threads:
        thread.join()
    assert found[0] == found[1] == found[2]
    assert [hash(each) for each in found[0]] == [hash(each) for each in found[1]]


def test_a_set_is_one_object_for_the_garbage_collector() -> None:
    gc.collect()
    before = len(gc.get_objects())
    kept = [Labels({"one": str(number), "object": "each"}) for number in range(1000)]
    gc.collect()
    gc.collect()
    assert len(gc.get_objects()) - before < 1.1 * len(kept)
