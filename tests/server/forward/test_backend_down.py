"""The backend is down for a minute, in real time and with the delays of every day."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from otelmon.collect.otlp import GRPC, HTTP, Signal
from otelmon.server.forward.forwarder import Forwarder
from otelmon.server.forward.lane import Tempo
from tests.server.forward.backend import BACKENDS, body_of
from tests.server.forward.test_forwarder import count, running, settings_of


def feed(forwarder: Forwarder, first: int, seconds: float) -> int:
    """Hand in numbers for so long; the next number."""
    end, tick = time.monotonic() + seconds, threading.Event()
    while time.monotonic() < end:
        forwarder.put(Signal.METRICS, body_of(first))
        first += 1
        tick.wait(0.01)
    return first


@pytest.mark.soak
@pytest.mark.parametrize("protocol", [HTTP, GRPC])
def test_a_minute_without_the_backend_loses_nothing(protocol: str, tmp_path: Path) -> None:
    with BACKENDS[protocol]() as backend:
        targets = settings_of(tmp_path, backend.url, protocol)
    with running(tmp_path, targets, Tempo()) as forwarder:
        with BACKENDS[protocol](backend):
            value = feed(forwarder, 0, 5)
        value = feed(forwarder, value, 60)
        with BACKENDS[protocol](backend):
            value = feed(forwarder, value, 5)
            backend.wait(lambda: value - 1 in backend.values())
    assert list(dict.fromkeys(backend.values())) == list(range(value))
    assert count(forwarder).dropped == 0
