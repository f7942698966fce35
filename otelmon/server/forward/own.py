"""What otelmon itself measures and tells, forwarded like what came in: exporters for the SDK's own data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData

from otelmon.collect.otlp import Signal
from otelmon.server.forward.forwarder import Forwarder


class ForwardedMetrics(MetricExporter):
    """For ``otelmon.collect.export.OtlpExport``. What is in the queue counts as sent."""

    def __init__(self, forwarder: Forwarder) -> None:
        super().__init__()
        self._forwarder = forwarder

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> MetricExportResult:  # noqa: ARG002
        """Put the data in the queues."""
        self._forwarder.put(Signal.METRICS, encode_metrics(metrics_data).SerializeToString())
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002
        """Nothing waits here. Always true."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """The forwarder goes on; its owner stops it."""


class ForwardedLogs(LogRecordExporter):
    """For ``otelmon.collect.log_export.LogExport``: alert and incident events. What is in the queue counts as sent."""

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Put the records in the queues."""
        self._forwarder.put(Signal.LOGS, encode_logs(batch).SerializeToString())
        return LogRecordExportResult.SUCCESS

    def shutdown(self) -> None:
        """The forwarder goes on; its owner stops it."""

    def force_flush(self, timeout_millis: int = 10_000) -> bool:  # noqa: ARG002
        """Nothing waits here. Always true."""
        return True
