"""SQLAlchemy's pools, of engines sync and async, 2.0 and 2.1: found by the engine's own way to a connection."""

from __future__ import annotations

import sys
import weakref
from functools import wraps
from time import perf_counter
from typing import Any

from otelmon.instrument.pools import PoolCounts, Pools, WatchedPool, address, current

UNWATCHED = "otelmon_unwatched"
"""The execution option of engines that are not to be watched: otelmon's own storage."""
_LEASE = "otelmon.lease"


class SqlalchemyAdapter:
    """Watches the pool of each engine under its URL's host, port and database.

    ``Engine.raw_connection`` is hooked, through which the connections of the Core, the ORM and async engines pass.
    SQLAlchemy counts nobody who waits: the blocking part of the pool's queue is wrapped on the instance, so that a
    connection that is there costs no more than before. A pool that is not a QueuePool has no bound, and its used
    connections are those taken while it is watched.
    """

    module = "sqlalchemy.engine"

    def matches(self, pool: Any) -> bool:
        """Whether this is an Engine, an AsyncEngine or a Pool."""
        engine = sys.modules["sqlalchemy.engine"].Engine
        kinds = (engine, sys.modules["sqlalchemy.pool"].Pool)
        return isinstance(pool, kinds) or isinstance(getattr(pool, "sync_engine", None), engine)

    def adopt(self, pools: Pools, pool: Any, name: str | None) -> WatchedPool | None:
        """Watch an engine's pool, or the one that took its place (``Engine.dispose``)."""
        owner = _base(pool)
        watched = pools.of(owner)
        if watched is None:
            options: Any = getattr(owner, "get_execution_options", dict)
            if options().get(UNWATCHED):
                return None
            watched = pools.add(name or _name(owner), owner, _read)
        inner = getattr(owner, "pool", owner)
        if watched is not None and watched.inner() is not inner:
            _wrap(watched, inner)
        return watched

    def hook(self) -> None:
        """Hook ``Engine.raw_connection``, once."""
        engine: Any = sys.modules["sqlalchemy.engine"].Engine
        original = engine.raw_connection
        if not hasattr(original, "otelmon_hooked"):
            engine.raw_connection = _hooked(original)


def _hooked(original: Any) -> Any:
    exhausted: type[Exception] = sys.modules["sqlalchemy.exc"].TimeoutError

    @wraps(original)
    def raw_connection(self: Any) -> Any:
        pools = current()
        if pools is None:
            return original(self)
        watched = pools.of(self)
        if watched is None or watched.inner() is not self.pool:
            watched = pools.adopted(self)
            if watched is None:
                return original(self)
        began = perf_counter()
        try:
            connection = original(self)
        except exhausted:
            watched.timeouts += 1
            raise
        try:
            info = connection.record_info
            if info is not None:  # detached already, by a listener
                info[_LEASE] = watched
                pools.taken(watched, id(info), began)
        except Exception as error:  # noqa: BLE001 (the application has its connection)
            pools.failed("what is taken from SQLAlchemy's pool cannot be measured", error)
        return connection

    raw_connection.otelmon_hooked = True  # type: ignore[attr-defined]
    return raw_connection


def _given_back(_: Any, record: Any) -> None:
    """The pool's checkin and detach events."""
    pools = current()
    try:
        info = record.record_info
        watched = info.pop(_LEASE, None)
        if watched is not None and pools is not None:
            pools.given_back(watched, id(info))
    except Exception as error:  # noqa: BLE001 (the connection goes back all the same)
        if pools is not None:
            pools.failed("what is given back to SQLAlchemy's pool cannot be measured", error)


def _base(pool: Any) -> Any:
    """The engine that owns the pool: an AsyncEngine's, and that of which one with other options was made."""
    engine = getattr(pool, "sync_engine", pool)
    while (proxied := getattr(engine, "_proxied", None)) is not None:
        engine = proxied
    return engine


def _name(owner: Any) -> str:
    url = getattr(owner, "url", None)
    if url is None:
        return "sqlalchemy"
    if url.host is None and not url.query.get("host"):
        return f"{url.get_backend_name()}:{url.database or ''}"
    return address(f"//{url.host or 'localhost'}{'' if url.port is None else f':{url.port}'}/{url.database or ''}")


def _wrap(watched: WatchedPool, pool: Any) -> None:
    """Listen to what is given back, and count who waits."""
    event = sys.modules["sqlalchemy.event"]
    for name in ("checkin", "detach"):
        if not event.contains(pool, name, _given_back):
            event.listen(pool, name, _given_back)
    watched.inner = weakref.ref(pool)  # it refers to its engine
    queue = getattr(pool, "_pool", None)
    if not isinstance(pool, sys.modules["sqlalchemy.pool"].QueuePool) or queue is None:
        return
    original = queue.get

    def get(block: bool = True, timeout: float | None = None) -> Any:  # noqa: FBT001 (as the queue has it)
        if not block or queue.qsize():
            return original(block, timeout)
        watched.waiting.append(None)
        try:
            return original(block, timeout)
        finally:
            watched.waiting.pop()

    queue.get = get


def _read(watched: WatchedPool, owner: Any) -> PoolCounts:
    pool = getattr(owner, "pool", owner)
    if not isinstance(pool, sys.modules["sqlalchemy.pool"].QueuePool):
        return PoolCounts(used=len(watched.leases))
    size = pool.size()
    # There is no public way to the overflow's bound; -1 is none.
    overflow = getattr(pool, "_max_overflow", -1)
    return PoolCounts(
        used=max(0, pool.checkedout()),
        idle=pool.checkedin(),
        maximum=size + overflow if size and overflow >= 0 else None,
        idle_max=size or None,
        pending=len(watched.waiting),
    )
