"""Pools: how many of a database pool's connections are used, and who waits for one, for any library that is known.

The libraries are never imported here: each is looked for in sys.modules, and its pools are found as they are used, by
a hook on the one method through which every connection passes.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol
from urllib.parse import urlsplit

from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation

from otelmon.faults import Faults
from otelmon.instrument.deferred import Deferred

NAME = "db.client.connection.pool.name"
_STATE = "db.client.connection.state"
_BOUNDS_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0)
# A process that makes pools without end must not make series without end.
_MOST_POOLS = 100
_MOST_LEASES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolCounts:
    """A pool at one moment, in connections; None where the library does not say or there is no bound."""

    used: int
    idle: int | None = None
    maximum: int | None = None
    idle_max: int | None = None
    idle_min: int | None = None
    pending: int = 0


class WatchedPool:
    """One pool under its name. ``read`` counts the library's object, which ``owner`` returns while it lives.

    ``waiting`` has one element for each request that waits now, ``leases`` what is taken and when (perf_counter
    seconds), by a key of the library's: lists and dictionaries change atomically, so that no lock is held at a fork.
    ``timeouts`` counts the requests that gave up. ``inner`` is the adapter's own.
    """

    __slots__ = ("attributes", "inner", "leases", "name", "owner", "read", "timeouts", "waiting")

    def __init__(self, name: str, owner: Any, read: Callable[[WatchedPool, Any], PoolCounts | None]) -> None:
        self.name = name
        self.owner: Callable[[], Any] = _reference(owner)
        self.read = read
        self.inner: Callable[[], Any] = lambda: None
        self.attributes = {NAME: name}
        self.waiting: list[None] = []
        self.leases: dict[int, float] = {}
        self.timeouts = 0

    def take(self, key: int, taken_at: float) -> None:
        """Something is taken; what was never given back (a connection that died) is forgotten some time."""
        if len(self.leases) >= _MOST_LEASES:
            self.leases.clear()
        self.leases[key] = taken_at


class Adapter(Protocol):
    """What is known of one library."""

    module: str
    """The module whose import shows that the application uses the library."""

    def matches(self, pool: Any) -> bool:
        """Whether this is a pool of the library."""

    def adopt(self, pools: Pools, pool: Any, name: str | None) -> WatchedPool | None:
        """Watch a pool, once (see `Pools.of`, `Pools.add`); None for one that is not to be watched."""

    def hook(self) -> None:
        """See to it that each pool is adopted by `current` when it is used; may be called again."""


class Pools:
    """The pools of one process; while ``begin`` .. ``end`` lasts they are found and measured.

    Instruments: ``db.client.connection.count`` (by state: used, idle), ``.max``, ``.idle.max``, ``.idle.min``,
    ``.pending_requests``, ``.timeouts``, and the histograms ``.wait_time`` and ``.use_time`` (s), as OpenTelemetry's
    semantic conventions define them, by ``db.client.connection.pool.name``.
    """

    def __init__(self, adapters: Sequence[Adapter], deferred: Deferred) -> None:
        self._deferred = deferred
        self._adapters = adapters
        self._named: list[tuple[Callable[[], Any], str | None]] = []
        self._watched: dict[int, WatchedPool] = {}
        self._read: list[tuple[WatchedPool, PoolCounts]] = []
        self._wait_time: Histogram | None = None
        self._use_time: Histogram | None = None
        self._faults = Faults()

    def watch(self, pool: Any, name: str | None) -> None:
        """Watch a pool under a name. Raises TypeError for what is no pool that is known."""
        if self._adapter(pool) is None:
            known = "SQLAlchemy's Engine, AsyncEngine or Pool, a pool of psycopg_pool or of asyncpg"
            raise TypeError(f"otelmon.watch_pool takes {known}; not {type(pool).__module__}.{type(pool).__qualname__}")
        # An application that makes a pool for each job names many: those that are gone are not kept.
        self._named = [each for each in self._named if each[0]() is not None]
        self._named.append((_reference(pool), name))
        if _current is self:
            self.adopted(pool, name)

    def begin(self, meter: Meter, faults: Faults) -> None:
        """Find and measure pools from now on."""
        global _current  # noqa: PLW0603 (the hooks are on classes, of which a process has one)
        self._faults = faults
        self._create_instruments(meter)
        _current = self
        self.find()
        for owner, name in self._named:
            pool = owner()
            if pool is not None:
                self.adopted(pool, name)

    def end(self) -> None:
        """Cease to measure; the hooks stay and do nothing."""
        global _current  # noqa: PLW0603
        if _current is self:
            _current = None
        self._wait_time = self._use_time = None
        self._watched, self._read = {}, []

    def find(self) -> None:
        """Hook the libraries that the application has imported by now. Never raises."""
        for adapter in self._adapters:
            if imported(adapter.module):
                try:
                    adapter.hook()
                except Exception as error:  # noqa: BLE001 (a library that has changed costs its own figures only)
                    message = f"pools of {adapter.module} cannot be found; name them by otelmon.watch_pool"
                    self._faults.add(f"pool.{adapter.module}", message, error)

    def adopted(self, pool: Any, name: str | None = None) -> WatchedPool | None:
        """The watched pool of a library's pool; None where it cannot be watched. Never raises."""
        try:
            adapter = self._adapter(pool)
            return None if adapter is None else adapter.adopt(self, pool, name)
        except Exception as error:  # noqa: BLE001 (the application's connection matters more)
            self.failed(f"a pool of {type(pool).__module__} cannot be watched", error)
            return None

    def failed(self, message: str, error: Exception) -> None:
        """Count a fault of a hook; the application's connection is not touched by it."""
        self._faults.add("pool", message, error)

    def of(self, owner: object) -> WatchedPool | None:
        """The pool that was added for this object of the library."""
        watched = self._watched.get(id(owner))
        return watched if watched is not None and watched.owner() is owner else None

    def add(
        self, name: str, owner: object, read: Callable[[WatchedPool, Any], PoolCounts | None]
    ) -> WatchedPool | None:
        """Watch a library's object by a function that reads it; a name that is taken gets a number.

        The function returns None once there is nothing to read any more. None beyond the bound of pools.
        """
        if len(self._watched) >= _MOST_POOLS:
            self._faults.add("pool", f"more than {_MOST_POOLS} pools; further ones are not watched")
            return None
        taken = {each.name for each in self._watched.values()}
        names = (name if number == 1 else f"{name} #{number}" for number in range(1, _MOST_POOLS + 2))
        watched = WatchedPool(next(each for each in names if each not in taken), owner, read)
        self._watched[id(owner)] = watched
        return watched

    def taken(self, watched: WatchedPool, key: int, began: float) -> None:
        """A connection that was asked for then (perf_counter seconds) is obtained now."""
        taken_at = perf_counter()
        watched.take(key, taken_at)
        if self._wait_time is not None:
            self._deferred.add(self._wait_time.record, taken_at - began, watched.attributes)

    def given_back(self, watched: WatchedPool, key: int) -> None:
        """A connection is given back now."""
        taken_at = watched.leases.pop(key, None)
        if self._use_time is not None and taken_at is not None:
            self._deferred.add(self._use_time.record, perf_counter() - taken_at, watched.attributes)

    def sample(self) -> None:
        """Read every pool, for the next collection. Never raises; nothing here waits."""
        self.find()
        read = []
        for key, watched in list(self._watched.items()):
            owner = watched.owner()
            try:
                counts = None if owner is None else watched.read(watched, owner)
            except Exception as error:  # noqa: BLE001 (one pool must not cost the others)
                self._faults.add(f"pool.{watched.name}", f"the pool {watched.name} cannot be read", error)
                continue
            if counts is None:
                del self._watched[key]
            else:
                read.append((watched, counts))
        self._read = read

    def _adapter(self, pool: Any) -> Adapter | None:
        return next((each for each in self._adapters if imported(each.module) and each.matches(pool)), None)

    def _create_instruments(self, meter: Meter) -> None:
        prefix = "db.client.connection"
        gauges: tuple[tuple[str, str, str, Callable[[WatchedPool, PoolCounts], int | None]], ...] = (
            ("max", "{connection}", "Most connections that the pool may open.", lambda _, counts: counts.maximum),
            ("idle.max", "{connection}", "Most idle connections that are kept.", lambda _, counts: counts.idle_max),
            ("idle.min", "{connection}", "Fewest idle connections that are kept.", lambda _, counts: counts.idle_min),
            ("pending_requests", "{request}", "Requests that wait.", lambda _, counts: counts.pending),
        )
        for name, unit, description, value in gauges:
            callbacks = [self._callback(value)]
            meter.create_observable_up_down_counter(f"{prefix}.{name}", callbacks, unit, description)
        meter.create_observable_up_down_counter(
            f"{prefix}.count", [self._observe_counts], "{connection}", "Connections by state, used or idle."
        )
        meter.create_observable_counter(
            f"{prefix}.timeouts",
            [self._callback(lambda watched, _: watched.timeouts)],
            "{timeout}",
            "Requests for a connection that gave up.",
        )
        self._wait_time, self._use_time = (
            meter.create_histogram(
                f"{prefix}.{name}", "s", description, explicit_bucket_boundaries_advisory=_BOUNDS_SECONDS
            )
            for name, description in (
                ("wait_time", "How long a connection was waited for."),
                ("use_time", "How long a connection was used."),
            )
        )

    def _callback(
        self, value: Callable[[WatchedPool, PoolCounts], int | None]
    ) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            found = ((watched, value(watched, counts)) for watched, counts in self._read)
            return [Observation(number, watched.attributes) for watched, number in found if number is not None]

        return observe

    def _observe_counts(self, _: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(number, {**watched.attributes, _STATE: state})
            for watched, counts in self._read
            for state, number in (("used", counts.used), ("idle", counts.idle))
            if number is not None
        ]


_current: Pools | None = None


def current() -> Pools | None:
    """The pools that are measured now."""
    return _current


def imported(name: str) -> bool:
    """Whether the application has imported a module, to its end: another thread may be in the middle of it."""
    module = sys.modules.get(name)
    return module is not None and not getattr(getattr(module, "__spec__", None), "_initializing", False)


def _reference(owner: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(owner)
    except TypeError:
        return lambda: owner  # asyncpg's pools take no weak references; they say when they are closed


def address(dsn: str) -> str:
    """What an address says of where it leads, as host:port/database, without user, password and options."""
    parts = urlsplit(dsn)
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.hostname or 'localhost'}{port}{parts.path}".rstrip("/")
