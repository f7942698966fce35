"""Reader: takes the SDK's metrics when the engine asks, on the engine's thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from time import time_ns
from typing import Any

from opentelemetry.sdk.environment_variables import OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION
from opentelemetry.sdk.metrics import Histogram
from opentelemetry.sdk.metrics.export import Metric, MetricReader, MetricsData, Sum
from opentelemetry.sdk.metrics.view import Aggregation, DefaultAggregation, ExponentialBucketHistogramAggregation

from otelmon.collect.quiet import OnceFilter
from otelmon.faults import Faults
from otelmon.forks import FORKS

# A callback that is slower delays every collection, but its metrics and all others are not lost; with the SDK's
# default of 10 s one slow callback would lose them all, each time.
_TIMEOUT_SECONDS = 60.0
_CALLBACK_LOGGER = "opentelemetry.sdk.metrics._internal.instrument"
_REQUEST_DURATION = "http.server.request.duration"


@dataclass(frozen=True)
class ObservedSum(Sum):
    """The sum of an observable counter: its callback reports a total, counted since an unknown time.

    The SDK stamps it with the time of the first collection, at which it was not zero: reading that as a start would
    turn a counter of a machine that is up for a year into one huge increase. So its points have none (0), here and
    wherever they are sent.
    """


def wants_exponential(environ: Mapping[str, str]) -> bool:
    """Whether OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION asks for exponential histograms."""
    asked = environ.get(OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION, "")
    return asked.strip().lower() == "base2_exponential_bucket_histogram"


# Readers that the SDK's own configuration has made and put on its provider, until a pipeline takes them up.
_offered: list[Reader] = []


def offered_reader() -> Reader | None:
    """The reader that waits on the application's provider, if one does; it waits no more."""
    while _offered:
        reader = _offered.pop()
        if not reader.closed:
            return reader
    return None


class Reader(MetricReader):
    """A cumulative metric reader without a thread of its own: whoever calls ``pull`` collects.

    Histograms of the application are explicit unless ``exponential`` is set. With ``exact_requests`` that of
    ``http.server.request.duration`` is exponential in any case: where the application's own instrumentation measures
    requests, its explicit buckets would put p95 off by up to half (views of the application still win).
    """

    def __init__(
        self, *, exponential: bool = False, exact_requests: bool = False, faults: Faults | None = None
    ) -> None:
        """``faults`` is told of callbacks that raise; the SDK's own log of them is shown once a cause."""
        aggregation: dict[type, Aggregation] = {}
        if exponential:
            aggregation[Histogram] = ExponentialBucketHistogramAggregation()
        elif exact_requests:
            aggregation[Histogram] = _ExactRequests()
        super().__init__(preferred_aggregation=aggregation)
        self.faults = faults if faults is not None else Faults()
        self._pulling = threading.Lock()
        self._puller: int | None = None
        self._received: MetricsData | None = None
        self._closed = False
        self._observed: dict[_StreamKey, bool] = {}
        self._last_end = 0
        self._once = OnceFilter(self._note)
        logging.getLogger(_CALLBACK_LOGGER).addFilter(self._once)

    def offer(self) -> None:
        """Wait for the pipeline that is opened in this process: it takes up this reader instead of adding another."""
        _offered.append(self)

    @property
    def closed(self) -> bool:
        """Whether the reader, or the provider that had it, was shut down."""
        return self._closed

    def pull(self) -> MetricsData | None:
        """Collect now: the metrics of all instruments, None when there are none or the reader was shut down.

        Sums of observable counters come as ``ObservedSum``. A callback that raises costs its own instrument's points
        only. Raises what the SDK raises (a callback slower than a minute, an aggregation that breaks).
        """
        with self._pulling:
            if self._closed:
                return None
            self._received, self._puller = None, threading.get_ident()
            begin = time_ns()
            try:
                with FORKS.whole(), self._once.on_this_thread():
                    self.collect(timeout_millis=_TIMEOUT_SECONDS * 1000)
                data, self._received = self._received, None
            finally:
                self._puller = None
                end, last_end = time_ns(), self._last_end
                self._last_end = end
            return None if data is None else self._mark_observed(data, begin=begin, end=end, last_end=last_end)

    def _receive_metrics(self, metrics_data: MetricsData, *_args: Any, **_kwargs: Any) -> None:
        # Whoever else collects from this reader gets nothing and takes nothing: the counts are cumulative.
        if self._puller == threading.get_ident():
            self._received = metrics_data

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 (the SDK's signature)
        """Nothing waits here: what was measured is collected by the engine's next tick. Always true."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_kwargs: Any) -> None:  # noqa: ARG002 (the SDK's signature)
        """Collect nothing from now on. May be called again, and from any thread."""
        self._closed = True
        logging.getLogger(_CALLBACK_LOGGER).removeFilter(self._once)

    def _note(self, message: str) -> None:
        self.faults.counts["callback"] += 1
        del message  # The SDK's own record, with the traceback, is the log of it.

    def _mark_observed(self, data: MetricsData, *, begin: int, end: int, last_end: int) -> MetricsData:
        resources = []
        for resource_metrics in data.resource_metrics:
            scopes = []
            for scope_metrics in resource_metrics.scope_metrics:
                scope = scope_metrics.scope
                metrics = [
                    replace(metric, data=_observed_sum(metric.data))
                    if isinstance(metric.data, Sum)
                    and metric.data.is_monotonic
                    and self._is_observed(
                        (scope.name, scope.version, metric.name, metric.unit), metric, begin, end, last_end
                    )
                    else metric
                    for metric in scope_metrics.metrics
                ]
                scopes.append(replace(scope_metrics, metrics=metrics))
            resources.append(replace(resource_metrics, scope_metrics=scopes))
        return MetricsData(resource_metrics=resources)

    def _is_observed(self, key: _StreamKey, metric: Metric, begin: int, end: int, last_end: int) -> bool:
        """Whether an observable counter made these points.

        The data does not say which instrument made it, but the SDK starts the points of an observable one while it
        collects, those of a counter when the application first adds. A counter whose very first addition falls into
        a collection (some milliseconds) is mistaken until a point of it starts between two.
        """
        starts = [point.start_time_unix_nano for point in metric.data.data_points]
        observed = self._observed.get(key)
        if observed is None:
            observed = all(begin <= start <= end for start in starts)
        elif observed:
            observed = not any(last_end < start < begin for start in starts)
        self._observed[key] = observed
        return observed


_StreamKey = tuple[str, str | None, str, str | None]


def _observed_sum(data: Any) -> ObservedSum:
    return ObservedSum(
        data_points=[replace(point, start_time_unix_nano=0) for point in data.data_points],
        aggregation_temporality=data.aggregation_temporality,
        is_monotonic=data.is_monotonic,
    )


class _ExactRequests(DefaultAggregation):
    """The SDK's defaults, but exponential for the duration of requests. Arguments are passed on as the SDK has them."""

    def _create_aggregation(self, instrument: Any, *args: Any, **kwargs: Any) -> Any:
        if instrument.name == _REQUEST_DURATION:
            exponential = ExponentialBucketHistogramAggregation()
            return exponential._create_aggregation(instrument, *args, **kwargs)  # noqa: SLF001 (as the SDK's own do)
        return super()._create_aggregation(instrument, *args, **kwargs)
