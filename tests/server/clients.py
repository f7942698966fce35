"""A receiver that feeds an ingest, and raw sockets to misbehave with."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from otelmon.collect.ingest import Ingest
from otelmon.collect.limits import Taken
from otelmon.collect.otlp import Signal
from otelmon.faults import Faults
from otelmon.server.arrivals import Arrived, ReceiverSettings
from otelmon.server.receiver import Receiver

SETTINGS = ReceiverSettings(
    http_port=0, grpc_port=None, most_body=64 * 1024, most_decompressed=256 * 1024, most_json=128 * 1024
)


class Server:
    """A receiver that listens, with what came in."""

    def __init__(self, signals: Iterable[Signal], settings: ReceiverSettings) -> None:
        self.ingest, self.faults = Ingest(faults=Faults()), Faults()
        self.receiver = Receiver(settings, dict.fromkeys(signals, self.take), faults=self.faults)
        self.arrived: list[Arrived] = []
        self.hold = threading.Event()
        self.hold.set()
        self.error: Exception | None = None
        self.partly: Taken | None = None

    def take(self, arrived: Arrived) -> Taken:
        self.hold.wait(60)
        if self.error is not None:
            raise self.error
        if self.partly is not None:
            return self.partly
        self.arrived.append(arrived)
        take = self.ingest.take_json if arrived.json else self.ingest.take
        return take(arrived.body, at=time.time(), tenant=arrived.tenant)

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.receiver.http_port}"

    def ask(
        self, body: bytes = b"", *, path: str = "/v1/metrics", method: str = "POST", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request on a connection of its own; the status, headers and body of the answer."""
        fields = {"content_type": "application/x-protobuf", "content_length": str(len(body)), **headers}
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\n"
        head += "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items() if value)
        with self.connected() as connection:
            connection.sendall(head.encode() + b"\r\n" + body)
            return answer(connection)

    @contextmanager
    def connected(self) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.receiver.http_port or 0), timeout=60) as connection:
            yield connection


def answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read an answer."""
    came = b""
    while b"\r\n\r\n" not in came:
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionError("no answer")
        came += piece
    head, _, body = came.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    return int(first.split()[1]), headers, body


@contextmanager
def serving(*, signals: tuple[Signal, ...] = (Signal.METRICS,), **changes: Any) -> Iterator[Server]:
    """A server with these settings."""
    server = Server(signals, replace(SETTINGS, **changes))
    server.receiver.start()
    try:
        yield server
    finally:
        server.hold.set()
        server.receiver.stop()
