"""The tee to OTLP: the same data that rules see, sent by the official exporters as the standard variables ask.

Read here: OTEL_METRICS_EXPORTER, OTEL_EXPORTER_OTLP_[METRICS_]{ENDPOINT,PROTOCOL,TIMEOUT},
OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE, OTEL_METRIC_EXPORT_{INTERVAL,TIMEOUT}. The exporters themselves read
headers, compression and certificates. The form of histograms (..._DEFAULT_HISTOGRAM_AGGREGATION) is made where they
are measured.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from opentelemetry import context
from opentelemetry.sdk import environment_variables as names

from otelmon.collect.otlp import HTTP, Signal, ignored, otlp_target, positive
from otelmon.collect.quiet import OnceFilter
from otelmon.collect.temporality import DeltaConversion, Preference
from otelmon.faults import Faults

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter, MetricsData

_DEFAULT_INTERVAL_SECONDS = 60.0
_DEFAULT_EXPORT_TIMEOUT_SECONDS = 30.0
_EXPORTER_LOGGERS = (
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.exporter.otlp.proto.grpc.metric_exporter",
    "opentelemetry.exporter.otlp.common.http",
)


class OtlpExport:
    """Sends metrics data to an OTLP endpoint, every ``interval_seconds``; its caller keeps that time.

    ``export`` and ``shutdown`` may come from different threads; exports follow one another. ``exports`` counts what
    was accepted, ``failures`` what was not; a failure is logged when it begins, not each time.
    """

    def __init__(
        self,
        exporter: MetricExporter,
        *,
        target: str,
        interval_seconds: float = _DEFAULT_INTERVAL_SECONDS,
        preference: Preference = Preference.CUMULATIVE,
        faults: Faults | None = None,
    ) -> None:
        """``target`` names the endpoint in logs: host and port, nothing secret."""
        self.target = target
        self.interval_seconds = interval_seconds
        self.exports = 0
        self.failures = 0
        self.faults = faults if faults is not None else Faults()
        self._exporter = exporter
        self._deltas = DeltaConversion(preference)
        self._exporting = threading.Lock()
        self._closed = False
        self._once = OnceFilter(_ignore, by_template=True)
        for name in _EXPORTER_LOGGERS:
            logging.getLogger(name).addFilter(self._once)

    def export(self, metrics_data: MetricsData) -> bool:
        """Send cumulative data as it is preferred; true when it was accepted or there was nothing to send.

        Takes as long as the configured timeout at most. Never raises. A backend that accepts and whose answer is lost
        gets the deltas of that export again with the next: better twice than never.
        """
        with self._exporting:
            if self._closed:
                return False
            try:
                return self._export(metrics_data)
            except Exception as error:  # noqa: BLE001 (what cannot be exported must not stop the rest)
                self.failures += 1
                self.faults.add("export", f"metrics cannot be exported to {self.target}", error)
                return False

    def shutdown(self) -> None:
        """Send nothing more, and try nothing again. Returns at once; an export under way ends by its timeout."""
        if self._closed:
            return
        self._closed = True
        try:
            self._exporter.shutdown()
        except Exception as error:  # noqa: BLE001 (the host application is stopping; it must)
            self.faults.add("export", "the exporter cannot be shut down", error)
        for name in _EXPORTER_LOGGERS:
            logging.getLogger(name).removeFilter(self._once)

    def _export(self, metrics_data: MetricsData) -> bool:
        from opentelemetry.sdk.metrics.export import MetricExportResult

        converted = self._deltas.convert(metrics_data)
        if converted.data is None:
            return True
        # Otherwise instrumented HTTP clients would trace and measure our own requests.
        token = context.attach(context.set_value(context._SUPPRESS_INSTRUMENTATION_KEY, True))  # noqa: SLF001
        try:
            with self._once.on_this_thread():
                result = self._exporter.export(converted.data)
        finally:
            context.detach(token)
        if result is not MetricExportResult.SUCCESS:
            self.failures += 1
            self.faults.add("export", f"metrics were not accepted by {self.target}")
            return False
        self._deltas.commit(converted)
        self.exports += 1
        self._once.clear()
        self.faults.clear("export")
        return True


def _ignore(_message: str) -> None:
    """The result of the export says it."""


def exporter_from_environment(
    environ: Mapping[str, str] | None = None, *, faults: Faults | None = None
) -> OtlpExport | None:
    """The exporter that the standard variables configure; None without an OTLP endpoint or when they switch it off.

    ``environ`` is os.environ unless given. OTEL_METRICS_EXPORTER switches it off unless it is unset or names otlp.
    Without a protocol it is http/protobuf for port 4318 or a path of /v1/metrics, else grpc, which OpenTelemetry
    Python takes by default. Loads the exporter's libraries only when there is an endpoint. A number or a word that
    cannot be meant is warned of and ignored, as the specification asks. Raises ConfigError for what is
    no endpoint.
    """
    environ = os.environ if environ is None else environ
    target = otlp_target(environ, Signal.METRICS)
    if target is None:
        return None
    interval = positive(environ, _DEFAULT_INTERVAL_SECONDS * 1000, names.OTEL_METRIC_EXPORT_INTERVAL)
    timeout = positive(environ, _DEFAULT_EXPORT_TIMEOUT_SECONDS * 1000, names.OTEL_METRIC_EXPORT_TIMEOUT)
    # The shorter of OTLP's timeout and the reader's.
    exporter = target.made(_exporter, min(target.timeout_seconds, timeout / 1000))
    return OtlpExport(
        exporter,
        target=target.place,
        interval_seconds=interval / 1000,
        preference=_preference(environ),
        faults=faults,
    )


def _exporter(protocol: str, url: str, timeout: float) -> MetricExporter:
    if protocol == HTTP:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as Http

        return Http(endpoint=url, timeout=timeout)
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as Grpc

    return Grpc(endpoint=url, timeout=timeout)


def _preference(environ: Mapping[str, str]) -> Preference:
    name = names.OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE
    asked = environ.get(name, "").strip().lower()
    try:
        return Preference(asked or Preference.CUMULATIVE)
    except ValueError:
        ignored(name, asked, f"it is one of {', '.join(Preference)}; taking cumulative")
        return Preference.CUMULATIVE
