"""A meter whose observable instruments can be made again; the SDK keeps an instrument, and its callbacks, for ever.

Starting, stopping and starting otelmon in one process (a test client does with each lifespan) asks the same provider
for the same instruments. The SDK then returns the old ones and drops the new callbacks. Here an instrument is made
once a provider with a relay, and the relay asks whoever runs now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from opentelemetry.metrics import (
    CallbackOptions,
    CallbackT,
    Counter,
    Histogram,
    Meter,
    MeterProvider,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    Observation,
    UpDownCounter,
)
from opentelemetry.metrics import _Gauge as Gauge

_Callback = Callable[[CallbackOptions], Iterable[Observation]]


class _Relay:
    """The one callback that the SDK knows of an instrument."""

    def __init__(self) -> None:
        self.callbacks: tuple[_Callback, ...] = ()

    def __call__(self, options: CallbackOptions) -> Iterable[Observation]:
        for callback in self.callbacks:
            yield from callback(options)


# By provider, scope, kind and name of instrument.
_relays: WeakKeyDictionary[MeterProvider, dict[tuple[str, str, str], _Relay]] = WeakKeyDictionary()


class OwnMeter(Meter):
    """The provider's meter of this name, with instruments that fall silent on ``close`` and may be made anew.

    Callbacks are functions (the API's generator form is not taken).
    """

    def __init__(self, provider: MeterProvider, name: str, version: str | None = None) -> None:
        """The meter of ``provider`` with this name."""
        super().__init__(name, version=version)
        self._meter = provider.get_meter(name, version)
        self._known = _relays.setdefault(provider, {})
        self._mine: list[tuple[_Relay, tuple[_Callback, ...]]] = []

    def close(self) -> None:
        """Silence the observable instruments made here, unless another meter has taken them over since."""
        for relay, callbacks in self._mine:
            if relay.callbacks is callbacks:
                relay.callbacks = ()
        self._mine.clear()

    def create_counter(self, name: str, unit: str = "", description: str = "") -> Counter:
        """See ``opentelemetry.metrics.Meter``."""
        return self._meter.create_counter(name, unit, description)

    def create_up_down_counter(self, name: str, unit: str = "", description: str = "") -> UpDownCounter:
        """See ``opentelemetry.metrics.Meter``."""
        return self._meter.create_up_down_counter(name, unit, description)

    def create_histogram(self, name: str, unit: str = "", description: str = "", **advisory: Any) -> Histogram:
        """See ``opentelemetry.metrics.Meter``."""
        return self._meter.create_histogram(name, unit, description, **advisory)

    def create_gauge(self, name: str, unit: str = "", description: str = "") -> Gauge:
        """See ``opentelemetry.metrics.Meter``."""
        return self._meter.create_gauge(name, unit, description)

    def create_observable_counter(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> ObservableCounter:
        """See ``opentelemetry.metrics.Meter``."""
        return self._meter.create_observable_counter(name, self._relayed("counter", name, callbacks), unit, description)

    def create_observable_up_down_counter(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> ObservableUpDownCounter:
        """See ``opentelemetry.metrics.Meter``."""
        relayed = self._relayed("up_down_counter", name, callbacks)
        return self._meter.create_observable_up_down_counter(name, relayed, unit, description)

    def create_observable_gauge(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> ObservableGauge:
        """See ``opentelemetry.metrics.Meter``."""
        return self._meter.create_observable_gauge(name, self._relayed("gauge", name, callbacks), unit, description)

    def _relayed(self, kind: str, name: str, callbacks: Sequence[CallbackT] | None) -> list[CallbackT]:
        relay = self._known.setdefault((self._name, kind, name), _Relay())
        relay.callbacks = tuple(callback for callback in callbacks or () if callable(callback))
        self._mine.append((relay, relay.callbacks))
        return [relay]
