"""Sources: what the application has shown or named to otelmon beyond its requests, in this process.

The application may name things before `otelmon.start` and where otelmon is switched off: they wait here, at no cost.
"""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry.metrics import Meter

from otelmon.faults import Faults
from otelmon.instrument.background import Background
from otelmon.instrument.driver_pools import AsyncpgAdapter, PsycopgAdapter
from otelmon.instrument.operations import Operations
from otelmon.instrument.pools import Pools
from otelmon.instrument.probes import Probes, ProbeSettings
from otelmon.instrument.redis_watch import RedisSettings, RedisWatch
from otelmon.instrument.sqlalchemy_pools import SqlalchemyAdapter


class Sources:
    """What one process has shown or named; whoever watches it gives a meter and runs ``background``."""

    def __init__(self) -> None:
        self.operations = Operations()
        self.background = Background()
        self.probes = Probes()
        self.pools = Pools([SqlalchemyAdapter(), PsycopgAdapter(), AsyncpgAdapter()])
        self.redis = RedisWatch(self.pools)

    def begin(
        self,
        meter: Meter,
        faults: Faults,
        *,
        probes: Iterable[ProbeSettings] = (),
        redis: Iterable[RedisSettings] = (),
    ) -> None:
        """Measure with this meter from now on."""
        self.operations.create_instruments(meter, faults)
        self.pools.begin(meter, faults)
        self.background.clear(faults)
        self.probes.begin(meter, self.background, probes)
        self.redis.begin(meter, self.background, redis)

    def sample(self) -> None:
        """Read what is in memory, just before each collection. Never raises, and waits for nothing."""
        self.pools.sample()

    def end(self) -> None:
        """Cease to measure; what was named stays for the next `begin`."""
        self.operations.release()
        self.pools.end()
        self.probes.end()
        self.redis.end()


SOURCES = Sources()
"""Those of this process."""
