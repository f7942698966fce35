"""OTLP backends on loopback, over HTTP and gRPC, that keep what they were sent and answer as a test says."""

from __future__ import annotations

import gzip
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from otelmon.collect.otlp import Signal
from otelmon.server.forward.grpc import _METHODS as METHODS

PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    """An answer: an HTTP status with headers, or a gRPC code with trailing metadata; a body where it is a success."""

    status: int = 200
    code: grpc.StatusCode = grpc.StatusCode.OK
    headers: Sequence[tuple[str, Any]] = ()
    body: bytes = b""
    details: str = ""


OK = Say()
Answer = Callable[[Signal, bytes], Say]


class Backend:
    """Requests in the order in which they came; ``taken`` are those that were answered with a success.

    ``show`` answers a GET over HTTP: a status and a body of JSON.
    """

    def __init__(self) -> None:
        self.url = ""
        self.port = 0
        self.answer: Answer = lambda _signal, _body: OK
        self.show: Callable[[str], tuple[int, bytes]] = lambda _path: (404, b"")
        self.asked: list[tuple[Signal, bytes]] = []
        self.taken: list[tuple[Signal, bytes]] = []
        self.headers: list[dict[str, str]] = []
        self._changed = threading.Condition()

    def decide(self, signal: Signal, body: bytes, headers: dict[str, str]) -> Say:
        with self._changed:
            said = self.answer(signal, body)
            self.asked.append((signal, body))
            self.headers.append(headers)
            if said.status == 200 and said.code is grpc.StatusCode.OK:
                self.taken.append((signal, body))
            self._changed.notify_all()
            return said

    def wait(self, until: Callable[[], bool]) -> None:
        """Until something is so, which is looked at whenever a request has come."""
        with self._changed:
            assert self._changed.wait_for(until, PATIENCE_SECONDS), "waited in vain"

    def values(self) -> list[int]:
        """The values of all points that were taken, in order."""
        return [value for signal, body in list(self.taken) if signal is Signal.METRICS for value in values_in(body)]


def body_of(*values: int) -> bytes:
    """A request with a gauge's points."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="test.value")
    for value in values:
        metric.gauge.data_points.add(as_int=value)
    return bytes(request.SerializeToString())


def values_in(body: bytes) -> list[int]:
    return [
        point.as_int
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.gauge.data_points
    ]


@contextmanager
def http_backend(backend: Backend | None = None, tls: ssl.SSLContext | None = None) -> Iterator[Backend]:
    """On a port of its own, or on that which the backend had before."""
    made = backend or Backend()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            signal = Signal[self.path.rpartition("/")[2].upper()]
            said = made.decide(signal, body, {key.lower(): value for key, value in self.headers.items()})
            self.send_response(said.status)
            for name, value in said.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said.body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(said.body)

        def do_GET(self) -> None:
            status, body = made.show(self.path)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_arguments: Any) -> None:
            """A client that went away, or that would not have our certificate."""

    server = Server(("127.0.0.1", made.port), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    made.port = server.server_address[1]
    made.url = f"http{'' if tls is None else 's'}://localhost:{made.port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def grpc_backend(
    backend: Backend | None = None, credentials: grpc.ServerCredentials | None = None
) -> Iterator[Backend]:
    """On a port of its own, or on that which the backend had before."""
    made = backend or Backend()

    def handler(signal: Signal) -> Any:
        def export(body: bytes, context: grpc.ServicerContext) -> bytes:
            said = made.decide(signal, body, dict(context.invocation_metadata()))
            if said.code is not grpc.StatusCode.OK:
                context.set_trailing_metadata(tuple(said.headers))
                context.abort(said.code, said.details)
            return said.body

        return grpc.unary_unary_rpc_method_handler(export)

    server = grpc.server(ThreadPoolExecutor(max_workers=4), options=[("grpc.so_reuseport", 0)])
    for signal, method in METHODS.items():
        service = method.split("/")[1]
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {"Export": handler(signal)})])
    place = f"127.0.0.1:{made.port}"
    made.port = server.add_insecure_port(place) if credentials is None else server.add_secure_port(place, credentials)
    made.url = f"http{'' if credentials is None else 's'}://localhost:{made.port}"
    server.start()
    try:
        yield made
    finally:
        server.stop(0).wait()


BACKENDS = {"http/protobuf": http_backend, "grpc": grpc_backend}
