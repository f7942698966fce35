"""Serve: what `otelmon serve` runs. One monitor whose engine collects what a fleet of clients sends by OTLP.

It listens once it evaluates, and only as long: a second server on the same state waits for the lease with its ports
closed, and takes over when the first one ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from google.protobuf.message import DecodeError

from otelmon.clock import Clock
from otelmon.collect.export import OtlpExport
from otelmon.collect.ingest import Ingest
from otelmon.collect.limits import IngestLimits, MalformedError, Taken
from otelmon.collect.log_export import LogExport
from otelmon.collect.otlp import Signal
from otelmon.collect.pipeline import Pipeline, own_version
from otelmon.collect.presences import Presences
from otelmon.config.serve import Listen
from otelmon.config.settings import Settings
from otelmon.errors import OtelmonError
from otelmon.faults import logger
from otelmon.incidents.model import Incident
from otelmon.instrument.lifecycle import ASGIApp
from otelmon.labels import Labels
from otelmon.runtime.fleet import Fleet
from otelmon.runtime.hand_over import Claims
from otelmon.runtime.lookout import Lookout
from otelmon.runtime.member import Member
from otelmon.runtime.monitor import Monitor
from otelmon.runtime.pages import own_pages
from otelmon.runtime.startup import startup_line, startup_warnings
from otelmon.runtime.switch import PagingDecision
from otelmon.sample import Sample
from otelmon.server.arrivals import Arrived, ReceiverSettings, Sink, TlsFiles
from otelmon.server.exposition import exposition
from otelmon.server.forward.forwarder import Forwarder
from otelmon.server.forward.json_body import protobuf_of
from otelmon.server.forward.messages import checked
from otelmon.server.forward.own import ForwardedLogs, ForwardedMetrics
from otelmon.server.front import Figures, Listener, front
from otelmon.server.paged import told
from otelmon.server.process.process import Process
from otelmon.server.receiver import Receiver
from otelmon.tenants import TENANT

_LOOK_SECONDS = 0.1
_DRAIN_SECONDS = 5.0
# Labels of what is measured of one tenant: of who sends, and of the states of alerts.
_OF_TENANTS = (TENANT, f"otelmon_alert_label_{TENANT}")
# More than the forwarder takes for what it still sends.
_FORWARD_SECONDS = 30.0


class NotStartedError(OtelmonError):
    """The server cannot run; the reason has been logged."""


def _listening(app: ASGIApp, public: Listen) -> Listener:
    """The public port, bound. Raises OSError where that cannot be done, with what to write."""
    try:
        return Listener(app, host=public.host, port=public.port)
    except OSError as error:
        where = f"health, metrics and pages at {public.host}:{public.port}"
        hint = "if another server runs here, write serve: {public: HOST:PORT} with a port of its own, or public: off"
        raise OSError(f"{where}: {error.strerror or error}; {hint}") from error


class Server:
    """Listens, evaluates and pages from `run`'s start until ``stop`` is set."""

    def __init__(
        self, settings: Settings, paging: PagingDecision, *, load: Callable[[], Settings], clock: Clock
    ) -> None:
        """Binds the public port. Raises OSError where it is taken, ConfigError for what is missing."""
        serve = settings.serve
        self._settings = settings
        self._paging = paging
        self._clock = clock
        self._draining = False
        self._fleet: Fleet | None = None
        self._receiver: Receiver | None = None
        self._monitor = Monitor(settings, paging, clock=clock, load=load, widen=self._widened)
        self._faults = self._monitor.faults
        self._presence = Presences(
            interval_seconds=settings.interval_seconds,
            forget_seconds=serve.forget_seconds,
            tenants=serve.tenants,
        )
        limits = _limits(settings)
        self._ingest = Ingest(faults=self._faults, limits=limits, attendance=self._presence)
        self._process = Process(settings.process, faults=self._faults)
        self._forwarder = Forwarder(settings.forward, directory=settings.state_dir, faults=self._faults, clock=clock)
        self._stop_forwarding = threading.Event()
        self._forwarding = threading.Thread(
            target=self._forwarder.run, args=(self._stop_forwarding,), name="otelmon-forward", daemon=True
        )
        figures = Figures(healthy=self._unhealthy, ready=self._unready, metrics=self._metrics)
        pages = own_pages(settings, clock, self._faults, of_others=True) if paging.on else None
        public = serve.public
        self._front = None if public is None else _listening(front(figures, pages), public)

    def run(self, stop: threading.Event) -> None:
        """Serve until ``stop`` is set; then take what has come, evaluate it, deliver what is due. May be called once.

        Raises NotStartedError where the engine cannot start, OSError where a port is taken.
        """
        self._say()
        try:
            if self._front is not None:
                self._front.start()
            self._forwarding.start()
            self._monitor.run()
            while not stop.wait(_LOOK_SECONDS):
                if self._faults.counts["start"]:
                    raise NotStartedError("otelmon serve could not start; the reason is in the log")
                self._listen_while_evaluating()
        finally:
            self._draining = True
            self._stop_listening()
            self._monitor.stop()
            self._stop_forwarding.set()
            self._forwarding.join(_FORWARD_SECONDS)
            if self._front is not None:
                self._front.stop()
        logger.info("otelmon: stopped; what was due is delivered")

    def _widened(self, member: Member, pipeline: Pipeline) -> Member:
        """The process that evaluates collects what all send."""
        own = member.collector
        self._fleet = Fleet(
            own,
            self._ingest,
            self._presence,
            state_dir=self._settings.state_dir,
            faults=self._faults,
        )
        self._forwarder.measure(pipeline.meter)
        self._process.measure(pipeline.meter)
        lookout = Lookout(self._presence, self._fleet.senders, interval_seconds=self._settings.interval_seconds)
        claims = Claims(self._presence, self._settings.serve.tenants)
        member = replace(member, collector=self._fleet, serves=True, mutes=claims, lookout=lookout)
        return self._telling(member, pipeline) if self._settings.forward else member

    def _telling(self, member: Member, pipeline: Pipeline) -> Member:
        """What the server itself measures and tells goes where everything else goes."""
        metrics = OtlpExport(
            ForwardedMetrics(self._forwarder),
            target="forward",
            interval_seconds=self._settings.interval_seconds,
            faults=self._faults,
        )
        logs = LogExport(
            ForwardedLogs(self._forwarder),
            target="forward",
            resource=pipeline.resource,
            version=own_version(),
            faults=self._faults,
        )
        return replace(member, export=metrics, log_export=logs)

    def _open_incidents(self) -> Iterable[Incident]:
        return self._monitor.incidents.values()

    def _unable(self) -> str:
        """Why clients have to page for themselves; "" where they need not."""
        return self._unready() if self._paging.on else "it pages nobody (paging is off)"

    def _listen_while_evaluating(self) -> None:
        evaluates = self._fleet is not None and self._fleet.collects
        if evaluates and self._receiver is None:
            sinks: dict[Signal, Sink] = {Signal.METRICS: self._take}
            forwarded = {signal for target in self._settings.forward for signal in target.signals}
            sinks |= {signal: partial(self._pass_on, signal) for signal in forwarded - {Signal.METRICS}}
            asked = told(self._open_incidents, self._unable)
            receiver = Receiver(_receiver_settings(self._settings), sinks, faults=self._faults, told=asked)
            receiver.start()
            self._receiver = receiver
            ports = {"http": receiver.http_port, "grpc": receiver.grpc_port}
            said = ", ".join(f"{name} on port {port}" for name, port in ports.items() if port is not None)
            logger.info("otelmon: taking OTLP by %s at %s", said, self._settings.serve.host)
        elif not evaluates:
            self._stop_listening()

    def _stop_listening(self) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.stop(_DRAIN_SECONDS)

    def _take(self, arrived: Arrived) -> Taken:
        """Metrics: evaluated, then sent on; what is refused here is the client's to send again, so it goes nowhere."""
        at = self._clock.now()
        if arrived.json and not self._settings.forward and not self._settings.process.steps:
            return self._ingest.take_json(arrived.body, at=at, tenant=arrived.tenant)
        body = protobuf_of(Signal.METRICS, arrived.body) if arrived.json else arrived.body
        try:
            body = self._process.take(body, at)
        except DecodeError as error:
            raise MalformedError("no ExportMetricsServiceRequest") from error
        taken = self._ingest.take(body, at=at, tenant=arrived.tenant)
        self._forwarder.put(Signal.METRICS, body)
        return taken

    def _pass_on(self, signal: Signal, arrived: Arrived) -> Taken:
        """Traces and logs: sent on as they are, in one request with those of others, so they have to be whole."""
        body = protobuf_of(signal, arrived.body) if arrived.json else checked(signal, arrived.body)
        self._forwarder.put(signal, body)
        return Taken(points=0)

    def _unhealthy(self) -> str:
        ticks = self._monitor.ticks
        if ticks.patience_seconds < 0:
            return "ticks are late: none has ended for two intervals"
        return "" if ticks.last is None or ticks.last.flaw is None else ticks.last.flaw.words

    def _unready(self) -> str:
        if self._draining:
            return "it stops"
        if self._receiver is None:
            return "it does not evaluate yet"
        return self._unhealthy()

    def _metrics(self) -> str:
        settings, fleet = self._settings, self._fleet
        own = Labels({"job": settings.service, "instance": settings.instance})
        measured: Iterable[Sample] = () if fleet is None else fleet.measured
        if settings.serve.tenants.several:  # nobody is asked for a token here
            measured = (sample for sample in measured if not any(name in sample.labels for name in _OF_TENANTS))
        return exposition(measured, without=own)

    def _say(self) -> None:
        settings = self._settings
        logger.info("otelmon: %s", startup_line(settings, self._paging))
        mounts = Path("/proc/mounts")
        text = mounts.read_text(encoding="utf-8", errors="replace") if mounts.exists() else ""
        for warning in startup_warnings(settings, self._paging, mounts=text, server=True):
            logger.warning("otelmon: %s", warning)
        if self._front is not None and settings.serve.public is not None:
            host = settings.serve.public.host
            logger.info("otelmon: health, metrics and pages at http://%s:%d", host, self._front.port)


def _limits(settings: Settings) -> IngestLimits:
    serve, most = settings.serve, settings.max_series
    return IngestLimits(
        series=most,
        series_per_sender=max(1, int(most * serve.share / 2)) if serve.share < 1 else most,
        share=serve.share,
        # Whoever is let in by the only token there is has no other beside them.
        tenant_share=serve.share if len(serve.tokens) > 1 else 1.0,
    )


def _receiver_settings(settings: Settings) -> ReceiverSettings:
    serve, tls = settings.serve, settings.serve.tls
    found = ReceiverSettings(
        host=serve.host,
        http_port=serve.http_port,
        grpc_port=serve.grpc_port,
        tokens={token.get_secret_value(): whose for whose, token in serve.tokens.items()},
        tls=None if tls is None else TlsFiles(certificate=tls.certificate, key=tls.key, client_ca=tls.client_ca),
    )
    if serve.max_body_bytes is None:
        return found
    return replace(found, most_decompressed=serve.max_body_bytes, most_body=serve.max_body_bytes)
