"""A dead-man's switch hears of good ticks, and of no other; its address stays a secret."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from otelmon.config.load import load_settings
from otelmon.faults import Faults
from otelmon.runtime.heartbeat import Heartbeat
from otelmon.runtime.monitor import Monitor
from otelmon.runtime.switch import PagingDecision
from otelmon.runtime.ticks import Flaw, Tick
from otelmon.testing import FakeClock
from tests.runtime.test_ticks import Watched
from tests.waiting import wait_until

SECRET = "9f3b1c2d-switch-token"
GOOD = Tick(at=0.0, seconds=0.1)
BAD = Tick(at=0.0, seconds=0.1, flaw=Flaw.STATE)


class Switch:
    """The service that expects the calls."""

    def __init__(self) -> None:
        self.url = ""
        self.calls: list[dict[str, Any]] = []
        self.status = 200
        self.answering = threading.Event()
        self.answering.set()


@contextmanager
def listening() -> Iterator[Switch]:
    switch = Switch()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            switch.calls.append({"path": self.path, "body": json.loads(body)})
            switch.answering.wait(60)
            self.send_response(switch.status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"OK")

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    switch.url = f"http://127.0.0.1:{server.server_address[1]}/ping/{SECRET}"
    try:
        yield switch
    finally:
        switch.answering.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def switch() -> Iterator[Switch]:
    with listening() as made:
        yield made


class Beating:
    """A heartbeat on a clock that the test moves."""

    def __init__(self, url: str, every_seconds: float = 30.0) -> None:
        self.clock = FakeClock()
        self.faults = Faults()
        self.heartbeat = Heartbeat(
            SecretStr(url),
            service="shop",
            every_seconds=every_seconds,
            monotonic=self.clock.monotonic,
            faults=self.faults,
        )

    def after(self, seconds: float, tick: Tick = GOOD) -> None:
        """A tick so much later, and the call that it caused."""
        self.clock.advance(seconds)
        self.heartbeat.ticked(tick)
        self.wait()

    def wait(self) -> None:
        if self.heartbeat._call is not None:
            self.heartbeat._call.join(30)


def test_good_ticks_are_heard_of_each_half_minute_and_no_more_often(switch: Switch) -> None:
    beating = Beating(switch.url)
    for _ in range(9):  # from 15 s to 135 s
        beating.after(15)
    assert len(switch.calls) == 5
    assert switch.calls[0] == {"path": f"/ping/{SECRET}", "body": {"service": "shop"}}
    assert (beating.heartbeat.sent, beating.heartbeat.failed) == (5, 0)


def test_a_tick_that_comes_a_moment_early_costs_no_beat(switch: Switch) -> None:
    beating = Beating(switch.url)
    for _ in range(4):
        beating.after(29.9)
    assert len(switch.calls) == 4


def test_a_tick_that_is_not_good_is_not_heard_of(switch: Switch) -> None:
    beating = Beating(switch.url)
    beating.after(30)
    beating.after(30, BAD)
    beating.after(30, BAD)
    assert len(switch.calls) == 1
    beating.after(15)
    assert len(switch.calls) == 2


def test_the_beats_end_while_the_disk_refuses_and_go_on_after(switch: Switch, tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    heartbeat = Heartbeat(
        SecretStr(switch.url),
        service="shop",
        every_seconds=15.0,
        monotonic=watched.simulation.clock.monotonic,
        faults=watched.simulation.faults,
    )
    watched.ticks.follow(heartbeat.ticked)

    def ticks(count: int) -> int:
        for _ in range(count):
            watched.tick()
            if heartbeat._call is not None:
                heartbeat._call.join(30)
        return len(switch.calls)

    assert ticks(3) == 3
    watched.disk.broken = True
    assert ticks(10) == 3
    watched.disk.broken = False
    assert ticks(2) == 5
    watched.simulation.close()


def test_a_call_that_fails_is_counted_and_said_once_without_the_address(
    switch: Switch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    switch.status = 404
    beating = Beating(switch.url)
    for _ in range(3):
        beating.after(30)
    assert (beating.heartbeat.sent, beating.heartbeat.failed) == (0, 3)
    assert beating.faults.counts["heartbeat"] == 3
    said = [record.getMessage() for record in caplog.records if record.name == "otelmon"]
    assert said == ["otelmon: the heartbeat's address cannot be called: it answers 404"]
    assert SECRET not in caplog.text
    assert SECRET not in repr(vars(beating.heartbeat))
    switch.status = 200
    beating.after(30)
    assert beating.heartbeat.sent == 1


def test_nobody_there_is_a_failure_and_no_exception(caplog: pytest.LogCaptureFixture) -> None:
    with listening() as gone:
        url = gone.url
    beating = Beating(url)
    beating.after(30)
    assert beating.heartbeat.failed == 1
    assert SECRET not in caplog.text


def test_a_service_that_hangs_holds_up_no_tick_and_piles_up_no_calls(switch: Switch) -> None:
    switch.answering.clear()
    beating = Beating(switch.url)
    for _ in range(5):
        beating.clock.advance(60)
        beating.heartbeat.ticked(GOOD)
    switch.answering.set()
    beating.wait()
    assert len(switch.calls) == 1
    beating.after(60)
    assert (len(switch.calls), beating.heartbeat.sent) == (2, 2)


@pytest.mark.parametrize(("paging", "expected"), [(True, True), (False, False)])
def test_a_process_that_pages_nobody_keeps_no_switch_quiet(
    switch: Switch, here: Path, *, paging: bool, expected: bool
) -> None:
    environ = {"OTELMON_STATE_DIR": str(here / "state"), "OTELMON_HEARTBEAT_URL": switch.url}
    (here / "otelmon.yaml").write_text("interval: 1s\nheartbeat_every: 1s\n", encoding="utf-8")
    settings = load_settings(None, environ=environ, directory=here)
    assert SECRET not in repr(settings)
    monitor = Monitor(settings, PagingDecision(on=paging, reason="the test says so"))
    monitor.run()
    monitor.snapshot()
    three = threading.Semaphore(0)
    with monitor.ticks.listening(lambda _: three.release()):
        for _ in range(3):
            assert three.acquire(timeout=60)
    if expected:
        wait_until(lambda: switch.calls)
    monitor.stop()
    assert bool(switch.calls) is expected
