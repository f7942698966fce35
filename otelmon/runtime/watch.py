"""Watch: the threads of one watching process. The engine ticks in one, pages leave in another, OTLP in a third.

A slow network therefore delays no tick, and a slow OTLP backend no page. One asks health endpoints. One gathers
evidence for pages. Two more look at the rule files and answer `otelmon query`: neither a slow disk nor an impatient
person delays a tick. All are daemon threads: an app that is killed is not held up by its monitor, and what they owe is
in the state directory.
"""

from __future__ import annotations

import gc
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from otelmon.clock import Clock
from otelmon.collect.pipeline import open_pipeline
from otelmon.config.settings import Settings
from otelmon.faults import Faults
from otelmon.instrument.eventloop import EventLoopLag
from otelmon.instrument.exemplars import EXEMPLARS
from otelmon.instrument.host import HostSampler
from otelmon.instrument.portable import settle
from otelmon.instrument.recorder import RequestRecorder
from otelmon.instrument.requests import RequestMiddleware
from otelmon.instrument.sources import SOURCES
from otelmon.runtime.by_hand import ByHand
from otelmon.runtime.reload import Reloader, RuleFiles
from otelmon.runtime.snapshot import Snapshot
from otelmon.runtime.timekeeper import Timekeeper

if TYPE_CHECKING:
    from otelmon.runtime.assemble import Assembly
    from otelmon.runtime.control import ControlServer
    from otelmon.runtime.engine import Engine

# How soon an acknowledgement made by another process is seen.
_POLL_SECONDS = 1.0
# How often the outbox's depth is read for the metrics.
_LOOK_SECONDS = 5.0
_LEAST_TOLERANCE_SECONDS = 10.0
# To let files and connections go, also when the time of a stop is over.
_LEAST_CLOSE_SECONDS = 1.0
# How often the configuration and the rule files are looked at; a change counts once they were the same twice.
_FILES_SECONDS = 2.0


class Watch:
    """Measures, evaluates and pages from its creation until `stop`.

    Creating it opens the metrics pipeline and settles who counts requests, which takes milliseconds. What only the
    process that evaluates needs (numpy, SQLAlchemy, the HTTP client) is loaded in the engine's thread, so that it
    does not slow the app's start.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        pages: bool,
        recorder: RequestRecorder,
        middlewares: Sequence[RequestMiddleware],
        clock: Clock,
        faults: Faults,
        rule_files: RuleFiles | None = None,
        on_reload: Callable[[Settings], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._rule_files = rule_files
        self._on_reload = on_reload
        self._control: ControlServer | None = None
        self._pages = pages
        self._recorder = recorder
        self._clock = clock
        self._faults = faults
        self._interval_seconds = settings.interval_seconds
        tolerance = max(_LEAST_TOLERANCE_SECONDS, 2 * settings.interval_seconds)
        self._time = Timekeeper(clock, tolerance_seconds=tolerance)
        self._time_lock = threading.Lock()
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._deliver = threading.Event()
        self._ready = threading.Event()
        self._by_hand: deque[ByHand] = deque()
        self._assembly: Assembly | None = None
        self._threads: list[threading.Thread] = []
        self._pipeline = open_pipeline(
            service_name=settings.service, host=settings.instance, environment=settings.environment, faults=faults
        )
        self._settled: list[RequestMiddleware] = []
        self.add(middlewares)
        self._host = HostSampler(self._pipeline.meter, faults=faults)
        SOURCES.begin(self._pipeline.meter, faults, probes=settings.probes, redis=settings.redis)
        EXEMPLARS.keep_messages = settings.exception_messages
        self._lags = [
            EventLoopLag(self._pipeline.meter, middleware.lifecycle.loop)
            for middleware in middlewares
            if middleware.lifecycle.loop is not None
        ]
        for lag in self._lags:
            lag.start()
        self._spawn("otelmon-engine", self._run)
        self._spawn("otelmon-sources", partial(SOURCES.background.run, clock, self._stop))

    def add(self, middlewares: Sequence[RequestMiddleware]) -> None:
        """Settle who counts the requests of these apps, each once."""
        for middleware in middlewares:
            if middleware not in self._settled:
                self._settled.append(middleware)
                settle(middleware, self._pipeline.provider if self._pipeline.portable else None)

    def put(self, by_hand: ByHand) -> None:
        """Put a value through an alert, from any thread, without blocking; values wait for an engine still to come."""
        self._by_hand.append(by_hand)
        self._wake.set()

    def snapshot(self, *, wait_seconds: float) -> Snapshot:
        """The vital signs now; empty when the engine is not there within the time given."""
        self._ready.wait(wait_seconds)
        return Snapshot() if self._assembly is None else self._assembly.engine.snapshot(self._now())

    def stop(self, timeout_seconds: float) -> None:
        """End the threads; deliver what is due and export once more within the time given."""
        deadline = self._clock.monotonic() + timeout_seconds
        self._stop.set()
        self._wake.set()
        self._deliver.set()
        if self._control is not None:
            self._control.wake()
        if self._assembly is not None:
            self._assembly.gatherer.wake()
        for lag in self._lags:
            lag.stop()
        for thread in self._threads:
            thread.join(max(0.0, deadline - self._clock.monotonic()))
        if self._assembly is not None:
            remaining = max(0.0, deadline - self._clock.monotonic())
            close = partial(self._assembly.close, remaining)
            # In a thread, because a page that is begun in time may hang for longer than a stop may take.
            closing = threading.Thread(target=self._guard, args=("stop", close), name="otelmon-stop", daemon=True)
            closing.start()
            closing.join(max(_LEAST_CLOSE_SECONDS, remaining))
        SOURCES.end()
        self._pipeline.close()

    def _now(self) -> float:
        """The engine's time in unix seconds; a jump of the wall clock is handed to the engine."""
        with self._time_lock:
            reading = self._time.read()
            if reading.jumped_seconds and self._assembly is not None:
                self._assembly.engine.shift(reading.jumped_seconds)
            return reading.at

    def _spawn(self, name: str, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run(self) -> None:
        try:
            from otelmon.runtime.assemble import assemble

            assembly = assemble(
                self._settings,
                pages=self._pages,
                pipeline=self._pipeline,
                recorder=self._recorder,
                sample_host=self._sample_host,
                clock=self._clock,
                faults=self._faults,
                at=self._now(),
            )
        except Exception as error:  # noqa: BLE001 (the app must serve on without us)
            self._faults.add("start", "otelmon could not start; the app runs without it", error)
            self._ready.set()
            return
        # Loading leaves so many new objects that Python would soon look through them all, in the middle of a request:
        # better now, while the app starts.
        gc.collect()
        assembly.engine.by_hand = self._by_hand
        self._assembly = assembly
        self._ready.set()
        self._spawn("otelmon-delivery", partial(self._run_delivery, assembly))
        assembly.gatherer.on_found = self._wake.set
        self._spawn("otelmon-evidence", partial(assembly.gatherer.run, self._stop))
        if assembly.export is not None:
            self._spawn("otelmon-export", partial(self._run_export, assembly))
        self._spawn_control(assembly)
        self._run_ticks(assembly.engine)

    def _spawn_control(self, assembly: Assembly) -> None:
        """What people change and ask while the app runs: rule files, and the socket of `otelmon query`."""
        from otelmon.runtime.answers import Answers
        from otelmon.runtime.control import ControlServer

        engine, reloader = assembly.engine, None
        if self._rule_files is not None:

            def on_reload(settings: Settings) -> None:
                assembly.notes.reloaded(self._now())
                self._on_reload(settings)

            reloader = Reloader(self._rule_files, engine, now=self._now, on_reload=on_reload, faults=self._faults)
            self._spawn("otelmon-files", partial(self._run_files, reloader))
        answers = Answers(engine, reloader, now=self._now, monotonic=self._clock.monotonic, delivery=assembly.delivery)
        self._control = ControlServer(
            self._settings.state_dir, answers.answer, clock=self._clock, stop=self._stop, faults=self._faults
        )
        self._spawn("otelmon-control", self._control.run)

    def _run_files(self, reloader: Reloader) -> None:
        while not self._clock.wait(self._stop, _FILES_SECONDS):
            self._guard("reload", reloader.poll)

    def _sample_host(self) -> None:
        self._host.sample()
        SOURCES.sample()
        EXEMPLARS.turn(self._clock.now())
        for lag in self._lags:
            lag.sample()

    def _run_ticks(self, engine: Engine) -> None:
        next_at = self._clock.monotonic()
        while not self._stop.is_set():
            remaining = next_at - self._clock.monotonic()
            if remaining <= 0:
                self._guard("tick", lambda: engine.tick(self._now()))
                # A tick that took longer than the interval is followed by the next whole one, not by a burst.
                passed = self._clock.monotonic() - next_at
                next_at += self._interval_seconds * (1 + passed // self._interval_seconds)
                self._deliver.set()
            elif self._clock.wait(self._wake, min(_POLL_SECONDS, remaining)):
                self._wake.clear()
            self._guard("requests", lambda: self._take_requests(engine))
        # What was measured since the last tick, and values put in just now, belong to this run.
        self._guard("requests", lambda: self._take_requests(engine))
        self._guard("tick", lambda: engine.tick(self._now()))

    def _take_requests(self, engine: Engine) -> None:
        if engine.take_requests(self._now()):
            self._deliver.set()

    def _run_delivery(self, assembly: Assembly) -> None:
        look_at = self._clock.monotonic()
        while not self._stop.is_set():
            self._clock.wait(self._deliver, _POLL_SECONDS)
            self._deliver.clear()
            for worker in assembly.workers:
                at = datetime.fromtimestamp(self._now(), UTC)
                self._guard("delivery", partial(worker.deliver_due, at, stop=self._stop))
            if self._clock.monotonic() >= look_at:
                look_at = self._clock.monotonic() + _LOOK_SECONDS
                self._guard("delivery", partial(assembly.delivery.look, datetime.fromtimestamp(self._now(), UTC)))

    def _run_export(self, assembly: Assembly) -> None:
        if assembly.export is None:
            return
        while not self._clock.wait(self._stop, assembly.export.interval_seconds):
            latest = assembly.engine.collector.latest
            if latest is not None:
                self._guard("export", partial(assembly.export.export, latest))

    def _guard(self, kind: str, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 (the loop goes on)
            with suppress(Exception):
                self._faults.add(kind, f"{kind} failed", error)
