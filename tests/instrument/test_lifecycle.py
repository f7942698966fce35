"""When otelmon starts and stops with the application."""

import asyncio
import os
import threading

import pytest
from fastapi import FastAPI
from litestar import Litestar
from quart import Quart
from starlette.applications import Starlette

from otelmon.faults import Faults
from otelmon.instrument.lifecycle import Lifecycle, off_loop
from tests.instrument.driver import counts, drive, get, http_scope, watched

STARTUP, SHUTDOWN = {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}


class Told:
    """What happened, in its order, and in which thread."""

    def __init__(self):
        self.events = []
        self.threads = []
        self.started = threading.Event()

    def start(self):
        self.events.append("on_start")
        self.threads.append(threading.get_ident())
        self.started.set()

    def stop(self):
        self.events.append("on_stop")
        self.threads.append(threading.get_ident())


def watch(app, **how):
    told = Told()
    served, recorder, middleware = watched(app, on_start=told.start, on_stop=told.stop, **how)
    return served, told, recorder, middleware


async def live(app, told, during=None):
    """One lifespan, as a server drives it."""
    incoming = asyncio.Queue()
    started = asyncio.Event()

    async def send(message):
        told.events.append(message["type"].removeprefix("lifespan."))
        if message["type"] in {"lifespan.startup.complete", "lifespan.startup.failed"}:
            started.set()

    task = asyncio.create_task(app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, incoming.get, send))
    await incoming.put(STARTUP)
    await asyncio.wait([task, asyncio.create_task(started.wait())], return_when=asyncio.FIRST_COMPLETED)
    if during is not None:
        await during()
    await incoming.put(SHUTDOWN)
    await task


@pytest.mark.parametrize("build", [FastAPI, Starlette, lambda: Quart(__name__)], ids=["FastAPI", "Starlette", "Quart"])
def test_it_starts_after_the_start_up_and_stops_before_the_end_is_told(build):
    app, told, _, middleware = watch(build())
    asyncio.run(live(app, told))
    assert told.events == ["startup.complete", "on_start", "on_stop", "shutdown.complete"]
    assert threading.get_ident() not in told.threads
    assert middleware.lifecycle.loop is not None
    assert not middleware.faults.counts


def test_litestar_whose_lifespan_passes_no_middleware_starts_and_stops_as_well():
    app, told, _, _ = watch(Litestar([], logging_config=None))
    asyncio.run(live(app, told))
    assert told.events == ["on_start", "startup.complete", "on_stop", "shutdown.complete"]
    assert threading.get_ident() not in told.threads


def test_a_second_lifespan_starts_again():
    app, told, _, _ = watch(FastAPI())
    asyncio.run(live(app, told))
    asyncio.run(live(app, told))
    assert told.events == ["startup.complete", "on_start", "on_stop", "shutdown.complete"] * 2


def test_a_failed_start_up_starts_nothing():
    async def lifespan(app):
        raise RuntimeError("no database")
        yield

    from contextlib import asynccontextmanager

    app, told, _, _ = watch(FastAPI(lifespan=asynccontextmanager(lifespan)))
    with pytest.raises(RuntimeError, match="no database"):
        asyncio.run(live(app, told))
    assert told.events == ["startup.failed"]


def test_requests_after_a_lifespan_do_not_start_it_again():
    async def story():
        app, told, recorder, _ = watch(FastAPI())

        async def request():
            await drive(app, http_scope())

        await live(app, told, during=request)
        await request()
        assert told.events.count("on_start") == 1
        assert sum(counts(recorder).values()) == 2

    asyncio.run(story())


@pytest.mark.parametrize("wrapped", [False, True])
def test_without_a_lifespan_the_first_request_starts_it_once(wrapped):
    app, told, _, _ = watch(FastAPI(), wrapped=wrapped)
    for _ in range(3):
        get(app)
    assert told.started.wait(30)
    assert told.events == ["on_start"]
    assert threading.get_ident() not in told.threads


def test_an_app_without_a_lifespan_refuses_it_as_before_and_starts_with_its_first_request():
    async def app(scope, receive, send):
        if scope["type"] != "http":
            raise TypeError(scope["type"])

    served, told, _, _ = watch(app, wrapped=True)
    with pytest.raises(TypeError, match="lifespan"):
        asyncio.run(live(served, told))
    assert told.events == []
    get(served)
    assert told.started.wait(30)


def test_an_app_that_ignores_its_lifespan_starts_with_its_first_request():
    async def app(scope, receive, send):
        pass

    served, told, _, _ = watch(app, wrapped=True)
    asyncio.run(live(served, told))
    assert told.events == []
    get(served)
    assert told.started.wait(30)


def test_an_app_that_returns_without_telling_of_its_end_is_stopped():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})

    served, told, _, _ = watch(app, wrapped=True)
    asyncio.run(live(served, told))
    assert told.events == ["startup.complete", "on_start", "on_stop"]


def test_django_which_has_no_lifespan_is_given_one():
    async def django(scope, receive, send):
        raise ValueError("Django can only handle ASGI/HTTP connections, not lifespan.")

    served, told, _, middleware = watch(django, wrapped=True)
    middleware._answers_lifespan = True
    asyncio.run(live(served, told))
    assert told.events == ["startup.complete", "on_start", "on_stop", "shutdown.complete"]


def test_a_stop_that_takes_long_does_not_hold_the_loop():
    async def story():
        released = threading.Event()
        lifecycle = Lifecycle(lambda: None, lambda: released.wait(5), Faults())
        await lifecycle.start()
        stopping = asyncio.create_task(lifecycle.stop())
        await asyncio.sleep(0)
        for _ in range(100):
            await asyncio.sleep(0)
        assert not stopping.done()
        released.set()
        await stopping

    asyncio.run(story())


def test_a_stop_does_not_wait_for_the_loops_own_threads():
    async def story():
        loop, released = asyncio.get_running_loop(), threading.Event()
        busy = [loop.run_in_executor(None, released.wait, 60) for _ in range(40)]
        done = []
        await asyncio.wait_for(off_loop(lambda: done.append(1)), timeout=30)
        released.set()
        await asyncio.gather(*busy)
        return done

    assert asyncio.run(story()) == [1]


def test_a_start_and_a_stop_that_fail_reach_the_faults_and_not_the_app():
    def fail():
        raise LookupError("broken")

    app, _, middleware = watched(FastAPI(), on_start=fail, on_stop=fail)
    told = Told()
    asyncio.run(live(app, told))
    assert told.events == ["startup.complete", "shutdown.complete"]
    assert middleware.faults.counts["lifecycle"] == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_starts_for_itself_and_counts_from_zero():
    app, told, recorder, middleware = watch(FastAPI())
    get(app)
    assert told.started.wait(30)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            told.events.clear()
            told.started.clear()
            clean = not recorder.snapshot().cells and middleware.lifecycle.pending
            get(app)
            code = 0 if clean and told.started.wait(30) and sum(counts(recorder).values()) == 1 else 1
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert sum(counts(recorder).values()) == 1
    assert not middleware.lifecycle.pending
