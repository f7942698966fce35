"""A forked child records although another thread of its parent held the SDK's locks."""

from __future__ import annotations

import gc
import threading
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider

from otelmon.collect.locks import renew
from otelmon.collect.reader import Reader

LOCKS = (type(threading.Lock()), type(threading.RLock()))


def locks_below(provider: MeterProvider) -> list[tuple[Any, str]]:
    """The locks of all objects of the SDK that this provider reaches, found by the garbage collector."""
    found, waiting, seen = [], [provider], set[int]()
    while waiting:
        each = waiting.pop()
        if id(each) in seen or len(seen) > 100_000:
            continue
        seen.add(id(each))
        of_sdk = type(each).__module__.startswith("opentelemetry.sdk.metrics")
        if of_sdk:
            found += [(each, name) for name, value in vars(each).items() if isinstance(value, LOCKS)]
        if of_sdk or isinstance(each, dict | list | tuple | set):
            waiting += gc.get_referents(each)
    return found


def test_no_lock_of_the_sdk_that_was_held_is_held_afterwards_and_nothing_counted_is_lost() -> None:
    reader = Reader(exact_requests=True)
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    meter = provider.get_meter("app")
    counter = meter.create_counter("orders")
    meter.create_observable_gauge("depth", [lambda _: []])
    duration = meter.create_histogram("http.server.request.duration")
    counter.add(2, {"kind": "book"})
    duration.record(0.1)
    held = locks_below(provider)
    assert len(held) >= 8, held

    # Another thread takes them all and is gone, as in a child.
    def hold() -> None:
        for thing, name in held:
            getattr(thing, name).acquire(blocking=False)

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()

    renew([provider])
    counter.add(1, {"kind": "book"})
    duration.record(0.2)
    meter.create_counter("another").add(1)
    data = reader.pull()
    assert data is not None
    points = {
        metric.name: metric.data.data_points[0]
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert points["orders"].value == 3
    assert points["http.server.request.duration"].count == 2
    for thing, name in held:
        assert getattr(thing, name).acquire(blocking=False), (thing, name)
        getattr(thing, name).release()
