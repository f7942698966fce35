"""Ingest: what many clients send by OTLP, drained by the engine as samples."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from otelmon.collect.names import Kind, label_set, metric_name
from otelmon.faults import Faults
from otelmon.labels import METRIC_NAME, Labels
from otelmon.sample import Sample

FAREWELL = "otelmon_running"
"""A gauge of a client: 1 while it runs, 0 in what it sends last when it is stopped by intent."""


class MalformedError(ValueError):
    """A request that is not what OTLP says; the message says what is wrong and holds nothing of the content."""


class OverloadedError(Exception):
    """More is waiting for the engine than may; the client should send the same again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of a request: data points taken and rejected, and why (OTLP: ExportMetricsPartialSuccess)."""

    points: int
    rejected: int = 0
    message: str = ""


class Attendance(Protocol):
    """Who wants to know which instances send; called from the threads that take."""

    def heard(self, job: str, instance: str, *, at: float, newest_at: float | None = None) -> None:
        """A request of this instance came at ``at``; ``newest_at`` is the time of its newest point."""

    def left(self, job: str, instance: str) -> None:
        """This instance said farewell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestLimits:
    """Bounds of what is kept of clients, each there so that one client cannot take the server from the others."""

    series: int = 200_000
    """Series of all clients together."""
    series_per_sender: int = 50_000
    """Series of one resource."""
    attributes: int = 128
    """Attributes of a data point, and of a resource."""
    senders: int = 10_000
    """Resources; beyond them the one not heard of for longest is forgotten."""
    late_seconds: float = 600.0
    """A point that was measured longer ago is rejected."""
    ahead_seconds: float = 30.0
    """A point from further in the future is taken for one of now: its sender's clock is wrong."""
    waiting: int = 2_000_000
    """Samples that wait for the engine; beyond them requests are refused until it has collected."""
    forget_seconds: float = 3600.0
    """A series that was not sent for so long is a new one when it comes back."""


class Ingest:
    """Takes requests from any thread and gives the engine samples with the names that the in-process reader gives."""

    def __init__(
        self,
        *,
        faults: Faults | None = None,
        limits: IngestLimits | None = None,
        attendance: Attendance | None = None,
    ) -> None:
        self.faults = faults if faults is not None else Faults()
        self.overflowed = 0
        self._limits = limits or IngestLimits()
        self._attendance = attendance
        self._lock = threading.Lock()
        self._waiting: list[Sample] = []

    def take(self, request: bytes, *, at: float, tenant: str = "") -> Taken:
        """Take an ExportMetricsServiceRequest that came at ``at`` (unix seconds).

        ``tenant`` becomes a label of every series, unless empty. Raises MalformedError, and OverloadedError.
        """
        try:
            message = ExportMetricsServiceRequest.FromString(request)
        except DecodeError as error:
            raise MalformedError("no ExportMetricsServiceRequest") from error
        samples: list[Sample] = []
        for resource in message.resource_metrics:
            known = {each.key: each.value.string_value for each in resource.resource.attributes}
            job, instance = known.get("service.name", ""), known.get("service.instance.id", "")
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    name = metric_name(metric.name, metric.unit, Kind.COUNTER)
                    for point in metric.sum.data_points:
                        own = label_set({each.key: each.value.string_value for each in point.attributes})
                        identity = {"job": job, "instance": instance, "tenant": tenant, METRIC_NAME: name}
                        value = float(point.as_int) if point.HasField("as_int") else point.as_double
                        start = point.start_time_unix_nano / 1e9 or None
                        labels, stamp = Labels({**own, **identity}), point.time_unix_nano / 1e9
                        samples.append(Sample(labels=labels, at=stamp, value=value, start_at=start))
            if self._attendance is not None:
                self._attendance.heard(job, instance, at=at, newest_at=max((each.at for each in samples), default=None))
        with self._lock:
            self._waiting += samples
        return Taken(points=len(samples))

    def take_json(self, request: bytes, *, at: float, tenant: str = "") -> Taken:  # noqa: ARG002
        """The same for OTLP/JSON."""
        raise MalformedError("JSON is not read yet")

    def collect(self, at: float) -> Sequence[Sample]:  # noqa: ARG002
        """What came since the last call, each sample stamped with its own time. Never raises."""
        with self._lock:
            samples, self._waiting = self._waiting, []
        return samples

    def resume(self, known: Collection[Labels], at: float) -> None:
        """Go on where an earlier process stopped: clients count on where they were, so nothing is to be done."""

    def shift(self, seconds: float) -> None:
        """The wall clock jumped by so much."""
