"""Ingest: what many clients send by OTLP, drained by the engine as samples.

    take       bytes -> points of series (wire, otlp_json) -> order, starts, deltas (arriving)
    collect    the samples that came since, each at the time that its sender gave it

The names are those that the in-process reader gives (names, translate), so that a rule means the same here and there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from otelmon.collect.arriving import Arriving
from otelmon.collect.batch import TOO_MANY_OF_ONE, TOO_MANY_SERIES, TWO_KINDS, Batch
from otelmon.collect.limits import IngestLimits, OverloadedError, Taken
from otelmon.collect.otlp_json import JsonReader
from otelmon.collect.points import SECOND
from otelmon.collect.senders import Sender, Senders
from otelmon.collect.wire import WireReader
from otelmon.faults import Faults
from otelmon.labels import Labels
from otelmon.sample import Sample
from otelmon.tenants import TENANT

_SWEEPS = 16


class Attendance(Protocol):
    """Who wants to know which instances send; told by the threads that take."""

    def heard(
        self,
        job: str,
        instance: str,
        *,
        at: float,
        newest_at: float | None = None,
        interval_seconds: float | None = None,
        tenant: str = "",
    ) -> None:
        """A request of this instance came at ``at``; ``newest_at`` is the time of its newest point, if it has one.

        ``interval_seconds`` is how often it sends, where it says so.
        """

    def left(self, job: str, instance: str, *, tenant: str = "") -> None:
        """This instance said farewell: it was stopped by intent."""


class Ingest:
    """Takes requests from any thread and gives the engine samples.

    ``overflowed`` counts the points left out because there are too many series, ``dropped`` all that were dropped, by
    reason. Whatever is dropped is also said once in the log.
    """

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
        self._arriving = Arriving(self._limits)
        self._senders = Senders(self._limits, self._arriving)
        self._wire = WireReader(self._limits, self._senders)
        self._json = JsonReader(self._limits, self._senders)
        self._swept_at = 0.0

    @property
    def dropped(self) -> Mapping[str, int]:
        """Points that were dropped, by reason; those of ``ahead`` were taken, but at another time."""
        with self._lock:
            return dict(self._arriving.dropped)

    @property
    def series(self) -> int:
        """How many series are known."""
        return len(self._arriving)

    def take(self, request: bytes, *, at: float, tenant: str = "") -> Taken:
        """Take an ExportMetricsServiceRequest that came at ``at`` (unix seconds).

        ``tenant`` becomes a label of every series, unless empty. Raises MalformedError, of which nothing is taken then,
        and OverloadedError.
        """
        return self._take(lambda batch: self._wire.read(request, batch, tenant=tenant), at)

    def take_json(self, request: bytes, *, at: float, tenant: str = "") -> Taken:
        """The same for OTLP/JSON."""
        return self._take(lambda batch: self._json.read(request, batch, tenant=tenant), at)

    def _take(self, read: Callable[[Batch], None], at: float) -> Taken:
        with self._lock:
            if self._arriving.waiting > self._limits.waiting:
                raise OverloadedError("too many samples wait to be evaluated")
            batch = Batch(self._limits, self._senders, now=int(at * SECOND))
            before = self._arriving.dropped.copy()
            read(batch)
            self._arriving.dropped.update(batch.refused)
            self.overflowed += batch.refused[TOO_MANY_SERIES] + batch.refused[TOO_MANY_OF_ONE]
            rejected = batch.give(self._arriving)
            dropped = self._arriving.dropped - before
            senders, blamed = list(batch.senders.values()), batch.blamed
            left, self._arriving.left = self._arriving.left, set()
        del dropped["duplicate"]  # a client that was not sure has sent again
        self._tell(senders, dropped, blamed, left, at)
        del dropped["ahead"]
        message = "; ".join(f"{reason}: {count}" for reason, count in sorted(dropped.items()))
        return Taken(points=batch.points - rejected, rejected=rejected, message=message if rejected else "")

    def _tell(
        self,
        senders: Sequence[Sender],
        dropped: Mapping[str, int],
        blamed: Mapping[str, Sender],
        left: set[int],
        at: float,
    ) -> None:
        for reason in dropped:
            # As Python writes texts: what a client calls itself must not look like a line of the log.
            if reason == TOO_MANY_OF_ONE and reason in blamed:
                who = repr(blamed[reason].identity["job"])
            else:
                told = [blamed[reason]] if reason in blamed else senders[:3]
                who = ", ".join(repr(f"{sender.identity['job']} {sender.identity['instance']}") for sender in told)
            self.faults.add("ingest", f"data points of {who}: {_SAID.get(reason, reason)}")
        if self._attendance is not None:
            for sender in senders:
                job, instance = sender.identity["job"], sender.identity["instance"]
                tenant = sender.identity.get(TENANT, "")
                self._attendance.heard(
                    job,
                    instance,
                    at=at,
                    newest_at=sender.newest / SECOND or None,
                    interval_seconds=sender.interval_seconds,
                    tenant=tenant,
                )
                if sender.number in left:
                    self._attendance.left(job, instance, tenant=tenant)

    def collect(self, at: float) -> Sequence[Sample]:
        """What came since the last call, each sample at its own time. Never raises."""
        now = int(at * SECOND)
        with self._lock:
            self._guard(lambda: self._arriving.repeat(self._senders.newest(now)))
            samples = self._arriving.drain()
            if at - self._swept_at > self._limits.forget_seconds / _SWEEPS:
                self._swept_at = at
                before = now - int(self._limits.forget_seconds * SECOND)
                self._guard(lambda: self._senders.forget(self._arriving.forget(before), before))
        return samples

    def _guard(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 (what came is evaluated all the same)
            self.faults.add("ingest", "what clients sent cannot be kept in order", error)

    def resume(self, known: Collection[Labels], at: float) -> None:
        """Go on where an earlier process stopped: clients count on where they were, so there is nothing to be done."""

    def shift(self, seconds: float) -> None:
        """The wall clock jumped by so much: what was heard is as long ago as before."""
        with self._lock:
            self._arriving.shift(int(seconds * SECOND))
            self._senders.shift(int(seconds * SECOND))


_SAID = {
    "ahead": "they are from the future, so they are taken for ones of now; set that machine's clock",
    "late": "they were measured too long ago and are dropped; set that machine's clock, or send sooner",
    "out of order": "they are older than others of the same series that came before, and are dropped",
    TWO_KINDS: "metrics of several kinds have the same series (cumulative and delta, say); only the first is taken",
    TOO_MANY_OF_ONE: "it has as many series as one client may have, and new ones are dropped (serve: share: 50%)",
    "two senders": "two processes count the same series; give each a service.instance.id",
}
