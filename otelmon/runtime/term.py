"""Term: as long as this process evaluates and pages: the engine's loop, and the threads around it.

The engine ticks in the thread that calls `run`, pages leave in another: a slow network delays no tick. One gathers
evidence for pages. Two more look at the rule files and answer `otelmon query`: neither a slow disk nor an impatient
person delays one either. Where
processes share the state, one more renews the lease; a term that is lost ends, and writes and sends nothing any more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

from otelmon.clock import Clock
from otelmon.collect.export import OtlpExport
from otelmon.collect.meter import OwnMeter
from otelmon.config.settings import Settings
from otelmon.errors import LostLeaseError
from otelmon.faults import Faults, logger
from otelmon.instrument.own_calls import leave_out_calls
from otelmon.runtime.answers import Answers
from otelmon.runtime.assemble import Assembly
from otelmon.runtime.control import ControlServer
from otelmon.runtime.engine import Engine
from otelmon.runtime.evidence import Gatherer
from otelmon.runtime.heartbeat import Heartbeat
from otelmon.runtime.lease import Lease
from otelmon.runtime.reload import Reloader, RuleFiles
from otelmon.runtime.ticks import Ticks
from otelmon.runtime.vitals import Vitals

# How soon an acknowledgement made by another process is seen.
_POLL_SECONDS = 1.0
# How often the outbox's depth is read for the metrics.
_LOOK_SECONDS = 5.0
# How often the configuration and the rule files are looked at; a change counts once they were the same twice.
_FILES_SECONDS = 2.0
# An engine that has done nothing for so many intervals, and so many seconds, hangs: its lease is left to end.
_HUNG_INTERVALS = 4.0
_HUNG_SECONDS = 60.0


class Term:
    """Evaluates until it is ended or another process has taken over; ``over`` is set then, for good."""

    def __init__(
        self,
        settings: Settings,
        *,
        lease: Lease | None,
        wake: threading.Event,
        now: Callable[[], float],
        clock: Clock,
        faults: Faults,
        ticks: Ticks,
        pages: bool,
        meter: OwnMeter,
        export: OtlpExport | None,
        rule_files: RuleFiles | None,
        on_reload: Callable[[Settings], None],
    ) -> None:
        """``wake`` is set by whoever puts something in for the engine; ``now`` is its time in unix seconds."""
        self.over = threading.Event()
        self._settings = settings
        self._lease = lease
        self._wake = wake
        self._now = now
        self._clock = clock
        self._faults = faults
        self._ticks = ticks
        self._pages = pages
        self._meter = meter
        self._export = export
        self._rule_files = rule_files
        self._on_reload = on_reload
        self._interval_seconds = settings.interval_seconds
        self._hung_seconds = max(_HUNG_SECONDS, _HUNG_INTERVALS * settings.interval_seconds)
        self._deliver = threading.Event()
        self._control: ControlServer | None = None
        self._gatherer: Gatherer | None = None
        self._threads: list[threading.Thread] = []
        self._alive_at = clock.monotonic()
        if lease is not None:
            # From the first, because loading and restoring may take longer than a lease.
            self._spawn("otelmon-lease", partial(self._run_lease, lease))

    @property
    def lost(self) -> bool:
        """Whether another process has taken over."""
        return self._lease is not None and not self._lease.held

    def run(self, assembly: Assembly) -> None:
        """Evaluate with this; returns once the term is over."""
        if self._lease is not None and not self._lease.renew():
            self._lose()  # restoring took longer than the lease
            return
        self._ticks.begin()
        self._spawn("otelmon-delivery", partial(self._run_delivery, assembly))
        self._gatherer = assembly.gatherer
        assembly.gatherer.on_found = self._wake.set
        self._spawn("otelmon-evidence", partial(assembly.gatherer.run, self.over))
        self._spawn_control(assembly)
        self._run_ticks(assembly.engine)
        self.end()

    def end(self) -> None:
        """End it soon; from any thread."""
        self.over.set()
        self._wake.set()
        self._deliver.set()
        if self._control is not None:
            self._control.wake()
        if self._gatherer is not None:
            self._gatherer.wake()

    def join(self, deadline: float) -> None:
        """Wait for the threads of a term that was ended, until ``deadline`` (monotonic seconds)."""
        for thread in self._threads:
            thread.join(max(0.0, deadline - self._clock.monotonic()))

    def _spawn(self, name: str, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _spawn_control(self, assembly: Assembly) -> None:
        """What people change and ask while the app runs: rule files, and the socket of `otelmon query`."""
        engine, reloader = assembly.engine, None
        if self._rule_files is not None:

            def on_reload(settings: Settings) -> None:
                assembly.notes.reloaded(self._now())
                self._on_reload(settings)

            reloader = Reloader(self._rule_files, engine, now=self._now, on_reload=on_reload, faults=self._faults)
            self._spawn("otelmon-files", partial(self._run_files, reloader))
        vitals = Vitals(
            self._settings,
            engine,
            self._ticks,
            self._faults,
            pages=self._pages,
            export=self._export,
            heartbeat=self._heartbeat(),
        )
        vitals.measure(self._meter)
        answers = Answers(
            engine,
            reloader,
            now=self._now,
            monotonic=self._clock.monotonic,
            delivery=assembly.delivery,
            vitals=vitals,
        )
        self._control = ControlServer(
            self._settings.state_dir, answers.answer, clock=self._clock, stop=self.over, faults=self._faults
        )
        self._spawn("otelmon-control", self._control.run)

    def _heartbeat(self) -> Heartbeat | None:
        """The heartbeat, beating; only where this process pages: a developer's must not keep production's quiet."""
        url = self._settings.heartbeat_url
        if url is None or not self._pages:
            return None
        heartbeat = Heartbeat(
            url,
            service=self._settings.service,
            every_seconds=self._settings.heartbeat_seconds,
            monotonic=self._clock.monotonic,
            faults=self._faults,
        )
        self._ticks.follow(heartbeat.ticked)
        return heartbeat

    def _run_lease(self, lease: Lease) -> None:
        while not self._clock.wait(self.over, lease.renew_seconds):
            if self._clock.monotonic() - self._alive_at < self._hung_seconds and not lease.renew():
                self._lose()

    def _run_files(self, reloader: Reloader) -> None:
        while not self._clock.wait(self.over, _FILES_SECONDS):
            self._guard("reload", reloader.poll)

    def _run_ticks(self, engine: Engine) -> None:
        next_at = self._clock.monotonic()
        while not self.over.is_set():
            self._alive_at = self._clock.monotonic()
            remaining = next_at - self._alive_at
            if remaining <= 0:
                self._guard("tick", lambda: self._ticks.run(engine, self._now()))
                # A tick that took longer than the interval is followed by the next whole one, not by a burst.
                passed = self._clock.monotonic() - next_at
                next_at += self._interval_seconds * (1 + passed // self._interval_seconds)
                self._deliver.set()
            elif self._clock.wait(self._wake, min(_POLL_SECONDS, engine.look_seconds, remaining)):
                self._wake.clear()
            self._guard("requests", lambda: self._take_requests(engine))
        if not self.lost:
            # What was measured since the last tick, and values put in just now, belong to this run.
            self._guard("requests", lambda: self._take_requests(engine))
            self._guard("tick", lambda: self._ticks.run(engine, self._now()))

    def _take_requests(self, engine: Engine) -> None:
        if engine.take_requests(self._now()):
            self._deliver.set()

    def _run_delivery(self, assembly: Assembly) -> None:
        leave_out_calls()
        look_at = self._clock.monotonic()
        while not self.over.is_set():
            self._clock.wait(self._deliver, _POLL_SECONDS)
            self._deliver.clear()
            for worker in assembly.workers:
                at = datetime.fromtimestamp(self._now(), UTC)
                self._guard("delivery", partial(worker.deliver_due, at, stop=self.over))
            if self._clock.monotonic() >= look_at and not self.over.is_set():
                look_at = self._clock.monotonic() + _LOOK_SECONDS
                self._guard("delivery", partial(assembly.delivery.look, datetime.fromtimestamp(self._now(), UTC)))

    def _lose(self) -> None:
        if self._lease is not None and not self.over.is_set():
            self._lease.held = False
            logger.warning("otelmon: another process of this service evaluates and pages by now")
        self.end()

    def _guard(self, kind: str, action: Callable[[], object]) -> None:
        try:
            action()
        except LostLeaseError:
            self._lose()
        except Exception as error:  # noqa: BLE001 (the loop goes on)
            with suppress(Exception):
                self._faults.add(kind, f"{kind} failed", error)
