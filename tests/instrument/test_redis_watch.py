"""Redis: a real Valkey server that is killed and comes back, as seen by a connection of our own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio

import otelmon
from otelmon.instrument.background import Ran
from otelmon.instrument.redis_watch import RedisSettings
from otelmon.instrument.sources import Sources
from tests.instrument.recording import Recording, asking, recording, simulation

UP = "otelmon.redis.up"


@pytest.fixture
def recorded() -> Iterator[Recording]:
    with recording(Sources()) as found:
        yield found


def url(server: Any) -> str:
    return f"redis://127.0.0.1:{server.port}/0"


def ask(recorded: Recording, at: float = 0.0) -> None:
    recorded.sources.background.run_due(at)
    recorded.sources.background.wait(30)


def test_a_server_that_is_killed_pages_once_and_resolves_once_when_it_is_back(
    recorded: Recording, valkey: Any, tmp_path: Path
) -> None:
    address = url(valkey)
    recorded.sources.redis.watch(address, None)
    process = simulation(recorded, tmp_path)
    second = asking(recorded, process)
    process.run(120, second)
    assert process.triggered == []
    killed_at = process.clock.now()
    valkey.terminate()
    process.run(120, second)
    ((at, name),) = process.triggered
    assert name == "redis_connection"
    assert 30 <= at - killed_at <= 60
    assert f"{address.removeprefix('redis://')} does not answer" in str(process.paged_at[0][1])
    valkey.again.start()
    process.run(300, second)
    assert len(process.triggered) == 1
    assert [name for _, name in process.resolved] == ["redis_connection"]
    assert not recorded.faults.counts


def test_a_server_that_takes_connections_and_says_nothing_costs_two_seconds_and_is_a_failure(
    recorded: Recording,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        recorded.sources.redis.watch(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", "cache")
        (server,) = recorded.sources.redis._servers.values()
        ran: list[Ran[Any]] = []
        (job,) = recorded.sources.background._jobs
        job.done = ran.append
        ask(recorded)
        assert type(ran[0].error).__name__ == "TimeoutError"
        assert 2 <= ran[0].seconds < 4
        for _ in range(3):
            server.done(ran[0])
        assert recorded.value(UP, otelmon__redis__name="cache") == 0


def test_clients_and_memory_are_told_and_a_client_shows_its_pool(recorded: Recording, valkey: Any) -> None:
    client = redis.Redis(port=valkey.port, max_connections=10)
    client.config_set("maxmemory", "50mb")
    recorded.sources.redis.watch(client, "cache")
    ask(recorded)
    assert recorded.value(UP, otelmon__redis__name="cache") == 1
    assert recorded.value("otelmon.redis.clients") == 2  # the client and we
    assert recorded.value("otelmon.redis.memory.limit") == 50 * 2**20
    assert 0 < (recorded.value("otelmon.redis.memory.usage") or 0) < 50 * 2**20
    pool = {"db__client__connection__pool__name": "cache"}
    count = "db.client.connection.count"
    assert recorded.value(count, **pool, db__client__connection__state="idle") == 1
    assert recorded.value("db.client.connection.max", **pool) == 10
    taken = client.connection_pool.get_connection()
    assert recorded.value(count, **pool, db__client__connection__state="used") == 1
    client.connection_pool.release(taken)
    client.close()


def test_an_asyncio_client_is_asked_by_a_blocking_connection(recorded: Recording, valkey: Any) -> None:
    client = redis.asyncio.Redis(port=valkey.port, db=3)
    recorded.sources.redis.watch(client, None)
    ask(recorded)
    assert recorded.value(UP, otelmon__redis__name=f"localhost:{valkey.port}/3") == 1
    asyncio.run(client.aclose())


def test_a_server_that_does_not_let_us_look_is_up_all_the_same(recorded: Recording, valkey: Any) -> None:
    admin = redis.Redis(port=valkey.port)
    admin.acl_setuser("looker", enabled=True, passwords=["+s3cret"], commands=["+ping", "+hello"], reset=True)
    recorded.sources.redis.watch(f"redis://looker:s3cret@127.0.0.1:{valkey.port}/0", None)
    ask(recorded)
    assert recorded.value(UP, otelmon__redis__name=f"127.0.0.1:{valkey.port}/0") == 1
    assert recorded.points("otelmon.redis.clients") == []
    admin.close()


def test_servers_of_the_configuration_are_asked_with_their_password_and_named_without(valkey: Any) -> None:
    admin = redis.Redis(port=valkey.port)
    admin.config_set("requirepass", "s3cret")
    admin.close()
    right = RedisSettings(name="right", url=f"redis://:s3cret@127.0.0.1:{valkey.port}/0")
    wrong = RedisSettings(name="wrong", url=f"redis://:other@127.0.0.1:{valkey.port}/0")
    assert "s3cret" not in repr(right)
    with recording(Sources(), redis=[right, wrong]) as recorded:
        for number in range(3):
            ask(recorded, 15.0 * number)
        assert recorded.value(UP, otelmon__redis__name="right") == 1
        assert recorded.value(UP, otelmon__redis__name="wrong") == 0


def test_what_is_no_redis_is_refused() -> None:
    with pytest.raises(TypeError, match=r"takes a redis:// address or a Redis client; not builtins.int"):
        otelmon.watch_redis(7)
