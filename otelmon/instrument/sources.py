"""Sources: what the application has shown or named to otelmon beyond its requests, in this process.

The application may name things before `otelmon.start` and where otelmon is switched off: they wait here, at no cost.
"""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry.metrics import Meter

from otelmon.faults import Faults
from otelmon.instrument.background import Background
from otelmon.instrument.deferred import Deferred
from otelmon.instrument.diagnostics import Diagnostics
from otelmon.instrument.driver_pools import AsyncpgAdapter, PsycopgAdapter
from otelmon.instrument.job_queues import hook
from otelmon.instrument.operations import Operations
from otelmon.instrument.pools import Pools
from otelmon.instrument.probes import Probes, ProbeSettings
from otelmon.instrument.queues import Queues
from otelmon.instrument.redis_watch import RedisSettings, RedisWatch
from otelmon.instrument.sqlalchemy_pools import SqlalchemyAdapter


class Sources:
    """What one process has shown or named; whoever watches it gives a meter and runs ``background``."""

    def __init__(self) -> None:
        self._deferred = Deferred()
        self.operations = Operations(self._deferred)
        self.background = Background()
        self.probes = Probes()
        self.pools = Pools([SqlalchemyAdapter(), PsycopgAdapter(), AsyncpgAdapter()], self._deferred)
        self.redis = RedisWatch(self.pools)
        self.queues = Queues()
        self.diagnostics = Diagnostics()
        self._faults = Faults()

    def begin(
        self,
        meter: Meter,
        faults: Faults,
        *,
        probes: Iterable[ProbeSettings] = (),
        redis: Iterable[RedisSettings] = (),
    ) -> None:
        """Measure with this meter from now on."""
        self._deferred.begin(faults)
        self.operations.create_instruments(meter, faults)
        self.pools.begin(meter, faults)
        self.background.clear(faults)
        self.probes.begin(meter, self.background, probes)
        self.redis.begin(meter, self.background, redis)
        self.queues.begin(meter, self.background, faults)
        self._faults = faults
        _current.append(self)
        self._hook_queues()

    def sample(self) -> None:
        """Read what is in memory, just before each collection. Never raises, and waits for nothing."""
        self._deferred.flush()
        self.pools.sample()
        self._hook_queues()

    def end(self) -> None:
        """Cease to measure; what was named stays for the next `begin`."""
        self.operations.release()
        self.pools.end()
        self.probes.end()
        self.redis.end()
        self.queues.end()
        _current[:] = [each for each in _current if each is not self]

    def _hook_queues(self) -> None:
        """The libraries of jobs that were imported by now; their hooks stay, and find whoever is measured."""
        try:
            hook(lambda: _current[-1].queues if _current else None)
        except Exception as error:  # noqa: BLE001 (a library that has changed costs its own figures only)
            self._faults.add("queue", "the delay of jobs cannot be measured", error)


_current: list[Sources] = []

SOURCES = Sources()
"""Those of this process."""
