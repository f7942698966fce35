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
from otelmon.instrument.sqlalchemy_pools import SqlalchemyAdapter


class Sources:
    """Operations, pools and probes of one process; whoever watches it gives the meter and runs ``background``."""

    def __init__(self) -> None:
        self.operations = Operations()
        self.probes = Probes()
        self.background = Background()
        self.pools = Pools([SqlalchemyAdapter(), PsycopgAdapter(), AsyncpgAdapter()])

    def begin(self, meter: Meter, faults: Faults, probes: Iterable[ProbeSettings] = ()) -> None:
        """Measure with this meter from now on."""
        self.operations.create_instruments(meter, faults)
        self.pools.begin(meter, faults)
        self.background.clear(faults)
        self.probes.begin(meter, self.background, probes)

    def sample(self) -> None:
        """Read what is in memory, just before each collection. Never raises, and waits for nothing."""
        self.pools.sample()

    def end(self) -> None:
        """Cease to measure; what was named stays for the next `begin`."""
        self.operations.release()
        self.pools.end()
        self.probes.end()


SOURCES = Sources()
"""Those of this process."""
