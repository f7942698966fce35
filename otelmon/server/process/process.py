"""Process: the steps of ``process:``, one after the other, on one request at a time."""

from __future__ import annotations

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from otelmon.config.process import ProcessSettings


class Process:
    """Applies steps to requests; any thread may call."""

    def __init__(self, settings: ProcessSettings) -> None:
        self._steps = settings.steps

    def take(self, body: bytes, at: float) -> bytes:
        """A serialised request as it is to be evaluated and forwarded, at a time in unix seconds.

        Without steps it is the very same object. Raises google.protobuf's DecodeError for what is no request.
        """
        if not self._steps:
            return body
        request = ExportMetricsServiceRequest.FromString(body)
        return bytes(self.apply(request, at).SerializeToString())

    def apply(self, request: ExportMetricsServiceRequest, at: float) -> ExportMetricsServiceRequest:
        """The request itself, changed."""
        return request
