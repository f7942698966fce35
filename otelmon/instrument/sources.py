"""Sources: what the application has shown or named to otelmon beyond its requests, in this process.

The application may name things before `otelmon.start` and where otelmon is switched off: they wait here, at no cost.
"""

from __future__ import annotations

from opentelemetry.metrics import Meter

from otelmon.faults import Faults
from otelmon.instrument.operations import Operations


class Sources:
    """Operations of one process; whoever watches it gives the meter."""

    def __init__(self) -> None:
        self.operations = Operations()

    def begin(self, meter: Meter, faults: Faults) -> None:
        """Measure with this meter from now on."""
        self.operations.create_instruments(meter, faults)

    def sample(self) -> None:
        """Read what is in memory, just before each collection. Never raises, and waits for nothing."""

    def end(self) -> None:
        """Cease to measure; what was named stays for the next `begin`."""
        self.operations.release()


SOURCES = Sources()
"""Those of this process."""
