"""Collector: one collection of everything that is measured, as samples for the window."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otelmon.collect.pace import Pace
from otelmon.collect.reader import Reader
from otelmon.collect.record import recording_line
from otelmon.collect.requests import MOST_BUCKETS, RequestTranslation, request_metrics
from otelmon.collect.samples import Samples
from otelmon.collect.translate import Point, Translation, target_info
from otelmon.faults import Faults
from otelmon.instrument.model import RequestSnapshot
from otelmon.labels import METRIC_NAME, Labels
from otelmon.sample import STALE, Sample

# A start must lie before the sample that it is the zero of.
_LEAST_AGE_SECONDS = 0.001
_OWN = "otelmon_"
# Of the finest histograms no bucket is merged.
_ANY_NUMBER = 1_000_000
T = TypeVar("T")
_REQUEST_SCOPE = InstrumentationScope("otelmon.instrument.requests")


class Counted(Protocol):
    """What counts requests: ``otelmon.instrument.recorder.RequestRecorder``."""

    def snapshot(self) -> RequestSnapshot:
        """A consistent copy of the counts, from any thread."""


class Shared(Protocol):
    """The collections of the other processes of the service: ``otelmon.runtime.siblings.Siblings``."""

    def gather(self) -> None:
        """Read what the others have left."""

    def share(self, source: str, points: Iterator[Point]) -> Iterator[Point]:
        """The own points of a source, noted for the others, with those of the others merged into them."""

    def leave(self) -> None:
        """Write what was noted, for the others to read."""


class Collector:
    """Collects the SDK's metrics and the request counts of this process.

    A cumulative series that the collection before did not have gets ``start_at``: the point's start, but not before
    the collection before, so that the first error of a new series counts and an old counter that comes back does not
    count twice. A series that is gone gets one ``STALE``. Where two instruments of different scopes give the same
    series the first wins. Whatever fails is counted in ``faults`` and logged once a cause; the rest goes on, and the
    series of a source that failed are neither new nor gone.
    """

    def __init__(
        self,
        reader: Reader | None,
        *,
        recorder: Counted | None,
        job: str,
        instance: str,
        resource: Resource | None = None,
        exponential: bool = False,
        max_series: int = 50_000,
        faults: Faults | None = None,
        shared: Shared | None = None,
    ) -> None:
        """``shared`` is where the counts of several processes become one, None where there is one process.

        ``exponential`` is the form of the request histograms in ``latest``; ``resource`` whose data that is.

        ``max_series`` bounds what is taken from the SDK, which before 1.45.2 has no bound of
        its own; ``overflowed`` counts the points left out.
        """
        self.faults = faults if faults is not None else (reader.faults if reader is not None else Faults())
        self._reader = reader
        self._recorder = recorder
        self._resource = resource if resource is not None else Resource({"service.name": job})
        self._exponential = exponential
        self._job, self._instance = job, instance
        self._translation = Translation(job=job, instance=instance)
        self._requests = RequestTranslation(job=job, instance=instance)
        self._target_info = target_info(self._resource.attributes, {"job": job, "instance": instance})
        self._max_series = max_series
        self._shared = shared
        self._sdk_series = _Seen()
        self._request_series = _Seen()
        self.overflowed = 0
        self._last: tuple[MetricsData | None, RequestSnapshot | None, float] | None = None

    @property
    def failures(self) -> int:
        """How often something of a collection failed, callbacks of instruments included."""
        counts = self.faults.counts
        return counts["collect"] + counts["metric"] + counts["callback"]

    @property
    def latest(self) -> MetricsData | None:
        """All that the last collection measured, for an exporter; None before the first, or when that was nothing.

        From any thread. The form of the request histograms is made here, on the exporter's time.
        """
        return self._measured(exponential=self._exponential)

    @property
    def finest(self) -> MetricsData | None:
        """The same with request histograms at the recorder's own resolution, for who evaluates them elsewhere."""
        return self._measured(exponential=True, most_buckets=_ANY_NUMBER)

    def _measured(self, *, exponential: bool, most_buckets: int = MOST_BUCKETS) -> MetricsData | None:
        last = self._last
        if last is None:
            return None
        data, snapshot, at = last
        metrics = (
            []
            if snapshot is None
            else request_metrics(snapshot, at=at, exponential=exponential, most_buckets=most_buckets)
        )
        if not metrics:
            return data
        ours = ScopeMetrics(scope=_REQUEST_SCOPE, metrics=metrics, schema_url="")
        resources = list(data.resource_metrics) if data is not None else []
        # The encoder keeps one entry a resource: ours goes into the SDK's, which is the same.
        resource = resources[0].resource if resources else self._resource
        scopes = [*resources[0].scope_metrics, ours] if resources else [ours]
        first = ResourceMetrics(resource=resource, scope_metrics=scopes, schema_url=resource.schema_url)
        return MetricsData(resource_metrics=[first, *resources[1:]])

    def recording(self, known_at: float) -> tuple[float, str] | None:
        """The last collection as a line of a recording, with its instant; None where that is ``known_at``.

        From any thread.
        """
        last = self._last
        if last is None or last[2] == known_at:
            return None
        data, snapshot, at = last
        line = recording_line(data, snapshot, at=at, resource=self._resource, job=self._job, instance=self._instance)
        return at, line

    def collect(self, at: float) -> Sequence[Sample]:
        """Everything measured until now as samples stamped ``at`` (unix seconds). Never raises."""
        taken: set[Labels] = set()
        samples = Samples(at)
        for seen, points in self._measure(at):
            try:
                self._take(points, seen, taken, samples, at)
            except Exception as error:  # noqa: BLE001 (the other source is collected all the same)
                self.faults.add("collect", "measurements cannot be translated", error)
        for seen in (self._request_series, self._sdk_series):
            gone = [labels for labels in seen.gone if labels not in taken]
            samples.add(gone, [STALE] * len(gone))
            seen.gone = []
        return samples

    def gather(self) -> None:
        """Read what other processes have counted, for the collections that follow. Never raises."""
        if self._shared is not None:
            self._shared.gather()

    def leave(self) -> None:
        """Write what was collected last, for the process that evaluates now or after this one."""
        if self._shared is not None:
            self._shared.leave()

    def count(self, at: float) -> None:
        """Collect for `leave` and `latest` alone, as a process does that does not evaluate. Never raises."""
        for _, points in self._measure(at):
            try:
                for _ in Pace().each(points):
                    pass
            except Exception as error:  # noqa: BLE001
                self.faults.add("collect", "measurements cannot be translated", error)

    def resume(self, known: Collection[Labels], at: float) -> None:
        """Go on where another process stopped at ``at`` (unix seconds), which had given these series.

        They are not new, and what is new has begun since.
        """
        for seen in (self._request_series, self._sdk_series):
            seen.resume(known, at)

    def shift(self, seconds: float) -> None:
        """The wall clock jumped by so much: the last collection is as long ago as before."""
        self._request_series.at += seconds
        self._sdk_series.at += seconds

    def _measure(self, at: float) -> Iterator[tuple[_Seen, Iterator[Point]]]:
        """What each source that did not fail has measured until now, and the series that it had before.

        Requests first: where the application's own instrumentation measures the same, ours is the finer one.
        """
        snapshot, data = self._snapshot(), self._pull()
        self._last = (data.value, snapshot.value, at)
        if not snapshot.failed:
            points = self._request_points(snapshot.value, alone=data.value is None)
            yield self._request_series, self._shared_points("requests", points)
        if not data.failed:
            yield self._sdk_series, self._shared_points("sdk", self._sdk_points(data.value))

    def _shared_points(self, source: str, points: Iterator[Point]) -> Iterator[Point]:
        return points if self._shared is None else self._shared.share(source, points)

    def _snapshot(self) -> _Source[RequestSnapshot]:
        try:
            return _Source(None if self._recorder is None else self._recorder.snapshot())
        except Exception as error:  # noqa: BLE001 (the SDK's metrics are collected all the same)
            self.faults.add("collect", "the request counts cannot be read", error)
            return _Source(None, failed=True)

    def _pull(self) -> _Source[MetricsData]:
        try:
            return _Source(None if self._reader is None else self._reader.pull())
        except BaseException as error:  # noqa: BLE001 (a callback may even raise SystemExit; the engine goes on)
            self.faults.add("collect", "the OpenTelemetry SDK cannot be collected", error)
            return _Source(None, failed=True)

    def _request_points(self, snapshot: RequestSnapshot | None, *, alone: bool) -> Iterator[Point]:
        if snapshot is None:
            return
        if alone and self._target_info is not None:
            yield self._target_info
        yield from self._requests.points(snapshot)

    def _sdk_points(self, data: MetricsData | None) -> Iterator[Point]:
        if data is None:
            return
        yield from self._translation.points(data, on_error=self._not_translated)

    def _not_translated(self, name: str, error: Exception) -> None:
        self.faults.add("metric", f"the metric {name} cannot be translated", error)

    def _take(self, points: Iterable[Point], seen: _Seen, taken: set[Labels], samples: Samples, at: float) -> None:
        current: dict[Labels, tuple[Labels, ...]] = {}
        room = self._max_series
        for point in Pace().each(points):
            identity = point.series[0]
            if identity in taken:
                self.faults.add("duplicate", f"two instruments measure {identity}; the one met first is kept")
                continue
            room -= len(point.series)
            # Our own are few, and say that there are too many.
            if room < 0 and not identity[METRIC_NAME].startswith(_OWN):
                self.overflowed += 1
                self.faults.add("series", f"more than {self._max_series} series; further ones are not evaluated")
                continue
            current[identity] = point.series
            start = None if point.start is None or seen.has(identity) else seen.start(point.start, at)
            taken.update(point.series)
            samples.add(point.series, point.values, start_at=start)
        seen.advance(current, at)


@dataclass(frozen=True, slots=True)
class _Source(Generic[T]):
    """What a source gave; None when it has nothing, which is no failure."""

    value: T | None
    failed: bool = False


class _Seen:
    """The series of the last collection of one source, by the first series of each point."""

    def __init__(self) -> None:
        self.series: dict[Labels, tuple[Labels, ...]] = {}
        self.at = -math.inf
        self.gone: list[Labels] = []
        self._resumed: Collection[Labels] = ()

    def resume(self, known: Collection[Labels], at: float) -> None:
        """Take these for the series of a last collection at ``at``."""
        self.series, self.at, self.gone, self._resumed = {}, at, [], known

    def has(self, identity: Labels) -> bool:
        """Whether the last collection had it."""
        return identity in self.series or identity in self._resumed

    def start(self, start: float, at: float) -> float:
        """When a new series was zero: at its start, but not before the last collection, which did not have it."""
        return min(max(start, self.at), at - _LEAST_AGE_SECONDS)

    def advance(self, current: dict[Labels, tuple[Labels, ...]], at: float) -> None:
        """Take these for the series of the last collection."""
        for identity, series in self.series.items():
            now = current.get(identity)
            # Mostly the very same tuple; another one when a histogram came back with other bounds.
            if now is not series:
                self.gone += series if now is None else (labels for labels in series if labels not in now)
        self.series, self.at, self._resumed = current, at, ()
