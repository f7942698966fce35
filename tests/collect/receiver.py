"""OTLP receivers on loopback, one for HTTP and one for gRPC, that keep what they were sent."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as log_messages
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc as log_service
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as messages
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as service


class Received:
    """Requests in the order in which they came. ``refuse`` says how many of the next are not accepted.

    ``refusal`` is the status that HTTP answers them with; 0 for none, the connection breaks.
    """

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[messages.ExportMetricsServiceRequest] = []
        self.logs: list[log_messages.ExportLogsServiceRequest] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.refuse = 0
        self.refusal = 400
        self.hang = threading.Event()
        self.hang.set()

    def metric(self, name: str, index: int = -1) -> Any:
        """The metric of this name in a request, None when it has none."""
        for resource in self.requests[index].resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name == name:
                        return metric
        return None

    def log_records(self) -> list[Any]:
        """Every log record so far."""
        return [
            record
            for request in self.logs
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]


@contextmanager
def http_receiver() -> Iterator[Received]:
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.hang.wait(60)
            if received.refuse:
                received.refuse -= 1
                if not received.refusal:
                    self.close_connection = True
                    return
                self.send_response(received.refusal)
            else:
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path.endswith("/v1/logs"):
                    received.logs.append(log_messages.ExportLogsServiceRequest.FromString(body))
                else:
                    received.requests.append(messages.ExportMetricsServiceRequest.FromString(body))
                received.paths.append(self.path)
                received.headers.append({key.lower(): value for key, value in self.headers.items()})
                self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    received.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield received
    finally:
        received.hang.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def grpc_receiver() -> Iterator[Received]:
    received = Received()

    class Service(service.MetricsServiceServicer):
        def Export(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 (the protocol's name)
            if received.refuse:
                received.refuse -= 1
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no")
            received.requests.append(request)
            received.headers.append(dict(context.invocation_metadata()))
            return messages.ExportMetricsServiceResponse()

    class LogService(log_service.LogsServiceServicer):
        def Export(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 (the protocol's name)
            if received.refuse:
                received.refuse -= 1
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no")
            received.logs.append(request)
            return log_messages.ExportLogsServiceResponse()

    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    service.add_MetricsServiceServicer_to_server(Service(), server)
    log_service.add_LogsServiceServicer_to_server(LogService(), server)
    received.url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield received
    finally:
        server.stop(0).wait()
