"""Redis: whether it answers, how many are connected and how full it is, asked on a connection of our own."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from otelmon.instrument.background import Background, Job, Ran
from otelmon.instrument.pools import PoolCounts, Pools, WatchedPool, address
from otelmon.instrument.probes import Rhythm, Verdict

NAME = "otelmon.redis.name"
_RHYTHM = Rhythm(timeout_seconds=2.0)
# What a connection of ours needs to know of the application's; its time limits and retries are not ours.
_SAME = frozenset({
    "host", "port", "path", "db", "username", "password", "protocol", "ssl_keyfile", "ssl_certfile", "ssl_cert_reqs",
    "ssl_ca_certs", "ssl_ca_path", "ssl_ca_data", "ssl_password", "ssl_check_hostname",
})  # fmt: skip
# redis-py's former way to say that a pool has no bound.
_NO_BOUND = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisSettings:
    """A server as the configuration has it; the address may hold a password."""

    name: str
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Info:
    """What a server says of itself; None where it may not be asked."""

    clients: int | None = None
    memory: int | None = None
    memory_limit: int | None = None


class _Server:
    """One server under watch. ``connect`` makes a client of our own."""

    def __init__(self, name: str, connect: Callable[[], Any]) -> None:
        self.attributes = {NAME: name}
        self.verdict = Verdict(_RHYTHM)
        self.info = _Info()
        self._connect = connect
        self._client: Any = None

    def ask(self) -> _Info:
        if self._client is None:
            self._client = self._connect()
        self._client.ping()
        try:
            clients, memory = self._client.info("clients"), self._client.info("memory")
        except Exception as error:
            if "Permission" in type(error).__name__ or "ResponseError" in type(error).__name__:
                return _Info()  # it answers, and does not let us look
            raise
        return _Info(
            clients=clients.get("connected_clients"),
            memory=memory.get("used_memory"),
            memory_limit=memory.get("maxmemory") or None,
        )

    def done(self, ran: Ran[_Info]) -> None:
        self.info = ran.value or _Info()
        self.verdict.take(success=ran.error is None)

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):
                client.close()


class RedisWatch:
    """The Redis and Valkey servers that one process talks to.

    Instruments, by ``otelmon.redis.name``: ``otelmon.redis.up`` (1 or 0: down after three failures in a row, up after
    two successes), ``otelmon.redis.clients`` ({connection}), ``otelmon.redis.memory.usage`` and
    ``otelmon.redis.memory.limit`` (By; none where maxmemory is not set). The pool of a client that was given is
    watched too, see `Pools`.
    """

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self._given: list[tuple[str, Callable[[], Any], Any]] = []
        self._servers: dict[str, _Server] = {}
        self._background: Background | None = None

    def watch(self, client_or_url: Any, name: str | None) -> None:
        """Watch a server. Raises TypeError for what is neither an address nor a client of one server."""
        if isinstance(client_or_url, str):
            given = (name or address(client_or_url), _connecting(client_or_url), None)
        else:
            pool: Any = getattr(client_or_url, "connection_pool", None)
            if not isinstance(getattr(pool, "connection_kwargs", None), dict):
                kind = f"{type(client_or_url).__module__}.{type(client_or_url).__qualname__}"
                raise TypeError(f"otelmon.watch_redis takes a redis:// address or a Redis client; not {kind}")
            given = (name or _name(pool.connection_kwargs), _connecting_as(pool), pool)
        self._given.append(given)
        if self._background is not None:
            self._start(*given)

    def begin(self, meter: Meter, background: Background, configured: Iterable[RedisSettings]) -> None:
        """Ask from now on."""
        self._background = background
        self._create_instruments(meter)
        for each in configured:
            self._start(each.name, _connecting(each.url), None)
        for given in self._given:
            self._start(*given)

    def end(self) -> None:
        """Forget what was found and close our connections; what was given stays for the next `begin`."""
        for server in self._servers.values():
            server.close()
        self._background, self._servers = None, {}

    def _start(self, name: str, connect: Callable[[], Any], pool: Any) -> None:
        if pool is not None and self._pools.of(pool) is None:
            self._pools.add(name, pool, _read_pool)
        if self._background is None or name in self._servers:
            return
        server = self._servers[name] = _Server(name, connect)
        # PING and two INFO, each with the time limit of the socket.
        limit = 3 * _RHYTHM.timeout_seconds
        self._background.add(
            Job(
                name=f"redis {name}",
                run=server.ask,
                done=server.done,
                interval_seconds=_RHYTHM.interval_seconds,
                timeout_seconds=limit,
            )
        )

    def _create_instruments(self, meter: Meter) -> None:
        gauges: tuple[tuple[str, str, str, Callable[[_Server], float | None]], ...] = (
            ("up", "", "Whether Redis answers.", lambda server: _number(server.verdict)),
            ("clients", "{connection}", "Clients that are connected.", lambda server: server.info.clients),
            ("memory.usage", "By", "Memory that Redis uses.", lambda server: server.info.memory),
            ("memory.limit", "By", "Memory that Redis may use.", lambda server: server.info.memory_limit),
        )
        for name, unit, description, read in gauges:
            meter.create_observable_gauge(f"otelmon.redis.{name}", [self._callback(read)], unit, description)

    def _callback(self, read: Callable[[_Server], float | None]) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            found = [(server, read(server)) for server in list(self._servers.values())]
            return [Observation(value, server.attributes) for server, value in found if value is not None]

        return observe


def _number(verdict: Verdict) -> float | None:
    return None if verdict.up is None else float(verdict.up)


def _limits(library: Any) -> dict[str, Any]:
    """One try, of two seconds at most: whether to try again is the verdict's affair."""
    retry = importlib.import_module(f"{library.__name__}.retry")
    backoff = importlib.import_module(f"{library.__name__}.backoff")
    return {
        "socket_timeout": _RHYTHM.timeout_seconds,
        "socket_connect_timeout": _RHYTHM.timeout_seconds,
        "retry": retry.Retry(backoff.NoBackoff(), 0),
    }


def _connecting(url: str) -> Callable[[], Any]:
    def connect() -> Any:
        library: Any = importlib.import_module("redis")
        return library.Redis.from_url(url, **_limits(library))

    return connect


def _connecting_as(pool: Any) -> Callable[[], Any]:
    """A blocking client for the server of a pool, of a blocking client or an asyncio one, of redis-py or valkey-py."""

    def connect() -> Any:
        library: Any = importlib.import_module(type(pool).__module__.partition(".")[0])
        kind = getattr(library.connection, pool.connection_class.__name__)
        known = {key: value for key, value in pool.connection_kwargs.items() if key in _SAME}
        own = library.ConnectionPool(connection_class=kind, **known, **_limits(library))
        return (library.Redis if hasattr(library, "Redis") else library.Valkey)(connection_pool=own)

    return connect


def _name(given: dict[str, Any]) -> str:
    if given.get("path"):
        return f"{given['path']}/{given.get('db') or 0}"
    return f"{given.get('host') or 'localhost'}:{given.get('port') or 6379}/{given.get('db') or 0}"


def _read_pool(_: WatchedPool, pool: Any) -> PoolCounts | None:
    used, idle = (getattr(pool, name, None) for name in ("_in_use_connections", "_available_connections"))
    if used is None or idle is None:
        return None  # a pool of another kind, with a queue of its own
    maximum = pool.max_connections
    return PoolCounts(
        used=len(used), idle=len(idle), maximum=maximum if maximum is not None and maximum < _NO_BOUND else None
    )
