"""The health answer: of the next tick, bounded, telling nothing secret, in any framework and counted in none."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from litestar import Litestar, asgi
from starlette.applications import Starlette
from starlette.routing import Mount, Route

import otelmon
from otelmon.faults import Faults
from otelmon.runtime.health import Health
from otelmon.runtime.ticks import Flaw, Ticks
from otelmon.testing import FakeClock
from tests.runtime.client import TestClient
from tests.waiting import wait_until


class Engine:
    """Stands for an engine whose ticks do what the test says."""

    class Rules:
        watched = ()

    def __init__(self) -> None:
        self.rules = self.Rules()
        self.disk = object()
        self.does: Callable[[], None] = lambda: None

    def tick(self, _at: float) -> None:
        self.does()


class Watching:
    """Ticks of a stand-in, and the health app over them."""

    def __init__(self, interval_seconds: float = 15.0) -> None:
        self.clock = FakeClock()
        self.faults = Faults()
        self.engine = Engine()
        self.ticks = Ticks(interval_seconds=interval_seconds, monotonic=self.clock.monotonic, faults=self.faults)
        self.ticks.begin()
        self.health = Health(lambda: self.ticks)

    def tick(self) -> None:
        self.ticks.run(self.engine, self.clock.now())  # type: ignore[arg-type]

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.health), base_url="http://app")


async def asked(client: httpx.AsyncClient) -> asyncio.Task[httpx.Response]:
    """A request that has been received and waits."""
    task = asyncio.create_task(client.get("/"))
    for _ in range(20):
        await asyncio.sleep(0)
    return task


def test_the_answer_comes_once_the_next_tick_has_ended_and_not_before() -> None:
    watching = Watching()

    async def story() -> None:
        watching.tick()  # one that ended before says nothing of now
        async with watching.client() as client:
            task = await asked(client)
            assert not task.done()
            threading.Thread(target=watching.tick).start()
            response = await asyncio.wait_for(task, 30)
        assert response.status_code == 200
        assert response.json()["status"] == "ok"
        assert response.headers["cache-control"] == "no-store"

    asyncio.run(story())


def test_the_loop_serves_others_meanwhile_and_many_wait_for_one_tick() -> None:
    watching = Watching()

    async def story() -> None:
        before = threading.active_count()
        async with watching.client() as client:
            tasks = [await asked(client) for _ in range(50)]
            assert threading.active_count() <= before  # one of another test may have ended meanwhile
            watching.tick()
            found = await asyncio.wait_for(asyncio.gather(*tasks), 30)
        assert {response.status_code for response in found} == {200}

    asyncio.run(story())
    assert watching.ticks._waiting == []


@pytest.mark.parametrize("kind", ["collect", "state"])
def test_a_tick_that_was_not_good_is_a_503_with_a_reason_and_no_text_of_an_error(kind: str) -> None:
    watching = Watching()
    watching.engine.does = lambda: watching.faults.add(kind, "https://discord.com/api/webhooks/1/secret fails")

    async def story() -> None:
        async with watching.client() as client:
            task = await asked(client)
            watching.tick()
            response = await asyncio.wait_for(task, 30)
        assert response.status_code == 503
        assert response.json() == {"status": "failing", "reason": Flaw(kind).words}

    asyncio.run(story())


def test_late_ticks_are_a_503_at_once() -> None:
    watching = Watching()
    watching.tick()
    watching.clock.advance(36.0)

    async def story() -> None:
        async with watching.client() as client:
            response = await asyncio.wait_for(client.get("/"), 30)
        assert response.status_code == 503
        assert "late" in response.json()["reason"]

    asyncio.run(story())


def test_a_tick_that_hangs_is_waited_for_no_longer_than_until_it_is_late() -> None:
    watching = Watching()
    watching.tick()
    watching.clock.advance(34.9)  # 0.1 s of patience is left

    async def story() -> None:
        async with watching.client() as client:
            response = await asyncio.wait_for(client.get("/"), 30)
        assert response.status_code == 503

    asyncio.run(story())


def test_where_otelmon_does_not_run_that_is_said() -> None:
    async def story() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(otelmon.health()), base_url="http://app") as client:
            response = await client.get("/")
        assert (response.status_code, response.json()["reason"]) == (503, "otelmon does not run in this process")

    asyncio.run(story())


def test_only_a_get_is_answered_and_a_head_has_no_body() -> None:
    watching = Watching()

    async def story() -> None:
        async with watching.client() as client:
            assert (await client.post("/")).status_code == 405
            task = asyncio.create_task(client.head("/"))
            for _ in range(20):
                await asyncio.sleep(0)
            watching.tick()
            response = await asyncio.wait_for(task, 30)
        assert (response.status_code, response.content) == (200, b"")
        assert int(response.headers["content-length"]) > 0

    asyncio.run(story())


def test_without_an_asyncio_loop_the_next_tick_is_waited_for_all_the_same() -> None:
    watching = Watching()
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError

    done: list[Any] = []

    def serve() -> None:
        exchange = watching.health({"type": "http", "method": "GET"}, receive, send)
        try:
            exchange.send(None)  # by hand: nothing here is a loop
        except StopIteration:
            done.append(True)

    thread = threading.Thread(target=serve)
    thread.start()
    wait_until(lambda: bool(watching.ticks._waiting))
    watching.tick()
    thread.join(30)
    assert done
    assert sent[0]["status"] == 200


def fastapi() -> Any:
    app = FastAPI()
    app.add_route("/otelmon/health", otelmon.health())  # type: ignore[arg-type]
    return app


def starlette() -> Any:
    return Starlette(routes=[Route("/otelmon/health", otelmon.health())])


def mounted() -> Any:
    return Starlette(routes=[Mount("/otelmon", routes=[Mount("/health", otelmon.health())])])


def litestar() -> Any:
    return Litestar([asgi("/otelmon/health", is_mount=True, copy_scope=False)(otelmon.health().__call__)])


@pytest.mark.parametrize("make", [fastapi, starlette, mounted, litestar])
def test_it_is_mounted_in_any_framework_and_not_counted_as_a_request(
    make: Callable[[], Any], configure: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    configure("interval: 1s\n")
    app = make()
    slash = "/" if make is mounted else ""
    monitor = otelmon.start(app, paging="off")
    with TestClient(app) as client:
        answers: list[Any] = []

        def is_well() -> bool:
            """On a busy machine ticks are late at times, and that is said."""
            answers.append(client.get(f"/otelmon/health{slash}"))
            return bool(answers[-1].status_code == 200)

        for _ in range(2):
            wait_until(is_well)
        assert client.get("/nowhere").status_code == 404
        counted = monitor._recorder.snapshot()
        assert {(cell.status, cell.count) for cell in counted.cells} == {(404, 1)}
        assert sum(each.count for each in counted.active) == 0
    assert json.loads(answers[-1].text)["tick_seconds"] >= 0
