"""The HTTP under the stand-in: threads, sockets, and the ways in which a server can misbehave."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

_LONGEST_BODY = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request, read whole. ``target`` is path and query as sent; ``headers`` have lower-case names."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The path alone."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; of one given twice, the last."""
        return dict(parse_qsl(urlsplit(self.target).query))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer, and how it is to be sent: ``dropped`` not at all (``hang``: only after the client has gone)."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    dropped: bool = False
    hang: bool = False
    drip_seconds: float | None = None
    drip_headers: bool = False

    @classmethod
    def json(cls, status: int, body: Any, headers: Mapping[str, str] | None = None) -> Self:
        """JSON."""
        text = json.dumps(body).encode()
        return cls(status=status, body=text, headers={"Content-Type": "application/json", **(headers or {})})

    @classmethod
    def html(cls, text: str) -> Self:
        """A page that may load nothing from elsewhere."""
        policy = (
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
            "img-src 'self'"
        )
        headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy}
        return cls(status=200, body=text.encode("utf-8", "replace"), headers={**headers, "Cache-Control": "no-store"})


class Server:
    """A threading HTTP server on 127.0.0.1 that can be closed and opened again on the same port."""

    def __init__(self, answer: Callable[[Request], Reply], port: int = 0) -> None:
        self.port = port
        self._answer = answer
        self._http: _Listener | None = None
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Listen, and answer in threads."""
        if self._http is not None:
            return
        self._http = _Listener(("127.0.0.1", self.port), _Handler)
        self._http.answer = self._answer
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, name="discord-stand-in", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening, end every connection and wait for the threads."""
        if self._http is None or self._thread is None:
            return
        self._http.ended.set()
        self._http.shutdown()
        self._http.hang_up()
        self._http.server_close()
        self._thread.join()
        self._http = self._thread = None


class _Listener(ThreadingHTTPServer):
    daemon_threads = False  # so that server_close waits for them: nothing is left running after a test
    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:
        self.ended = threading.Event()
        self.answer: Callable[[Request], Reply] = lambda _: Reply(status=500)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def _handle(self) -> None:
        try:
            size = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            size = -1
        if not 0 <= size <= _LONGEST_BODY:
            self.close_connection = True
            self.send_error(413)
            return
        body = self.rfile.read(size)
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.answer(Request(method=self.command, target=self.path, headers=headers, body=body))
        if reply.hang:
            self._wait_for_the_client()
        if reply.dropped:
            self.close_connection = True
            return
        self._send(reply)

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _handle  # noqa: N815  # the names http.server asks for

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status != 204:
            self.send_header("Content-Length", str(len(reply.body)))
        if reply.drip_seconds is None:
            self.end_headers()
            self.wfile.write(reply.body)
            return
        self.send_header("Connection", "close")  # said, so that no client sends its next request into the closing
        wire, self.wfile = self.wfile, io.BytesIO()
        self.end_headers()
        head, self.wfile = self.wfile.getvalue(), wire
        if not reply.drip_headers:
            wire.write(head)
            head = b""
        for byte in head + reply.body:
            wire.write(bytes([byte]))
            if self.server.ended.wait(reply.drip_seconds):
                return

    def _wait_for_the_client(self) -> None:
        """Until it closes the connection, or the server ends (which shuts it down)."""
        with contextlib.suppress(OSError):
            while not self.server.ended.is_set() and self.connection.recv(4096):
                pass

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: the path holds the token."""
