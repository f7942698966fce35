"""Source: what an engine collects from. In an application that is its `Collector`, in a server the `Fleet`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Protocol

from otelmon.labels import Labels
from otelmon.sample import Sample

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData


class Source(Protocol):
    """Everything that is measured, collected when the engine asks; `otelmon.collect.collector.Collector` says how."""

    @property
    def overflowed(self) -> int:
        """How many points were left out because there were too many series."""

    @property
    def latest(self) -> MetricsData | None:
        """What the last collection measured in this process, for an exporter."""

    @property
    def finest(self) -> MetricsData | None:
        """The same, with request histograms at the recorder's own resolution."""

    def collect(self, at: float) -> Sequence[Sample]:
        """Everything measured until now as samples stamped ``at`` (unix seconds). Never raises."""

    def count(self, at: float) -> None:
        """Collect for `leave` and `latest` alone, as a process does that does not evaluate."""

    def gather(self) -> None:
        """Read what other processes have counted, for the collections that follow."""

    def leave(self) -> None:
        """Write what the process that evaluates after this one has to know."""

    def recording(self, known_at: float) -> tuple[float, str] | None:
        """The last collection as a line of a recording, with its instant; None where that is ``known_at``."""

    def resume(self, known: Collection[Labels], at: float) -> None:
        """Go on where another process stopped at ``at``, which had given these series."""

    def shift(self, seconds: float) -> None:
        """The wall clock jumped by so much."""
