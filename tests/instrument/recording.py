"""A real SDK pipeline, and a whole engine behind it, for the tests of sources."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider

from otelmon.collect.meter import OwnMeter
from otelmon.collect.reader import Reader
from otelmon.faults import Faults
from otelmon.instrument.sources import Sources
from tests.e2e.simulation import Simulation


class Recording:
    """Sources that are measured by a provider of their own; ``value`` collects and reads one series."""

    def __init__(self, sources: Sources, **configured: Any) -> None:
        self.faults = Faults()
        self.reader = Reader(faults=self.faults)
        self.provider = MeterProvider(metric_readers=[self.reader], shutdown_on_exit=False)
        self.meter = OwnMeter(self.provider, "otelmon")
        self.sources = sources
        sources.begin(self.meter, self.faults, **configured)

    def close(self) -> None:
        self.sources.end()
        self.meter.close()

    def points(self, name: str) -> list[Any]:
        self.sources.sample()
        data = self.reader.pull()
        return [
            point
            for resource in ([] if data is None else data.resource_metrics)
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def value(self, metric: str, **attributes: str) -> float | None:
        """The one point with these attributes (dots written as two underscores); the count of a histogram."""
        wanted = {name.replace("__", "."): text for name, text in attributes.items()}
        found = [each for each in self.points(metric) if wanted.items() <= dict(each.attributes).items()]
        if not found:
            return None
        (point,) = found
        return float(point.count if hasattr(point, "count") else point.value)


@contextmanager
def recording(sources: Sources, **configured: Any) -> Iterator[Recording]:
    """Sources that are measured; ``configured`` is what `Sources.begin` takes of the configuration."""
    found = Recording(sources, **configured)
    try:
        yield found
    finally:
        found.close()


def simulation(recorded: Recording, folder: Path, alerts: str = "") -> Simulation:
    """A whole engine that collects what is recorded, with pages that a test reads."""
    config = folder / "otelmon.yaml"
    config.write_text(f"service: shop\n{alerts}")
    return Simulation(config, reader=recorded.reader, sample=recorded.sources.sample)


def asking(recorded: Recording, process: Simulation) -> Callable[[], None]:
    """What each second of a simulation does so that probes run when they are due, and end within that second."""

    def second() -> None:
        recorded.sources.background.run_due(process.clock.monotonic())
        recorded.sources.background.wait(10.0)

    return second
