"""OTLP/gRPC: https://opentelemetry.io/docs/specs/otlp/#otlpgrpc."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from otelmon.collect.limits import MalformedError, OverloadedError
from otelmon.collect.otlp import Signal
from otelmon.faults import Faults
from otelmon.server.arrivals import Arrived, ReceiverSettings, Sink, TlsFiles, Tokens, partial_success

_SERVICES = {
    Signal.METRICS: "opentelemetry.proto.collector.metrics.v1.MetricsService",
    Signal.TRACES: "opentelemetry.proto.collector.trace.v1.TraceService",
    Signal.LOGS: "opentelemetry.proto.collector.logs.v1.LogsService",
}
_THREADS = 4
_DETAILS = "grpc-status-details-bin"


def grpc_server(settings: ReceiverSettings, sinks: Mapping[Signal, Sink], *, faults: Faults) -> tuple[grpc.Server, int]:
    """A server that listens, and its port; it serves from ``start()`` on. Raises OSError where it cannot listen.

    A service without a sink is UNIMPLEMENTED, as gRPC answers of itself.
    """
    server = grpc.server(
        ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="otelmon-grpc"),
        interceptors=[_Guard(Tokens(settings.tokens))],
        maximum_concurrent_rpcs=settings.most_at_once,
        options=[
            ("grpc.max_receive_message_length", settings.most_decompressed),
            ("grpc.so_reuseport", 0),
            ("grpc.max_concurrent_streams", settings.most_at_once),
            # A connection that sends no request is let go; one that is dead is found.
            ("grpc.max_connection_idle_ms", 300_000),
            ("grpc.keepalive_time_ms", 60_000),
        ],
    )
    for signal, sink in sinks.items():
        export = _Export(settings, signal, sink, faults)
        handler = grpc.unary_unary_rpc_method_handler(export)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICES[signal], {"Export": handler}),))
    address = f"{settings.host}:{settings.grpc_port}"
    try:
        if settings.tls is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, _credentials(settings.tls))
    except RuntimeError as error:
        raise OSError(f"OTLP/gRPC cannot listen at {address}: {error}; serve: {{grpc: PORT}}") from error
    return server, port


def _credentials(tls: TlsFiles) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(tls.key.read_bytes(), tls.certificate.read_bytes())],
        root_certificates=None if tls.client_ca is None else tls.client_ca.read_bytes(),
        require_client_auth=tls.client_ca is not None,
    )


class _Guard(grpc.ServerInterceptor):  # type: ignore[misc]
    """Lets in who has a token, before the message is read."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._refusal = grpc.unary_unary_rpc_method_handler(self._refuse)

    def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        if self._tokens.tenant(_authorization(handler_call_details.invocation_metadata)) is None:
            return self._refusal
        return continuation(handler_call_details)

    def _refuse(self, _request: bytes, context: grpc.ServicerContext) -> bytes:
        why = self._tokens.refusal(_authorization(context.invocation_metadata()), context.peer())
        context.abort(grpc.StatusCode.UNAUTHENTICATED, why)
        return b""


class _Export:
    def __init__(self, settings: ReceiverSettings, signal: Signal, sink: Sink, faults: Faults) -> None:
        self._tokens = Tokens(settings.tokens)
        self._signal = signal
        self._sink = sink
        self._faults = faults
        retry = Packed()
        retry.Pack(RetryInfo(retry_delay=Duration(seconds=settings.retry_after_seconds)))
        self._retry = retry

    def __call__(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        tenant = self._tokens.tenant(_authorization(context.invocation_metadata())) or ""
        try:
            return partial_success(self._signal, self._sink(Arrived(body=request, tenant=tenant)))
        except MalformedError as error:
            code, message = grpc.StatusCode.INVALID_ARGUMENT, str(error)
        except OverloadedError as error:
            code, message = grpc.StatusCode.UNAVAILABLE, str(error)
            status = Status(code=code.value[0], message=message, details=[self._retry])
            context.set_trailing_metadata(((_DETAILS, status.SerializeToString()),))
        except Exception as error:  # noqa: BLE001 (the next request is served all the same)
            self._faults.add("receiver", "a request over gRPC could not be handled", error)
            code, message = grpc.StatusCode.INTERNAL, "internal error"
        context.abort(code, message)
        return b""


def _authorization(metadata: Any) -> str:
    return next((str(value) for key, value in metadata or () if key == "authorization"), "")
