"""Forwarder: everything that comes in, on its way to every target."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from otelmon.clock import Clock, SystemClock
from otelmon.collect.otlp import GRPC, Signal
from otelmon.config.forward import ForwardSettings
from otelmon.faults import Faults
from otelmon.server.forward.answers import Sender
from otelmon.server.forward.buffer import Buffer
from otelmon.server.forward.lane import Counts, Lane, Tempo

FOLDER = "forward"
"""Where queues are kept, in the state directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetStatus:
    """How one signal fares with one target. ``sent`` and ``dropped`` count requests, ``rejected`` what is in them."""

    target: str
    signal: Signal
    waiting: int
    queue_bytes: int
    sent: int
    retries: int
    rejected: int
    dropped: int


class Forwarder:
    """Takes serialised requests from any thread and sends them on; one lane for each target and signal.

    `put` writes to the queues on disk and returns. What waits when the process ends is sent by the next one.
    """

    def __init__(
        self,
        targets: Sequence[ForwardSettings],
        *,
        directory: Path,
        faults: Faults,
        clock: Clock | None = None,
        tempo: Tempo | None = None,
    ) -> None:
        """Open the queues below ``directory``, a state directory; what cannot be opened is kept in memory meanwhile."""
        self._tempo = tempo or Tempo()
        self._clock = clock or SystemClock()
        self._faults = faults
        self._lanes = [(target, lane) for target in targets for lane in self._lanes_of(target, directory / FOLDER)]

    def put(self, signal: Signal, body: bytes) -> None:
        """Send a serialised Export...ServiceRequest on to every target that takes the signal. Never raises."""
        for _, lane in self._lanes:
            if lane.signal is signal and body:
                lane.buffer.put(body)

    def run(self, stop: threading.Event) -> None:
        """Send until ``stop``, then what can be sent within some seconds; close the queues."""
        threads = [
            threading.Thread(target=lane.run, args=(stop,), name="otelmon-forward", daemon=True)
            for _, lane in self._lanes
        ]
        for thread in threads:
            thread.start()
        while not self._clock.wait(stop, self._tempo.sync_seconds):
            for _, lane in self._lanes:
                lane.buffer.tend()
        for _, lane in self._lanes:
            lane.buffer.arrived.set()
        deadline = self._clock.monotonic() + self._tempo.drain_seconds
        for thread in threads:
            thread.join(max(0.0, deadline - self._clock.monotonic()))
        for _, lane in self._lanes:
            lane.buffer.close()

    def status(self) -> Sequence[TargetStatus]:
        """How each target fares with each signal, in the order of the configuration."""
        return [
            TargetStatus(
                target=target.name,
                signal=lane.signal,
                waiting=lane.buffer.waiting,
                queue_bytes=lane.buffer.size_bytes,
                sent=lane.counts.sent,
                retries=lane.counts.retries,
                rejected=lane.counts.rejected,
                dropped=lane.counts.dropped.total(),
            )
            for target, lane in self._lanes
        ]

    def measure(self, meter: Meter) -> None:
        """Count what becomes of requests, as metrics."""
        counter = meter.create_observable_counter
        counter("otelmon.forward.sent", [self._observed("sent")], "{request}", "Requests that a target has taken")
        counter("otelmon.forward.retries", [self._observed("retries")], "{attempt}", "Requests sent once more")
        counter(
            "otelmon.forward.rejected",
            [self._observed("rejected")],
            "{item}",
            "Points, spans and records that a target left out of a request that it took",
        )
        counter("otelmon.forward.dropped", [self._observed_drops], "{request}", "Requests lost on the way, and why")
        gauge = meter.create_observable_gauge
        gauge("otelmon.forward.queue.size", [self._observed("queue_bytes")], "By", "What waits in a queue, on disk")
        gauge("otelmon.forward.queue.limit", [self._observed_limits], "By", "What a queue has room for")

    def _lanes_of(self, target: ForwardSettings, directory: Path) -> Iterator[Lane]:
        words = f"{target.name} ({target.place})"
        for signal in target.signals:
            counts = Counts(signal, words, self._faults)
            buffer = Buffer(
                directory / target.name / signal.lower(),
                name=f"{signal.lower()} for {words}",
                size_bytes=target.queue_bytes,
                on_dropped=counts.drop,
                monotonic=self._clock.monotonic,
                faults=self._faults,
            )
            yield Lane(
                signal,
                buffer,
                _sender(target),
                counts=counts,
                target=words,
                timeout_seconds=target.timeout_seconds,
                tempo=self._tempo,
                faults=self._faults,
            )

    def _observed(self, field: str) -> _Callback:
        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            return [Observation(getattr(each, field), _attributes(each.target, each.signal)) for each in self.status()]

        return observe

    def _observed_drops(self, _options: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(count, {**_attributes(target.name, lane.signal), "error.type": reason})
            for target, lane in self._lanes
            for reason, count in list(lane.counts.dropped.items())
        ]

    def _observed_limits(self, _options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(target.queue_bytes, _attributes(target.name, lane.signal)) for target, lane in self._lanes]


_Callback = Callable[[CallbackOptions], Iterable[Observation]]


def _attributes(target: str, signal: Signal) -> dict[str, str]:
    return {"otelmon.forward.target": target, "otelmon.forward.signal": signal.lower()}


def _sender(target: ForwardSettings) -> Sender:
    if target.protocol == GRPC:
        from otelmon.server.forward.grpc import GrpcSender

        return GrpcSender(target)
    from otelmon.server.forward.http import HttpSender

    return HttpSender(target)
