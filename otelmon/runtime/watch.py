"""Watch: one watching process, from its start until `stop`: a member of its service that evaluates or follows.

All processes of a service that share a state directory measure; one of them evaluates and pages over the counts of all
(a `Term`), the others leave theirs and are ready to take over. All threads are daemons: an app that is killed is not
held up by its monitor, and what they owe is in the state directory.
"""

from __future__ import annotations

import gc
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from otelmon.alerts.by_hand import ByHand
from otelmon.clock import Clock
from otelmon.collect.pipeline import Pipeline, open_pipeline
from otelmon.config.settings import Settings
from otelmon.errors import StateError
from otelmon.faults import Faults, logger
from otelmon.forks import FORKS
from otelmon.instrument.eventloop import EventLoopLag
from otelmon.instrument.exemplars import EXEMPLARS
from otelmon.instrument.host import HostSampler
from otelmon.instrument.portable import settle
from otelmon.instrument.recorder import RequestRecorder
from otelmon.instrument.requests import RequestMiddleware
from otelmon.instrument.sources import SOURCES
from otelmon.runtime.loading import LOADING
from otelmon.runtime.reload import RuleFiles
from otelmon.runtime.snapshot import Snapshot
from otelmon.runtime.ticks import Ticks
from otelmon.runtime.timekeeper import Timekeeper

if TYPE_CHECKING:
    from otelmon.config.client import ClientSettings
    from otelmon.incidents.model import Incident
    from otelmon.runtime.assemble import Assembly
    from otelmon.runtime.client import Client
    from otelmon.runtime.member import Member
    from otelmon.runtime.term import Term

_LEAST_TOLERANCE_SECONDS = 10.0
# To let files and connections go, also when the time of a stop is over.
_LEAST_CLOSE_SECONDS = 1.0
# How soon the process that evaluates is asked again, where it did not answer.
_ASK_AGAIN_SECONDS = 0.25
# How often in an interval a process that does not evaluate leaves its counts: that much later they may be seen.
_COUNTS_AN_INTERVAL = 3
# How long the evaluating process may take to answer for another one.
_ASK_SECONDS = 2.0


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
        ticks: Ticks,
        rule_files: RuleFiles | None = None,
        on_reload: Callable[[Settings], None] = lambda _: None,
        idle_seconds: float = 0.0,
        widen: Callable[[Member, Pipeline], Member] | None = None,
    ) -> None:
        """``idle_seconds`` is how long it measures before it does anything else.

        ``widen`` gives the member another source to collect from.
        """
        self._settings = settings
        self._rule_files = rule_files
        self._on_reload = on_reload
        self._pages = pages
        self._idle_seconds = idle_seconds
        self._widen = widen
        self._recorder = recorder
        self._clock = clock
        self._faults = faults
        self._interval_seconds = settings.interval_seconds
        tolerance = max(_LEAST_TOLERANCE_SECONDS, 2 * settings.interval_seconds)
        self._time = Timekeeper(clock, tolerance_seconds=tolerance)
        self._time_lock = threading.Lock()
        self._ticks = ticks
        ticks.begin()
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._ready = threading.Event()
        self._by_hand: deque[ByHand] = deque()
        self._assembly: Assembly | None = None
        self._term: Term | None = None
        self._member: Member | None = None
        self._client: Client | None = None
        self._to_send = threading.Event()
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
        """The vital signs now, of all processes; empty when no engine is there within the time given."""
        deadline = self._clock.monotonic() + wait_seconds
        self._ready.wait(wait_seconds)
        for _ in range(max(1, int(wait_seconds / _ASK_AGAIN_SECONDS))):
            assembly = self._assembly
            found = self._asked() if assembly is None else assembly.engine.snapshot(self._now())
            # Between two terms, or where the process that evaluates is busy, nobody answers for a moment.
            over = self._clock.monotonic() >= deadline
            if found is not None or over or self._stop.wait(_ASK_AGAIN_SECONDS):
                return found or Snapshot()
        return Snapshot()

    @property
    def incidents(self) -> Mapping[str, Incident]:
        """The open incidents, by their ids; none where another process evaluates."""
        assembly = self._assembly
        return {} if assembly is None else assembly.engine.incidents

    def stop(self, timeout_seconds: float) -> None:
        """End the threads; deliver what is due and export once more within the time given."""
        deadline = self._clock.monotonic() + timeout_seconds
        self._stop.set()
        self._wake.set()
        self._to_send.set()
        if self._term is not None:
            self._term.end()
        for lag in self._lags:
            lag.stop()
        for thread in self._threads:
            thread.join(max(0.0, deadline - self._clock.monotonic()))
        if self._term is not None:
            self._term.join(deadline)
        # In a thread, because a page that is begun in time may hang for longer than a stop may take.
        remaining = max(0.0, deadline - self._clock.monotonic())
        closing = threading.Thread(target=self._close, args=(remaining,), name="otelmon-stop", daemon=True)
        closing.start()
        closing.join(max(_LEAST_CLOSE_SECONDS, remaining))
        SOURCES.end()
        self._pipeline.close()
        if not any(thread.is_alive() for thread in self._threads):
            # All of it was left in the state directory; whoever watches next in this process begins at zero.
            self._recorder.forget()
            self._recorder.start_at = self._clock.now()

    def inherited(self) -> None:
        """This is a forked child, which has a watching of its own: measure nothing for the parent's."""
        self._guard("fork", self._pipeline.close)

    def _close(self, timeout_seconds: float) -> None:
        if self._assembly is not None and self._term is not None and not self._term.lost:
            self._guard("stop", partial(self._assembly.close, timeout_seconds))
        if self._member is not None:
            if self._client is not None:
                self._guard("stop", partial(self._client.say_farewell, self._member.collector.finest))
            self._guard("stop", self._member.close)

    def _asked(self) -> Snapshot | None:
        """The vital signs as the process that evaluates has them; None where it does not answer."""
        from otelmon.runtime.control import ask

        if self._member is None:
            return None
        try:
            said = ask(self._settings.state_dir, {"verb": "snapshot"}, timeout_seconds=_ASK_SECONDS)["snapshot"]
            return Snapshot(**{field.name: said.get(field.name) for field in fields(Snapshot)})
        except (StateError, AttributeError, KeyError):
            return None  # between two terms, or an evaluating process of another version

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
        if self._idle_seconds:
            self._clock.wait(self._stop, self._idle_seconds)
        try:
            LOADING.begin()
            # A child that is forked while a module is loaded would wait for ever to load it.
            with FORKS.whole():
                from otelmon.runtime.member import join

                member = join(
                    self._settings,
                    pipeline=self._pipeline,
                    recorder=self._recorder,
                    clock=self._clock,
                    faults=self._faults,
                )
            member = self._member = member if self._widen is None else self._widen(member, self._pipeline)
            if self._settings.client is not None:
                member = self._member = self._connected(member, self._settings.client)
            if member.export is not None:
                self._spawn("otelmon-export", partial(self._run_export, member))
            while self._is_evaluator(member):
                self._evaluate(member)
                if self._stop.is_set():
                    return
        except Exception as error:  # noqa: BLE001 (the app must serve on without us)
            self._faults.add("start", "otelmon could not start; the app runs without it", error)
            self._ready.set()
        finally:
            LOADING.end()

    def _connected(self, member: Member, server: ClientSettings) -> Member:
        """Send to a server, which pages as long as it answers."""
        from otelmon.runtime.client import Client, lookbacks
        from otelmon.runtime.hand_over import HandOver

        rules = self._rule_files
        hand_over = HandOver(
            server=server.url,
            interval_seconds=self._interval_seconds,
            lookbacks=lookbacks(lambda: self._settings if rules is None else rules.settings),
        )
        self._client = Client(self._settings, server, hand_over, clock=self._clock, faults=self._faults)
        self._spawn("otelmon-client", partial(self._run_client, self._client, member))
        return replace(member, mutes=hand_over)

    def _is_evaluator(self, member: Member) -> bool:
        """Leave the counts until this process is the one that evaluates; false where it is stopped before."""
        if member.lease is None or member.lease.take():
            return True
        LOADING.end()
        self._ready.set()
        if member.serves:
            logger.info("otelmon: another server evaluates on this state; this one waits, its OTLP ports closed")
        next_at = self._clock.monotonic()
        while not self._stop.is_set():
            remaining = next_at - self._clock.monotonic()
            if remaining <= 0:
                self._guard("collect", partial(self._leave, member))
                next_at = self._clock.monotonic() + self._interval_seconds / _COUNTS_AN_INTERVAL
            elif self._clock.wait(self._wake, min(member.lease.ask_seconds, remaining)):
                self._wake.clear()
            self._guard("process_alert", partial(self._hand_on, member))
            if not self._stop.is_set() and member.lease.take():
                logger.info("otelmon: this process of the service evaluates and pages from now on")
                return True
        # What was measured and put in since belongs to this run.
        self._guard("collect", partial(self._leave, member))
        self._guard("process_alert", partial(self._hand_on, member))
        return False

    def _evaluate(self, member: Member) -> None:
        """A term: evaluate and page until another process does or the app stops."""
        with FORKS.whole():
            from otelmon.runtime.assemble import assemble
            from otelmon.runtime.term import Term

        settings = self._renewed()
        term = self._term = Term(
            settings,
            lease=member.lease,
            wake=self._wake,
            now=self._now,
            clock=self._clock,
            faults=self._faults,
            ticks=self._ticks,
            pages=self._pages,
            meter=self._pipeline.meter,
            export=member.export,
            rule_files=self._rule_files,
            on_reload=self._on_reload,
        )
        try:
            assembly = assemble(
                settings,
                member,
                pages=self._pages,
                pipeline=self._pipeline,
                sample_host=self._sample_host,
                clock=self._clock,
                faults=self._faults,
                at=self._now(),
            )
        except BaseException:
            term.end()
            if member.lease is not None:
                member.lease.release()
            raise
        # Loading leaves so many new objects that Python would soon look through them all, in the middle of a request:
        # better now, while the app starts.
        gc.collect()
        LOADING.end()
        assembly.engine.by_hand = self._by_hand
        self._assembly = assembly
        self._ready.set()
        if self._stop.is_set():
            term.end()
        term.run(assembly)
        if term.lost:
            self._assembly = None
            # What still looks at the outbox must not find it closed.
            term.join(self._clock.monotonic() + _LEAST_CLOSE_SECONDS)
            self._guard("stop", partial(assembly.close, 0.0))
            member.end_term()

    def _renewed(self) -> Settings:
        """The settings with the rules as they are now: another process may have taken up others."""
        if self._rule_files is None:
            return self._settings
        before = self._rule_files.settings
        settings = self._rule_files.renewed()
        if settings is not before:
            self._on_reload(settings)
        return settings

    def _leave(self, member: Member) -> None:
        self._renewed()
        self._sample_host()
        member.collector.count(self._now())
        member.collector.leave()
        self._ticks.stand_by(self._now())

    def _hand_on(self, member: Member) -> None:
        """Let the process that evaluates handle what was put in here."""
        while self._by_hand and member.disk is not None:
            member.disk.ask(self._by_hand[0], datetime.fromtimestamp(self._now(), UTC))
            self._by_hand.popleft()

    def _sample_host(self) -> None:
        self._host.sample()
        SOURCES.sample()
        EXEMPLARS.turn(self._clock.now())
        for lag in self._lags:
            lag.sample()

    def _run_export(self, member: Member) -> None:
        if member.export is None:
            return
        while not self._clock.wait(self._stop, member.export.interval_seconds):
            latest = member.collector.latest
            if latest is not None:
                self._guard("export", partial(member.export.export, latest))

    def _run_client(self, client: Client, member: Member) -> None:
        with self._ticks.listening(lambda _: self._to_send.set()):
            while not self._stop.is_set():
                if self._clock.wait(self._to_send, self._interval_seconds):
                    self._to_send.clear()
                    self._guard("client", lambda: client.send(member.collector.finest))

    def _guard(self, kind: str, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 (the loop goes on)
            with suppress(Exception):
                self._faults.add(kind, f"{kind} failed", error)
