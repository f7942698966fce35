"""Pools on a real PostgreSQL: counts, waits and the page of a pool that is exhausted."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import asyncpg
import psycopg_pool
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool, StaticPool

import otelmon
from otelmon.instrument.sources import Sources
from otelmon.storage.sqlite import MEMORY, SqliteStorage
from tests.instrument.recording import Recording, recording, simulation
from tests.waiting import wait_until

COUNT, MAX = "db.client.connection.count", "db.client.connection.max"
PENDING, TIMEOUTS = "db.client.connection.pending_requests", "db.client.connection.timeouts"
WAIT, USE = "db.client.connection.wait_time", "db.client.connection.use_time"


@pytest.fixture
def recorded() -> Iterator[Recording]:
    with recording(Sources()) as found:
        yield found


def url_of(postgres: str, driver: str) -> str:
    return postgres.replace("postgresql://postgres:@", f"postgresql+{driver}://postgres@")


def by_state(recorded: Recording) -> dict[str, float]:
    return {
        point.attributes["db.client.connection.state"]: point.value
        for point in recorded.points(COUNT)
        if point.attributes["db.client.connection.pool.name"] == "shop"
    }


class Held:
    """An exhausted pool: all of its connections are taken, and one more is asked for."""

    def __init__(self, take: Callable[[], Any], size: int) -> None:
        self.stack = ExitStack()
        self.give_back: list[Callable[[], None]] = [take() for _ in range(size)]
        self.waiter = threading.Thread(target=lambda: self.give_back.append(take()))
        self.waiter.start()

    def end(self) -> None:
        self.give_back.pop(0)()
        self.waiter.join(30)
        for each in self.give_back:
            each()


class Loop:
    """An event loop in a thread, where async pools live."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(30)
        self.loop.close()


@pytest.fixture
def loop() -> Iterator[Loop]:
    found = Loop()
    try:
        yield found
    finally:
        found.close()


# Each gives a function that takes a connection and returns one that gives it back, and one that closes the pool.
Opened = tuple[Callable[[], Callable[[], None]], Callable[[], None], Any]


def open_sqlalchemy(postgres: str, _: Loop, timeout: float) -> Opened:
    engine = sqlalchemy.create_engine(url_of(postgres, "psycopg"), pool_size=1, max_overflow=1, pool_timeout=timeout)

    def take() -> Callable[[], None]:
        connection = engine.connect()
        connection.execute(sqlalchemy.text("select 1"))
        return connection.close

    return take, engine.dispose, engine


def open_sqlalchemy_async(postgres: str, loop: Loop, timeout: float) -> Opened:
    engine = create_async_engine(url_of(postgres, "asyncpg"), pool_size=1, max_overflow=1, pool_timeout=timeout)

    def take() -> Callable[[], None]:
        connection = loop.run(engine.connect().__aenter__())
        return lambda: loop.run(connection.close())

    return take, lambda: loop.run(engine.dispose()), engine


def open_psycopg(postgres: str, _: Loop, timeout: float) -> Opened:
    pool = psycopg_pool.ConnectionPool(postgres, min_size=1, max_size=2, timeout=timeout, open=True, name="own")

    def take() -> Callable[[], None]:
        connection = pool.getconn()
        return lambda: pool.putconn(connection)

    return take, pool.close, pool


def open_psycopg_async(postgres: str, loop: Loop, timeout: float) -> Opened:
    async def make() -> Any:
        pool = psycopg_pool.AsyncConnectionPool(postgres, min_size=1, max_size=2, timeout=timeout, open=False)
        await pool.open()
        return pool

    pool = loop.run(make())

    def take() -> Callable[[], None]:
        connection = loop.run(pool.getconn())
        return lambda: loop.run(pool.putconn(connection))

    return take, lambda: loop.run(pool.close()), pool


def open_asyncpg(postgres: str, loop: Loop, timeout: float) -> Opened:
    async def make() -> Any:
        return await asyncpg.create_pool(postgres, min_size=1, max_size=2)

    pool = loop.run(make())

    async def acquire() -> Any:
        return await pool.acquire(timeout=timeout)

    def take() -> Callable[[], None]:
        connection = loop.run(acquire())
        return lambda: loop.run(pool.release(connection))

    return take, lambda: loop.run(pool.close()), pool


OPENERS = [open_sqlalchemy, open_sqlalchemy_async, open_psycopg, open_psycopg_async, open_asyncpg]
each_library = pytest.mark.parametrize("opener", OPENERS, ids=lambda opener: opener.__name__.removeprefix("open_"))


@each_library
def test_connections_used_idle_waited_for_and_given_up_are_counted(
    opener: Any, recorded: Recording, postgres: str, loop: Loop
) -> None:
    take, close, pool = opener(postgres, loop, 1.0)
    try:
        recorded.sources.pools.watch(pool, "shop")
        give_back = [take(), take()]
        assert by_state(recorded) == {"used": 2, "idle": 0}
        assert recorded.value(MAX) == 2
        assert recorded.value(PENDING) == 0
        failed: list[BaseException] = []

        def ask() -> None:
            try:
                take()
            except Exception as error:  # noqa: BLE001 (each library has its own)
                failed.append(error)

        waiter = threading.Thread(target=ask)
        waiter.start()
        wait_until(lambda: recorded.value(PENDING) == 1)
        waiter.join(30)
        assert failed
        assert "imeout" in type(failed[0]).__name__
        assert recorded.value(PENDING) == 0
        assert recorded.value(TIMEOUTS) == 1
        for each in give_back:
            each()
        assert by_state(recorded)["used"] == 0
        assert recorded.value(WAIT, db__client__connection__pool__name="shop") == 2
        assert recorded.value(USE, db__client__connection__pool__name="shop") == 2
        assert not recorded.faults.counts
    finally:
        close()


@each_library
def test_a_pool_that_is_exhausted_is_found_pages_once_and_resolves_once(
    opener: Any, recorded: Recording, postgres: str, loop: Loop, tmp_path: Path
) -> None:
    process = simulation(recorded, tmp_path)
    take, close, _ = opener(postgres, loop, 60)
    try:
        take()()
        process.run(240)
        assert process.triggered == []
        held = Held(take, 2)
        wait_until(lambda: recorded.value(PENDING) == 1)
        process.run(300)
        ((_, name),) = process.triggered
        assert name == "database_connections"
        ((_, page), *_more) = process.paged_at
        assert "150 %" in str(page)
        held.end()
        process.run(300)
        assert len(process.triggered) == 1
        assert [name for _, name in process.resolved] == ["database_connections"]
    finally:
        close()


def test_engines_of_one_database_are_told_apart_and_named_without_their_password(
    recorded: Recording, postgres: str
) -> None:
    address = url_of(postgres, "psycopg").replace("postgres@", "postgres:secret@")
    engines = [sqlalchemy.create_engine(address) for _ in range(2)]
    for engine in engines:
        engine.connect().close()
    names = {point.attributes["db.client.connection.pool.name"] for point in recorded.points(MAX)}
    assert names == {"localhost/postgres", "localhost/postgres #2"}
    # A pool made anew, and options on an engine, are the same pool to whoever watches.
    engines[0].dispose()
    engines[0].execution_options(isolation_level="AUTOCOMMIT").connect().close()
    assert {point.attributes["db.client.connection.pool.name"] for point in recorded.points(MAX)} == names
    for engine in engines:
        engine.dispose()


def test_an_engine_that_is_gone_is_watched_no_more(recorded: Recording) -> None:
    engine = sqlalchemy.create_engine("sqlite://", poolclass=NullPool)
    connection = engine.connect()
    assert [point.value for point in recorded.points(COUNT)] == [1]
    assert recorded.points(MAX) == []  # there is no bound
    connection.close()
    assert [point.value for point in recorded.points(COUNT)] == [0]
    del engine, connection
    gc.collect()
    assert recorded.points(COUNT) == []


def test_a_static_pool_is_watched_and_otelmons_own_storage_is_not(recorded: Recording) -> None:
    storage = SqliteStorage(MEMORY)
    storage.requests()
    storage.close()
    assert recorded.points(COUNT) == []
    engine = sqlalchemy.create_engine("sqlite://", poolclass=StaticPool)
    with engine.connect():
        assert [point.value for point in recorded.points(COUNT)] == [1]
    engine.dispose()


def test_a_pool_named_before_the_start_counts_from_the_start(postgres: str) -> None:
    sources = Sources()
    engine = sqlalchemy.create_engine(url_of(postgres, "psycopg"), pool_size=3, max_overflow=4)
    sources.pools.watch(engine, "shop")
    with recording(sources) as recorded:
        assert recorded.value(MAX, db__client__connection__pool__name="shop") == 7
    with recording(sources) as recorded:  # and once more, after a stop
        assert recorded.value(MAX, db__client__connection__pool__name="shop") == 7
    engine.connect().close()  # nobody watches, and nothing is in the way
    engine.dispose()


def test_what_is_no_pool_is_refused_with_what_to_pass() -> None:
    with pytest.raises(TypeError, match=r"takes SQLAlchemy's Engine.*not builtins.dict"):
        otelmon.watch_pool({})
