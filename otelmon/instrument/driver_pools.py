"""The pools of the PostgreSQL drivers: psycopg_pool and asyncpg, found when a connection is first taken from them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from time import perf_counter
from typing import Any

from otelmon.instrument.pools import PoolCounts, Pools, WatchedPool, address, current

_HOOKED = "otelmon_hooked"


class PsycopgAdapter:
    """Watches psycopg_pool's ConnectionPool, AsyncConnectionPool and their kin under the pool's own name.

    ``getconn`` and ``putconn`` are hooked, through which ``connection()`` passes too; the counts are ``get_stats()``.
    """

    module = "psycopg_pool"

    def matches(self, pool: Any) -> bool:
        """Whether this is one of psycopg's pools."""
        library = sys.modules["psycopg_pool"]
        return isinstance(pool, (library.ConnectionPool, library.AsyncConnectionPool))

    def adopt(self, pools: Pools, pool: Any, name: str | None) -> WatchedPool | None:
        """Watch a pool, once."""
        return pools.of(pool) or pools.add(name or pool.name, pool, _read_psycopg)

    def hook(self) -> None:
        """Hook the two classes, once."""
        library: Any = sys.modules["psycopg_pool"]
        if not hasattr(library.ConnectionPool.getconn, _HOOKED):
            exhausted = (library.PoolTimeout, library.TooManyRequests)
            for kind, taking in ((library.ConnectionPool, _taking), (library.AsyncConnectionPool, _taking_async)):
                kind.getconn = taking(kind.getconn, exhausted, _is_psycopg_exhausted)
                kind.putconn = _giving(kind.putconn)


class AsyncpgAdapter:
    """Watches asyncpg's pools under host and database of their address.

    asyncpg counts nobody who waits; ``Pool._acquire`` is hooked, to which all its ways to a connection lead, and
    ``Pool.release``.
    """

    module = "asyncpg.pool"

    def matches(self, pool: Any) -> bool:
        """Whether this is one of asyncpg's pools."""
        return isinstance(pool, sys.modules["asyncpg.pool"].Pool)

    def adopt(self, pools: Pools, pool: Any, name: str | None) -> WatchedPool | None:
        """Watch a pool, once."""
        return pools.of(pool) or pools.add(name or _asyncpg_name(pool), pool, _read_asyncpg)

    def hook(self) -> None:
        """Hook the class, once."""
        kind: Any = sys.modules["asyncpg.pool"].Pool
        if not hasattr(kind._acquire, _HOOKED):  # noqa: SLF001 (acquire() gives an object that calls this one)
            kind._acquire = _taking_async(kind._acquire, (TimeoutError,), _is_asyncpg_exhausted)  # noqa: SLF001
            kind.release = _giving(kind.release)


def _taking(original: Any, exhausted: tuple[type[BaseException], ...], waits: Callable[[Any], bool]) -> Any:
    @wraps(original)
    def take(self: Any, *args: Any, **kwargs: Any) -> Any:
        pools = current()
        watched = None if pools is None else pools.of(self) or pools.adopted(self)
        if pools is None or watched is None:
            return original(self, *args, **kwargs)
        waiting = _waiting(pools, watched, self, waits)
        waiting.append(None)
        began = perf_counter()
        try:
            connection = original(self, *args, **kwargs)
        except exhausted:
            watched.timeouts += 1
            raise
        finally:
            waiting.pop()
        return _taken(pools, watched, connection, began)

    setattr(take, _HOOKED, True)
    return take


def _taking_async(original: Any, exhausted: tuple[type[BaseException], ...], waits: Callable[[Any], bool]) -> Any:
    @wraps(original)
    async def take(self: Any, *args: Any, **kwargs: Any) -> Any:
        pools = current()
        watched = None if pools is None else pools.of(self) or pools.adopted(self)
        if pools is None or watched is None:
            return await original(self, *args, **kwargs)
        waiting = _waiting(pools, watched, self, waits)
        waiting.append(None)
        began = perf_counter()
        try:
            connection = await original(self, *args, **kwargs)
        except exhausted:
            watched.timeouts += 1
            raise
        finally:
            waiting.pop()
        return _taken(pools, watched, connection, began)

    setattr(take, _HOOKED, True)
    return take


def _taken(pools: Pools, watched: WatchedPool, connection: Any, began: float) -> Any:
    try:
        pools.taken(watched, id(connection), began)
    except Exception as error:  # noqa: BLE001 (the application has its connection)
        pools.failed("what is taken from a pool cannot be measured", error)
    return connection


def _giving(original: Any) -> Any:
    """The method that gives back, a function or a coroutine function alike: what it returns is passed on."""

    @wraps(original)
    def give(self: Any, connection: Any, *args: Any, **kwargs: Any) -> Any:
        pools = current()
        watched = None if pools is None else pools.of(self)
        if pools is not None and watched is not None:
            pools.given_back(watched, id(connection))
        return original(self, connection, *args, **kwargs)

    return give


def _waiting(pools: Pools, watched: WatchedPool, pool: Any, exhausted: Callable[[Any], bool]) -> list[None]:
    """Where a request that begins now is counted: among those who wait, or nowhere."""
    try:
        return watched.waiting if exhausted(pool) else []
    except Exception as error:  # noqa: BLE001 (the application waits all the same)
        pools.failed("those who wait for a connection cannot be counted", error)
        return []


def _read_psycopg(watched: WatchedPool, pool: Any) -> PoolCounts | None:
    if pool.closed and not pool.get_stats().get("pool_size"):
        return None
    stats = pool.get_stats()
    idle = stats.get("pool_available", 0)
    return PoolCounts(
        used=max(0, stats.get("pool_size", 0) - idle),
        idle=idle,
        maximum=stats.get("pool_max") or None,
        idle_min=stats.get("pool_min"),
        pending=len(watched.waiting),
    )


def _read_asyncpg(watched: WatchedPool, pool: Any) -> PoolCounts | None:
    if pool.is_closing():
        return None
    size, idle = pool.get_size(), pool.get_idle_size()
    return PoolCounts(
        used=size - idle,
        idle=idle,
        maximum=pool.get_max_size(),
        idle_min=pool.get_min_size(),
        pending=len(watched.waiting),
    )


def _is_psycopg_exhausted(pool: Any) -> bool:
    # Not its count of those who wait: it keeps those who gave up until the next connection comes back.
    stats = pool.get_stats()
    return bool(not stats["pool_available"] and stats["pool_size"] >= stats["pool_max"])


def _is_asyncpg_exhausted(pool: Any) -> bool:
    return bool(pool.get_size() - pool.get_idle_size() >= pool.get_max_size())


def _asyncpg_name(pool: Any) -> str:
    """As the pool was created; there is no public way to it."""
    dsn = next(iter(getattr(pool, "_connect_args", ())), None)
    if isinstance(dsn, str):
        return address(dsn)
    given = getattr(pool, "_connect_kwargs", {})
    host, port, database = (given.get(name) for name in ("host", "port", "database"))
    return address(f"//{host}{f':{port}' if port else ''}/{database or ''}") if host else "asyncpg"
