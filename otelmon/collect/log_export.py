"""Log records to OTLP by the official exporter, for a process whose application has set no LoggerProvider.

No provider is made for it: the global one is the application's to set, also later. Read here, beside what otlp.py
reads: the exporters themselves read headers, compression and certificates.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from opentelemetry import context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otelmon.collect.otlp import HTTP, Signal, otlp_target
from otelmon.collect.quiet import OnceFilter
from otelmon.faults import Faults

if TYPE_CHECKING:
    from opentelemetry._logs import LogRecord
    from opentelemetry.sdk._logs.export import LogRecordExporter

_EXPORTER_LOGGERS = (
    "opentelemetry.exporter.otlp.proto.http._log_exporter",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.exporter.otlp.proto.grpc._log_exporter",
    "opentelemetry.exporter.otlp.common.http",
)
_FAULT = "export.logs"


class LogExport:
    """Sends log records to an OTLP endpoint; one caller at a time."""

    def __init__(
        self, exporter: LogRecordExporter, *, target: str, resource: Resource, version: str | None, faults: Faults
    ) -> None:
        """``target`` names the endpoint in logs: host and port, nothing secret."""
        self._exporter = exporter
        self._target = target
        self._resource = resource
        self._scope = InstrumentationScope("otelmon", version)
        self._faults = faults
        self._once = OnceFilter(_ignore, by_template=True)
        for name in _EXPORTER_LOGGERS:
            logging.getLogger(name).addFilter(self._once)

    def export(self, records: Sequence[LogRecord]) -> bool:
        """Send them; true when they were accepted. Takes as long as the configured timeout at most. Never raises."""
        from opentelemetry.sdk._logs import ReadableLogRecord
        from opentelemetry.sdk._logs.export import LogRecordExportResult

        # Otherwise instrumented HTTP clients would trace and measure our own requests.
        token = context.attach(context.set_value(context._SUPPRESS_INSTRUMENTATION_KEY, True))  # noqa: SLF001
        try:
            batch = [
                ReadableLogRecord(log_record=record, resource=self._resource, instrumentation_scope=self._scope)
                for record in records
            ]
            with self._once.on_this_thread():
                result = self._exporter.export(batch)
        except Exception as error:  # noqa: BLE001 (what cannot be exported must not stop the rest)
            self._faults.add(_FAULT, f"events cannot be exported to {self._target}", error)
            return False
        finally:
            context.detach(token)
        if result is not LogRecordExportResult.SUCCESS:
            hint = "a backend that takes no logs needs OTEL_LOGS_EXPORTER=none"
            self._faults.add(_FAULT, f"events were not accepted by {self._target}; {hint}")
            return False
        self._once.clear()
        self._faults.clear(_FAULT)
        return True

    def shutdown(self) -> None:
        """Send nothing more; an export under way ends by its timeout."""
        try:
            self._exporter.shutdown()  # type: ignore[no-untyped-call]  # the SDK has not annotated it
        except Exception as error:  # noqa: BLE001 (the host application is stopping; it must)
            self._faults.add(_FAULT, "the exporter cannot be shut down", error)
        for name in _EXPORTER_LOGGERS:
            logging.getLogger(name).removeFilter(self._once)


def _ignore(_message: str) -> None:
    """The result of the export says it."""


def log_export_from_environment(
    *, resource: Resource, version: str | None, faults: Faults, environ: Mapping[str, str] | None = None
) -> LogExport | None:
    """What the standard variables configure; None without an OTLP endpoint, or where OTEL_LOGS_EXPORTER switches off.

    Raises ConfigError for what is no endpoint.
    """
    target = otlp_target(os.environ if environ is None else environ, Signal.LOGS)
    if target is None:
        return None
    exporter = target.made(_exporter, target.timeout_seconds)
    return LogExport(exporter, target=target.place, resource=resource, version=version, faults=faults)


def _exporter(protocol: str, url: str, timeout: float) -> LogRecordExporter:
    if protocol == HTTP:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as Http

        return Http(endpoint=url, timeout=timeout)
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as Grpc

    return Grpc(endpoint=url, timeout=timeout)
