"""The tee to OTLP: the same data that rules see, sent by the official exporters as the standard variables ask.

Read here: OTEL_METRICS_EXPORTER, OTEL_EXPORTER_OTLP_[METRICS_]{ENDPOINT,PROTOCOL,TIMEOUT},
OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE, OTEL_METRIC_EXPORT_{INTERVAL,TIMEOUT}. The exporters themselves read
headers, compression and certificates. The form of histograms (..._DEFAULT_HISTOGRAM_AGGREGATION) is made where they
are measured.
"""

from __future__ import annotations

import logging
import math
import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from opentelemetry import context
from opentelemetry.sdk import environment_variables as names

from otelmon.collect.quiet import OnceFilter
from otelmon.collect.temporality import DeltaConversion, Preference
from otelmon.errors import ConfigError, Problem
from otelmon.faults import Faults, logger

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter, MetricsData

# Known to the SDK's auto-configuration only.
_METRICS_EXPORTER = "OTEL_METRICS_EXPORTER"
_GRPC = "grpc"
_HTTP = "http/protobuf"
_DEFAULT_INTERVAL_SECONDS = 60.0
_DEFAULT_EXPORT_TIMEOUT_SECONDS = 30.0
_DEFAULT_TIMEOUT_SECONDS = 10.0
_HTTP_PORT = 4318
_HTTP_PATH = "/v1/metrics"
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
    own, general = names.OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, names.OTEL_EXPORTER_OTLP_ENDPOINT
    variable, url = _first(environ, own, general)
    exporters = {name.strip().lower() for name in _read(environ, _METRICS_EXPORTER).split(",")} - {""}
    if not url or (exporters and "otlp" not in exporters):
        return None
    endpoint = _Endpoint(url, variable)
    protocol = _protocol(environ, endpoint)
    if protocol == _HTTP and endpoint.scheme not in {"http", "https"}:
        raise endpoint.problem("it begins with neither http:// nor https://")
    if protocol == _HTTP and variable == general:
        url = url.removesuffix("/") + _HTTP_PATH
    try:
        exporter = _exporter(protocol, url, _timeout_seconds(environ))
    except Exception as error:
        hint = "see the OTLP exporter configuration of OpenTelemetry"
        raise ConfigError([Problem(message=f"{error}", file="OTEL_EXPORTER_OTLP_*", hint=hint)]) from error
    interval = _number(environ, _DEFAULT_INTERVAL_SECONDS * 1000, names.OTEL_METRIC_EXPORT_INTERVAL)
    return OtlpExport(
        exporter,
        target=endpoint.place,
        interval_seconds=interval / 1000,
        preference=_preference(environ),
        faults=faults,
    )


def _exporter(protocol: str, url: str, timeout: float) -> MetricExporter:
    if protocol == _HTTP:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as Http

        return Http(endpoint=url, timeout=timeout)
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as Grpc

    return Grpc(endpoint=url, timeout=timeout)


class _Endpoint:
    """An endpoint's parts. gRPC's may come without a scheme, ``collector:4317``."""

    def __init__(self, text: str, variable: str) -> None:
        split = urlsplit(text if "://" in text else f"//{text}")
        self.text = text
        self.variable = variable
        try:
            self.port = split.port
        except ValueError:
            raise self.problem("the port is not a number") from None
        self.scheme = split.scheme
        self.path = split.path
        # Without user and password.
        self.place = split.netloc.rpartition("@")[2]
        if not split.hostname:
            raise self.problem("there is no host in it")

    def problem(self, message: str) -> ConfigError:
        """An error that says so, without the value, which may hold a password."""
        hint = "write a URL such as http://collector:4318"
        return ConfigError([Problem(message=f"not an OTLP endpoint: {message}", file=self.variable, hint=hint)])


def _read(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, "").strip()


def _first(environ: Mapping[str, str], *variables: str) -> tuple[str, str]:
    """The first of these variables that is set, and its value; the last one, empty, when none is."""
    for name in variables:
        if value := _read(environ, name):
            return name, value
    return variables[-1], ""


def _protocol(environ: Mapping[str, str], endpoint: _Endpoint) -> str:
    http = endpoint.port == _HTTP_PORT or endpoint.path.rstrip("/").endswith(_HTTP_PATH)
    guess = _HTTP if http else _GRPC
    name, asked = _first(environ, names.OTEL_EXPORTER_OTLP_METRICS_PROTOCOL, names.OTEL_EXPORTER_OTLP_PROTOCOL)
    if not asked:
        return guess
    if asked.lower() in {_GRPC, _HTTP}:
        return asked.lower()
    _ignored(name, asked, f"it is {_GRPC} or {_HTTP}; taking {guess}")
    return guess


def _preference(environ: Mapping[str, str]) -> Preference:
    name = names.OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE
    asked = _read(environ, name).lower()
    try:
        return Preference(asked or Preference.CUMULATIVE)
    except ValueError:
        _ignored(name, asked, f"it is one of {', '.join(Preference)}; taking cumulative")
        return Preference.CUMULATIVE


def _timeout_seconds(environ: Mapping[str, str]) -> float:
    """The shorter of OTLP's timeout and the reader's. OpenTelemetry Python reads the former in seconds, not in ms."""
    otlp = _number(
        environ, _DEFAULT_TIMEOUT_SECONDS, names.OTEL_EXPORTER_OTLP_METRICS_TIMEOUT, names.OTEL_EXPORTER_OTLP_TIMEOUT
    )
    reader = _number(environ, _DEFAULT_EXPORT_TIMEOUT_SECONDS * 1000, names.OTEL_METRIC_EXPORT_TIMEOUT)
    return min(otlp, reader / 1000)


def _number(environ: Mapping[str, str], default: float, *variables: str) -> float:
    """A positive number. The specification asks to warn of a value that is none and to go on without it."""
    name, asked = _first(environ, *variables)
    try:
        value = float(asked or default)
    except ValueError:
        value = math.nan
    if math.isfinite(value) and value > 0:
        return value
    _ignored(name, asked, f"it is a number above 0; taking {default:g}")
    return default


def _ignored(name: str, value: str, what: str) -> None:
    logger.warning("otelmon: %s=%s cannot be meant: %s", name, value, what)
