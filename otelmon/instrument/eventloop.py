"""EventLoopLag: how late the application's event loop is with what it was to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, Meter, Observation


class EventLoopLag:
    """The worst lag of one asyncio loop, in seconds, as the gauge ``otelmon.event_loop.lag``.

    A timer of ``period_seconds`` runs on the loop; its lateness is the lag. Create it for the loop that serves the
    app (`Lifecycle.loop`), call `start` and `stop` from any thread, and `sample` just before each collection: the
    gauge then shows the worst since the last sample, also while the loop is blocked at this moment.
    """

    def __init__(self, meter: Meter, loop: asyncio.AbstractEventLoop, *, period_seconds: float = 0.25) -> None:
        self._loop = loop
        self._period = period_seconds
        self._due: float | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._worst = 0.0
        self._last: float | None = None
        meter.create_observable_gauge(
            "otelmon.event_loop.lag",
            callbacks=[self._observe],
            unit="s",
            description="Worst lateness of the application's event loop since the last collection.",
        )

    def start(self) -> None:
        """Begin to measure; a closed loop is left alone."""
        self._call_on_loop(self._arm)

    def stop(self) -> None:
        """Cease to measure; the gauge has no value from now on."""
        self._last = None
        self._call_on_loop(self._disarm)

    def sample(self) -> float | None:
        """The worst lag since the last sample, in seconds; None while the loop is not measured. Any thread."""
        due = self._due
        if due is None or not self._loop.is_running():
            self._last = None
            return None
        worst, self._worst = self._worst, 0.0
        self._last = max(worst, self._loop.time() - due, 0.0)
        return self._last

    def _observe(self, _: CallbackOptions) -> Iterable[Observation]:
        return [] if self._last is None else [Observation(self._last)]

    def _call_on_loop(self, call: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            self._due = None  # the loop is closed: nothing runs on it any more

    def _arm(self) -> None:
        if self._handle is None:
            self._next()

    def _next(self) -> None:
        self._due = self._loop.time() + self._period
        self._handle = self._loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        if self._due is not None:
            self._worst = max(self._worst, self._loop.time() - self._due)
            self._next()

    def _disarm(self) -> None:
        self._due = None
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
