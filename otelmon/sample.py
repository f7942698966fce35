"""Sample: what collect hands to the window, and what rules record."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from otelmon.histogram import Histogram
from otelmon.labels import Labels

_STALE_BITS = 0x7FF0000000000002
# The NaN by which Prometheus says "this series ended here" (prometheus/model/value.StaleNaN).
STALE: float = struct.unpack("<d", struct.pack("<Q", _STALE_BITS))[0]


def is_stale(value: float) -> bool:
    """Whether a value is the staleness marker; an ordinary NaN is not."""
    return value != value and struct.pack("<d", value) == struct.pack("<Q", _STALE_BITS)  # noqa: PLR0124 (NaN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One value of one series.

    ``at`` is in unix seconds. ``start_at`` is set for cumulative series (counters, histograms): the instant at which
    the series is known to have been zero, so that its first value already counts as an increase.
    """

    labels: Labels
    at: float
    value: float | Histogram
    start_at: float | None = None

    @property
    def is_end(self) -> bool:
        """Whether it says that the series ended."""
        return not isinstance(self.value, Histogram) and is_stale(self.value)

    def moved(self, seconds: float) -> Sample:
        """The same as many seconds later."""
        start_at = None if self.start_at is None else self.start_at + seconds
        return replace(self, at=self.at + seconds, start_at=start_at)
