"""One request and its answer over HTTP, over within a bound, telling nobody where it went."""

from __future__ import annotations

import codecs
import contextlib
import json
import logging
import math
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from opentelemetry import context

from otelmon.clock import Clock, SystemClock

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 10.0
BODY_LIMIT = 256 * 1024
"""Bytes of an answer that are read; an answer to a webhook is far smaller."""

# What tells OpenTelemetry's instrumentations of HTTP clients to keep out: a span would carry the address.
_NO_TRACE = (context._SUPPRESS_INSTRUMENTATION_KEY, context._SUPPRESS_HTTP_INSTRUMENTATION_KEY)  # noqa: SLF001
_ours = threading.local()


class ExchangeError(Exception):
    """There was no answer; the message says why, without the address.

    ``uncertain`` is true when the request had been begun, so that the other side may have acted on it.
    """

    def __init__(self, message: str, *, uncertain: bool = False) -> None:
        super().__init__(message)
        self.uncertain = uncertain


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer. ``body`` is its JSON (None where it is none), ``seconds`` how long it took to come.

    ``html`` is true for a web page: the word of a proxy or a portal on the way, never that of an API.
    """

    status: int
    headers: Mapping[str, str]
    body: Any
    seconds: float
    html: bool = False


class BoundedClient:
    """An HTTP client whose exchange ends within ``total_seconds``, whatever the other side (or DNS) does.

    httpx bounds the wait for each piece of an answer, so a server that drips bytes holds its caller for ever: the
    exchange runs in a thread of its own, whose sockets are shut down when the time is over. Connections are not kept: a
    kept one that the server has closed meanwhile is a failure (or a page sent twice) for the sake of milliseconds.
    Proxies and certificates come from the standard environment variables.
    """

    def __init__(
        self,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        total_seconds: float = TOTAL_SECONDS,
        clock: Clock | None = None,
        verify: Callable[[], ssl.SSLContext | bool] = lambda: True,
    ) -> None:
        """``verify`` is asked for whose certificates are trusted when the client is opened; it may raise OSError."""
        self.total_seconds = total_seconds
        # Longer than the whole, so that the whole is what ends an exchange; a net under a socket that cannot be shut.
        self._timeout = httpx.Timeout(2 * total_seconds, connect=min(connect_seconds, total_seconds))
        self._clock = clock or SystemClock()
        self._verify = verify
        self._client: httpx.Client | None = None

    def exchange(
        self,
        method: str,
        url: httpx.URL,
        body: Mapping[str, Any] | bytes,
        headers: Mapping[str, str] | None = None,
        *,
        within_seconds: float = math.inf,
    ) -> Reply:
        """Send JSON (bytes are sent as they are) and return the answer, whatever its status.

        ``within_seconds`` is for an exchange that is to be over sooner than others. Raises ExchangeError when there is
        no answer.
        """
        total_seconds = min(self.total_seconds, within_seconds)
        started = self._clock.monotonic()
        attempt = _Attempt(
            client=self._opened(),
            method=method,
            url=url,
            content=body if isinstance(body, bytes) else json.dumps(body).encode(),
            sent_headers={"Content-Type": "application/json", **(headers or {})},
        )
        thread = threading.Thread(target=attempt.run, name="otelmon-exchange", daemon=True)
        thread.start()
        if not attempt.done.wait(total_seconds) and attempt.abandon():
            self._client = None  # the thread that still uses it closes it
            raise ExchangeError(f"no whole answer within {total_seconds:g} s", uncertain=attempt.written)
        if attempt.failure:
            raise ExchangeError(attempt.failure, uncertain=attempt.written)
        return Reply(
            status=attempt.status,
            headers=attempt.headers,
            body=_json(attempt.received),
            seconds=max(0.0, self._clock.monotonic() - started),
            html=_is_html(attempt.headers, attempt.received),
        )

    def _opened(self) -> httpx.Client:
        if self._client is None:
            try:
                self._client = httpx.Client(
                    verify=self._verify(),
                    timeout=self._timeout,
                    limits=httpx.Limits(max_keepalive_connections=0),
                    headers={"User-Agent": "otelmon", "Accept": "application/json"},
                )
            except (ValueError, OSError, httpx.InvalidURL) as error:
                reason = f"the environment's proxy variables or the certificates cannot be used: {why(error)}"
                raise ExchangeError(reason) from None
        return self._client

    def close(self) -> None:
        """Let the connections go."""
        if self._client is not None:
            self._client.close()
            self._client = None


@dataclass(slots=True, kw_only=True)
class _Attempt:
    client: httpx.Client
    method: str
    url: httpx.URL
    content: bytes
    sent_headers: Mapping[str, str]
    done: threading.Event = field(default_factory=threading.Event)
    failure: str = ""
    written: bool = False
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    received: bytes = b""
    _abandoned: bool = False
    _socket: socket.socket | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        """The exchange; runs in its own thread."""
        with keep_to_ourselves():
            self._run()

    def _run(self) -> None:
        try:
            self._exchange()
        except Exception as error:  # noqa: BLE001  # whatever it was, the page is tried again
            self.failure = why(error)
        finally:
            with self._lock:
                self.done.set()
                abandoned = self._abandoned
            if abandoned:
                self.client.close()

    def abandon(self) -> bool:
        """Wake the thread, wherever it waits for the server; it closes the client. False if it was done just now."""
        with self._lock:
            if self.done.is_set():
                return False
            self._abandoned = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
            return True

    def _exchange(self) -> None:
        with self.client.stream(
            self.method,
            self.url,
            content=self.content,
            headers=self.sent_headers,
            extensions={"trace": self._trace},
        ) as response:
            received = bytearray()
            for piece in response.iter_bytes():
                received += piece
                if len(received) > BODY_LIMIT:
                    break
            self.status, self.headers, self.received = response.status_code, response.headers, bytes(received)

    def _trace(self, name: str, info: Mapping[str, Any]) -> None:
        """Told of each step by httpcore: remember the socket once there is one (and again once it speaks TLS)."""
        if name.endswith(".send_request_headers.started"):
            self.written = True
        if not name.endswith((".connect_tcp.complete", ".start_tls.complete")):
            return
        opened = info["return_value"].get_extra_info("socket")
        with self._lock:
            self._socket = opened
            if self._abandoned:
                raise ExchangeError("abandoned")


@contextlib.contextmanager
def keep_to_ourselves() -> Iterator[None]:
    """Within, what this thread sends is neither logged by httpx nor traced: both would tell the address."""
    _silence()
    ambient = context.get_current()
    for key in _NO_TRACE:
        ambient = context.set_value(key, True, ambient)
    token = context.attach(ambient)
    _ours.active = True
    try:
        yield
    finally:
        _ours.active = False
        context.detach(token)


def why(error: Exception) -> str:
    """What went wrong, in words that cannot hold the address: an exception's own text may."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return f"{type(error).__name__} ({cause.strerror})"
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


def _is_html(headers: Mapping[str, str], received: bytes) -> bool:
    declared = headers.get("content-type", "").strip().lower().startswith("text/html")
    return declared or received.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"<")


def _json(received: bytes) -> Any:
    try:
        return json.loads(received)
    except (ValueError, RecursionError):
        return None


class _Silence(logging.Filter):
    """Keeps httpx and httpcore quiet in our own threads: they would log the address. The app's own use is untouched."""

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002
        return not getattr(_ours, "active", False)


_SILENCE = _Silence()


def _silence() -> None:
    # A filter of a parent logger does not see its children's records, so each that httpcore has is named.
    for name in ("httpx", *(f"httpcore.{part}" for part in ("connection", "http11", "http2", "proxy", "socks"))):
        logging.getLogger(name).addFilter(_SILENCE)
