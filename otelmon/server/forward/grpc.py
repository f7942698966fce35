"""Sends over OTLP/gRPC: the same bytes, by a unary call that knows no message types."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from otelmon.collect.otlp import Signal
from otelmon.config.forward import Compression, ForwardSettings
from otelmon.notify.exchange import why
from otelmon.server.forward.answers import Answer, Later, Refused, accepted, shown

_METHODS = {
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
# Those of OTLP's specification; RESOURCE_EXHAUSTED only where the server says when to come again.
_RETRYABLE = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
# Whatever were sent, it would not be taken.
_FOR_NOTHING = frozenset(
    {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNIMPLEMENTED}
)
_DETAILS = "grpc-status-details-bin"
# gRPC would wait for up to two minutes between its attempts to connect, longer than we do.
_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5000),
    ("grpc.primary_user_agent", "otelmon"),
)
_PORTS = {"http": 80, "https": 443}


class GrpcSender:
    """An OTLP/gRPC client for one target and one thread."""

    def __init__(self, settings: ForwardSettings) -> None:
        self._settings = settings
        self._metadata = tuple((name, value.get_secret_value()) for name, value in settings.headers.items())
        gzip = settings.compression is Compression.GZIP
        self._compression = grpc.Compression.Gzip if gzip else grpc.Compression.NoCompression
        self._channel: grpc.Channel | None = None

    def send(self, signal: Signal, body: bytes, timeout_seconds: float) -> Answer:
        """See ``Sender``."""
        try:
            if self._channel is None:
                self._channel = self._opened()
            call = self._channel.unary_unary(_METHODS[signal])
            response = call(body, timeout=timeout_seconds, metadata=self._metadata, compression=self._compression)
        except grpc.RpcError as error:
            return _failure(error)
        except Exception as error:  # noqa: BLE001 (a file that cannot be read, a header: tried again, its text kept out)
            return Later(reason=why(error))
        return accepted(signal, response)

    def close(self) -> None:
        """See ``Sender``."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _opened(self) -> grpc.Channel:
        parts = urlsplit(self._settings.endpoint.get_secret_value())
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        place = f"{host}:{parts.port or _PORTS[parts.scheme]}"
        if parts.scheme == "http":
            return grpc.insecure_channel(place, options=_OPTIONS)
        tls = self._settings.tls
        credentials = grpc.ssl_channel_credentials(
            *(None if path is None else path.read_bytes() for path in (tls.ca, tls.key, tls.certificate))
        )
        return grpc.secure_channel(place, credentials, options=_OPTIONS)


def _failure(error: Any) -> Answer:
    code = error.code()
    reason = f"gRPC {code.name}"
    asked = _asked_seconds(error)
    if code in _RETRYABLE or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and asked is not None):
        return Later(reason=reason, seconds=asked)
    return Refused(reason=reason, message=shown(error.details() or ""), for_content=code not in _FOR_NOTHING)


def _asked_seconds(error: Any) -> float | None:
    """The delay of the RetryInfo among the error's details, in seconds; None where there is none."""
    for key, value in error.trailing_metadata() or ():
        if key != _DETAILS:
            continue
        try:
            details = Status.FromString(value).details
        except DecodeError:
            return None
        for detail in details:
            info = RetryInfo()
            if detail.Is(RetryInfo.DESCRIPTOR) and detail.Unpack(info):
                return float(max(0.0, info.retry_delay.ToTimedelta().total_seconds()))
    return None
