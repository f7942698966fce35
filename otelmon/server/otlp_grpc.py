"""OTLP/gRPC: https://opentelemetry.io/docs/specs/otlp/#otlpgrpc."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
from otelmon.server.arrivals import Arrived, ReceiverSettings, Sink, Tokens, partial_success
from otelmon.server.certificates import Certificates
from otelmon.server.room import FullError, Place, Room

_SERVICES = {
    Signal.METRICS: "opentelemetry.proto.collector.metrics.v1.MetricsService",
    Signal.TRACES: "opentelemetry.proto.collector.trace.v1.TraceService",
    Signal.LOGS: "opentelemetry.proto.collector.logs.v1.LogsService",
}
_DETAILS = "grpc-status-details-bin"
# Calls that wait for a thread: gRPC refuses one more in words that make SDKs drop what they send.
_MOST_CALLS = 2000


def grpc_server(
    settings: ReceiverSettings, sinks: Mapping[Signal, Sink], *, room: Room, faults: Faults
) -> tuple[grpc.Server, int]:
    """A server that listens, and its port; it serves from ``start()`` on. Raises OSError where it cannot listen.

    A service without a sink is UNIMPLEMENTED, as gRPC answers of itself.
    """
    # A call has a thread while its message comes, which a client may drag out: so there are more than `Room` lets wait.
    threads = 2 * settings.most_at_once + 1
    server = grpc.server(
        ThreadPoolExecutor(max_workers=threads, thread_name_prefix="otelmon-grpc"),
        interceptors=[_Guard(Tokens(settings.tokens))],
        maximum_concurrent_rpcs=_MOST_CALLS,
        options=[
            ("grpc.max_receive_message_length", settings.most_decompressed),
            ("grpc.so_reuseport", 0),
            ("grpc.max_concurrent_streams", settings.most_at_once),
            # A connection that sends no request is let go; one that is dead is found.
            ("grpc.server_handshake_timeout_ms", int(settings.head_seconds * 1000)),
            ("grpc.max_connection_idle_ms", 120_000),
            ("grpc.keepalive_time_ms", 60_000),
        ],
    )
    for signal, sink in sinks.items():
        export = _Export(settings, signal, sink, room, faults)
        # By the message's kind it is a call with one message; as a stream, it is ours how long it is waited for.
        handler = grpc.stream_unary_rpc_method_handler(export)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICES[signal], {"Export": handler}),))
    address = f"{settings.host}:{settings.grpc_port}"
    try:
        if settings.tls is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, Certificates(settings.tls, faults).credentials())
    except RuntimeError as error:
        raise OSError(f"OTLP/gRPC cannot listen at {address}: {error}; serve: {{grpc: PORT}}") from error
    return server, port


class _Guard(grpc.ServerInterceptor):  # type: ignore[misc]
    """Lets in who has a token, and waits for no message of who has none."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._refusal = grpc.stream_unary_rpc_method_handler(self._refuse)

    def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        if self._tokens.tenant(_authorization(handler_call_details.invocation_metadata)) is None:
            return self._refusal
        return continuation(handler_call_details)

    def _refuse(self, _messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        why = self._tokens.refusal(_authorization(context.invocation_metadata()), context.peer())
        context.abort(grpc.StatusCode.UNAUTHENTICATED, why)
        return b""


class _Export:
    """One of the methods, as gRPC calls it: in a thread, before the message is there."""

    def __init__(self, settings: ReceiverSettings, signal: Signal, sink: Sink, room: Room, faults: Faults) -> None:
        self._tokens = Tokens(settings.tokens)
        self._signal = signal
        self._sink = sink
        self._room = room
        self._faults = faults
        self._most = settings.most_decompressed
        retry = Packed()
        retry.Pack(RetryInfo(retry_delay=Duration(seconds=settings.retry_after_seconds)))
        self._retry = retry

    def __call__(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        tenant = self._tokens.tenant(_authorization(context.invocation_metadata())) or ""
        try:
            # Who has to give way is answered CANCELLED, after which OTLP's clients try again.
            with self._room.reading(context.cancel) as place:
                request = self._read(messages, place)
                if request is not None:
                    taken = self._sink(Arrived(body=request, tenant=tenant))
                    return partial_success(self._signal, taken)
            code, message = grpc.StatusCode.RESOURCE_EXHAUSTED, f"no message of at most {self._most} bytes has come"
        except MalformedError as error:
            code, message = grpc.StatusCode.INVALID_ARGUMENT, str(error)
        except (OverloadedError, FullError) as error:
            code, message = grpc.StatusCode.UNAVAILABLE, str(error) or "too many requests at once"
            status = Status(code=code.value[0], message=message, details=[self._retry])
            context.set_trailing_metadata(((_DETAILS, status.SerializeToString()),))
        except Exception as error:  # noqa: BLE001 (the next request is served all the same)
            self._faults.add("receiver", "a request over gRPC could not be handled", error)
            code, message = grpc.StatusCode.INTERNAL, "internal error"
        context.abort(code, message)
        return b""

    @staticmethod
    def _read(messages: Iterator[bytes], place: Place) -> bytes | None:
        """The message; None where there is none that can be had: it is too large, or the call is over."""
        try:
            message = next(messages)
        except (StopIteration, grpc.RpcError):
            return None
        place.hold(len(message))
        place.whole()
        return message


def _authorization(metadata: Any) -> str:
    return next((str(value) for key, value in metadata or () if key == "authorization"), "")
