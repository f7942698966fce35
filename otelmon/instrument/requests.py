"""RequestMiddleware: what a request pays. Pure ASGI, guarded, a few microseconds."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any

from otelmon.faults import Faults
from otelmon.instrument.exemplars import EXEMPLARS, Exemplar, trace_id
from otelmon.instrument.lifecycle import ASGIApp, Lifecycle, Message, Receive, Scope, Send
from otelmon.instrument.model import CLIENT_CLOSED_REQUEST, INCOMPLETE_RESPONSE, Traffic
from otelmon.instrument.own_pages import OwnPages
from otelmon.instrument.recorder import Counts, Lane
from otelmon.instrument.routes import ERROR_KEY, RouteOf

_COUNTED = "otelmon.counted"
UNCOUNTED = "otelmon.uncounted"
"""The key of a scope by which whoever answers says that the exchange is not to be counted."""
_FAULT = "requests"
_FAULT_TEXT = "a request could not be counted"


def error_type(error: BaseException) -> str:
    """The error.type of an exception: the qualified name of its class, without ``builtins``."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


class RequestMiddleware:
    """Counts the exchanges of an ASGI app. Nothing of ours fails a request or alters a message.

    What is counted: the duration from the receipt of the request to its last body byte (trailers and pathsend
    included), so not background tasks; the route's template; the status. The error type is empty for a success and
    for a 4xx; the status as text for a 5xx; the exception's class where one left the app (500 where no response was
    started, else the status as sent); INCOMPLETE_RESPONSE where the handler returned without completing one. A client
    that left (http.disconnect before the end, OSError from the server's send, a cancelled task) is no error: the
    status as sent, CLIENT_CLOSED_REQUEST where none was. Event streams and websockets are lanes of their own; an
    accepted websocket has status 101, a refused one 403 or the status of its denial.

    ``counts`` may be exchanged while requests run (`count_into`); None passes requests through. An exchange ends
    where it began. Excluded paths (exact, or a prefix that ends in ``*``) and exchanges that another RequestMiddleware
    counts already are passed through. ``root`` is the application as the user gave it, ``app`` the next ASGI callable.
    ``outermost`` says that nothing of the app lies outside of this middleware: a 5xx is then counted when the app
    returns, because the exception that caused it comes after its response. ``own_pages`` are answered here, before the
    app, and not counted. ``on_error`` is given the exceptions that leave the app, unless the client had left before.
    """

    def __init__(
        self,
        app: ASGIApp,
        counts: Counts,
        *,
        root: Any,
        route_of: RouteOf,
        lifecycle: Lifecycle,
        faults: Faults,
        excluded: Iterable[str] = (),
        outermost: bool = False,
        answers_lifespan: bool = False,
        own_pages: OwnPages | None = None,
    ) -> None:
        self.app = app
        self.root = root
        self.lifecycle = lifecycle
        self.outermost = outermost
        self.route_of = route_of
        self.faults = faults
        self.on_error: Callable[[BaseException], None] | None = None
        self._own_counts = counts
        self._counts: Counts | None = counts
        self._answers_lifespan = answers_lifespan
        self._own_pages = own_pages
        # Left out of what is counted like excluded paths, so that other requests pay for one look-up, not for two.
        paths = (*excluded, *(own_pages.patterns if own_pages is not None else ()))
        self._excluded = frozenset(path for path in paths if not path.endswith("*"))
        self._excluded_prefixes = tuple(path[:-1] for path in paths if path.endswith("*"))
        self._excludes = bool(paths)
        _living.add(self)

    def count_into(self, counts: Counts | None) -> None:
        """Count from now on into these counts, or not at all; what the first ones hold is dropped."""
        self._counts = counts
        if counts is not self._own_counts:
            self._own_counts.forget()

    def around(self, app: ASGIApp) -> RequestMiddleware:
        """Become the middleware around this app: what a framework calls when it builds its stack."""
        self.app = app
        return self

    def forked(self) -> None:
        """This is a new process: its counts begin at zero and otelmon is yet to start."""
        self._own_counts.forget()
        self._counts = self._own_counts
        self.lifecycle.forked()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one exchange."""
        try:
            lane = self._enter(scope)
            exchange = _EXCHANGES[scope["type"]](self, scope, receive, send, lane) if lane is not None else None
        except Exception as error:  # noqa: BLE001 (never reaches the host application)
            self.faults.add(_FAULT, _FAULT_TEXT, error)
            exchange = None
        if exchange is None:
            await self._pass(scope, receive, send)
            return
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            if self.on_error is not None and not exchange.left:
                self.on_error(error)
            exchange.raised(error)
            raise
        if exchange.open:
            exchange.returned()

    def _enter(self, scope: Scope) -> Lane | None:
        """The lane of an exchange that is to be counted, begun."""
        kind = scope["type"]
        if kind not in _EXCHANGES:
            return None
        if self.lifecycle.pending:
            self.lifecycle.first_traffic()
        counts = self._counts
        if counts is None or _COUNTED in scope or (self._excludes and self._is_excluded(scope)):
            return None
        if kind == "http":
            method, scheme = scope["method"], scope.get("scheme", "http")
            lane = counts.requests.get((method, scheme)) or counts.lane(Traffic.REQUEST, method, scheme)
        else:
            lane = counts.lane(Traffic.WEBSOCKET, "GET", scope.get("scheme", "ws"))
        scope[_COUNTED] = counts
        lane.begin()
        return lane

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            pages = self._own_pages
            ours = pages is not None and scope["type"] == "http" and _path_below(scope).startswith(pages.prefixes)
            await (pages.answer if ours and pages is not None else self.app)(scope, receive, send)
        elif self._answers_lifespan:
            await self.lifecycle.own_lifespan(receive, send)
        else:
            await self.lifecycle.lifespan(self.app, scope, receive, send)

    def _is_excluded(self, scope: Scope) -> bool:
        path = _path_below(scope)
        return path in self._excluded or path.startswith(self._excluded_prefixes)


class _Exchange:
    """One request on its way through the app; ``open`` until it is counted."""

    __slots__ = (
        "_headers",
        "_lane",
        "_left",
        "_middleware",
        "_receive",
        "_scope",
        "_send",
        "_started_at",
        "_status",
        "_trace",
        "_trailers",
        "ended_at",
        "open",
    )

    def __init__(self, middleware: RequestMiddleware, scope: Scope, receive: Receive, send: Send, lane: Lane) -> None:
        self._middleware = middleware
        self._scope = scope
        self._receive = receive
        self._send = send
        self._lane = lane
        self._status = 0
        self._trace = ""
        self._trailers = False
        self._left = False
        self._headers: Any = None
        self.ended_at: float | None = None
        self.open = True
        self._started_at = perf_counter()

    @property
    def left(self) -> bool:
        """Whether the client has left."""
        return self._left

    async def receive(self) -> Message:
        """The app's receive: sees the client leave."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._left = True
        return message

    async def send(self, message: Message) -> None:
        """The app's send: sees the status and the last body byte."""
        try:
            await self._send(message)
        except OSError:
            # The server says by this that the client is gone (ASGI 2.4). An OSError of the app's own never comes here.
            self._left = True
            raise
        try:
            kind = message["type"]
            if kind == "http.response.start":
                self._status = message["status"]
                self._headers = message.get("headers")
                self._trailers = message.get("trailers", False)
                if self._status >= 500:
                    self._trace = trace_id(self._scope)  # its span may be over once the app returns
            elif self.open and self._is_last(kind, message):
                if self._status < 500:
                    self._count("", perf_counter())
                elif self._middleware.outermost:
                    self.ended_at = perf_counter()
                else:
                    self._count(str(int(self._status)), perf_counter())
        except Exception as error:  # noqa: BLE001 (never reaches the host application)
            self._middleware.faults.add(_FAULT, _FAULT_TEXT, error)

    def raised(self, error: BaseException) -> None:
        """The app let an exception out."""
        if not self.open:
            return
        try:
            if self.ended_at is not None:
                self._count(error_type(error), self.ended_at, error)
            elif self._left or _is_cancellation(error):
                self._abandon()
            else:
                self._status = self._status or 500
                self._count(error_type(error), perf_counter(), error)
        except Exception as fault:  # noqa: BLE001 (never reaches the host application)
            self._middleware.faults.add(_FAULT, _FAULT_TEXT, fault)

    def returned(self) -> None:
        """The app returned, and its response was not counted yet."""
        try:
            if self.ended_at is not None:
                self._count(str(int(self._status)), self.ended_at)
            elif self._left:
                self._abandon()
            else:
                self._count(INCOMPLETE_RESPONSE, perf_counter())
        except Exception as error:  # noqa: BLE001 (never reaches the host application)
            self._middleware.faults.add(_FAULT, _FAULT_TEXT, error)

    def _is_last(self, kind: str, message: Message) -> bool:
        if kind in {"http.response.body", "http.response.zerocopysend"}:
            if not message.get("more_body", False):
                return not self._trailers
            if self._headers is not None:
                self._look_for_event_stream()
            return False
        if kind == "http.response.trailers":
            return not message.get("more_trailers", False)
        return kind == "http.response.pathsend"

    def _look_for_event_stream(self) -> None:
        """Move an event stream to its own lane; asked once, and only of responses that come in pieces."""
        headers, self._headers = self._headers, None
        for name, value in headers:
            if name.lower() == b"content-type":
                if value.lower().startswith(b"text/event-stream"):
                    lane = self._scope[_COUNTED].lane(
                        Traffic.EVENT_STREAM, self._scope["method"], self._scope.get("scheme", "http")
                    )
                    lane.begin()
                    self._lane.leave()
                    self._lane = lane
                return

    def _abandon(self) -> None:
        self._status = self._status or CLIENT_CLOSED_REQUEST
        self._count("", perf_counter())

    def _count(self, failure: str, ended_at: float, error: BaseException | None = None) -> None:
        self.open = False
        scope = self._scope
        if UNCOUNTED in scope:
            self._lane.leave()
            return
        try:
            route = self._middleware.route_of(scope)
            if failure and ERROR_KEY in scope and self._status >= 500:
                failure = scope[ERROR_KEY]
        except Exception as fault:  # noqa: BLE001 (the request is counted all the same)
            self._middleware.faults.add(_FAULT, "the route of a request could not be read", fault)
            route = ""
        seconds = ended_at - self._started_at
        self._lane.end(route, self._status, failure, seconds)
        if (failure or seconds > EXEMPLARS.slowest) and scope["type"] == "http":
            found = Exemplar(
                method=scope["method"],
                route=route,
                error_type=failure,
                seconds=seconds,
                trace_id=self._trace or trace_id(scope),
            )
            EXEMPLARS.note(found, error)


class _WebSocket(_Exchange):
    """One websocket connection; its end is the app's return."""

    __slots__ = ()

    async def receive(self) -> Message:
        """The app's receive: sees the client leave."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._left = True
        return message

    async def send(self, message: Message) -> None:
        """The app's send: sees whether the connection is accepted, refused or denied."""
        try:
            await self._send(message)
        except OSError:
            self._left = True
            raise
        try:
            kind = message["type"]
            if kind == "websocket.http.response.start":
                self._status = message["status"]
            elif not self._status and kind in _WEBSOCKET_STATUS:
                self._status = _WEBSOCKET_STATUS[kind]
        except Exception as error:  # noqa: BLE001 (never reaches the host application)
            self._middleware.faults.add(_FAULT, _FAULT_TEXT, error)

    def returned(self) -> None:
        """The app returned: the connection is over."""
        try:
            if self._status:
                self._count("" if self._status < 500 else str(int(self._status)), perf_counter())
            elif self._left:
                self._abandon()
            else:
                self._count(INCOMPLETE_RESPONSE, perf_counter())
        except Exception as error:  # noqa: BLE001 (never reaches the host application)
            self._middleware.faults.add(_FAULT, _FAULT_TEXT, error)


# Accepted: 101 Switching Protocols. Closed before it was accepted: the server answers 403 (ASGI, websocket.close).
_WEBSOCKET_STATUS = {"websocket.accept": 101, "websocket.close": 403}
_EXCHANGES: dict[str, Callable[..., _Exchange]] = {"http": _Exchange, "websocket": _WebSocket}
_living: weakref.WeakSet[RequestMiddleware] = weakref.WeakSet()


def _path_below(scope: Scope) -> str:
    """The path below the one that the app is mounted at."""
    path: str = scope["path"]
    root_path: str = scope.get("root_path", "")
    return path[len(root_path) :] or "/" if root_path and path.startswith(root_path) else path


def _is_cancellation(error: BaseException) -> bool:
    """Whether a task was cancelled (asyncio, trio) or closed, rather than failed."""
    return not isinstance(error, Exception) and not isinstance(error, KeyboardInterrupt | SystemExit)


def _after_fork_in_child() -> None:
    for middleware in list(_living):
        middleware.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
