"""OTLP/HTTP as an ASGI app: protobuf and JSON, and the answers that the specification asks for.

https://opentelemetry.io/docs/specs/otlp/#otlphttp. Senders try again after 429, 502, 503 and 504 and drop what is
answered by any other error, so those say "later" and 400, 413 and 415 "never".
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

from google.rpc.status_pb2 import Status

from otelmon.collect.limits import MalformedError, OverloadedError, Taken
from otelmon.collect.otlp import Signal
from otelmon.faults import Faults
from otelmon.server.arrivals import REJECTED, Arrived, ReceiverSettings, Sink, Tokens, partial_success
from otelmon.server.bodies import ENCODINGS, Body, BrokenError, TooLargeError
from otelmon.server.paged import PAGED_PATH, Told
from otelmon.server.room import FullError, Place, Room

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_Given = TypeVar("_Given")
_Made = TypeVar("_Made")

_PROTOBUF = "application/x-protobuf"
_JSON = "application/json"
_TEXT = "text/plain"
# What is handled on the event loop: it takes less than handing it to a thread and waiting for that.
_SMALL = 8 * 1024
# Of a request that is refused, so much is read for so long before the answer: a connection that is closed while data
# comes in is reset, and the client never reads why.
_SPARED_BYTES = 64 * 1024
_SPARED_SECONDS = 1.0
# google.rpc.Code (https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto)
_INVALID, _NOT_FOUND, _EXHAUSTED, _INTERNAL, _UNAVAILABLE, _UNAUTHENTICATED = 3, 5, 8, 13, 14, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer; ``close`` where what the client still sends is not read."""

    status: int
    body: bytes
    media: str
    headers: tuple[tuple[str, str], ...] = ()
    close: bool = False


class _RefusedError(Exception):
    def __init__(self, status: int, code: int, message: str, *, close: bool = False, **headers: str) -> None:
        super().__init__(message)
        self.status, self.code, self.close = status, code, close
        self.headers = tuple((name.replace("_", "-"), value) for name, value in headers.items())


class _Coming:
    """What is still to come of a request's body."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._over = False

    async def __call__(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        self._over = message["type"] == "http.disconnect" or not message.get("more_body", False)
        return message

    async def spare(self) -> None:
        """Read some of the rest, for nothing."""
        read = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(_SPARED_SECONDS):
                while not self._over and read < _SPARED_BYTES:
                    read += len((await self()).get("body", b""))


class OtlpHttp:
    """The ASGI app. ``executor`` runs what takes longer than the event loop may be held; ``room`` is what there is."""

    def __init__(
        self,
        settings: ReceiverSettings,
        sinks: Mapping[Signal, Sink],
        *,
        faults: Faults,
        executor: Executor,
        room: Room,
        told: Told | None = None,
    ) -> None:
        self._settings = settings
        self._sinks = {signal.path: (signal, sink) for signal, sink in sinks.items()}
        self._tokens = Tokens(settings.tokens)
        self._faults = faults
        self._executor = executor
        self._told = told
        self._room = room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        media = headers.get("content-type", "").partition(";")[0].strip().lower()
        # Who sends neither of OTLP's is no exporter, and reads text: somebody with curl or a browser.
        answered = media if media in {_JSON, _PROTOBUF} else _TEXT
        coming = _Coming(receive)
        try:
            answer = await self._answer(scope, headers, media, coming)
        except _RefusedError as refused:
            body = _status(refused.code, str(refused), answered)
            answer = Answer(
                status=refused.status, body=body, media=answered, headers=refused.headers, close=refused.close
            )
        except Exception as error:  # noqa: BLE001 (the next request is served all the same)
            self._faults.add("receiver", "a request over HTTP could not be handled", error)
            body = _status(_INTERNAL, "internal error", answered)
            answer = Answer(status=500, body=body, media=answered, close=True)
        if answer is None:
            return
        # Who waits to be told to go on is not told so; who was too slow has had its time.
        if answer.close and "expect" not in headers and answer.status != HTTPStatus.REQUEST_TIMEOUT:
            await coming.spare()
        await _send(send, answer)

    async def _answer(self, scope: Scope, headers: Mapping[str, str], media: str, receive: Receive) -> Answer | None:
        if "content-length" in headers and "transfer-encoding" in headers:
            # A proxy in front may see the end of the body elsewhere (RFC 9112, 6.3).
            raise _RefusedError(400, _INVALID, "Content-Length and Transfer-Encoding exclude each other", close=True)
        if self._told is not None and scope["path"] == PAGED_PATH:
            return self._paged(self._told, scope, headers)
        signal, sink = self._sink(scope)
        tenant = self._tenant(scope, headers)
        if media not in {_PROTOBUF, _JSON}:
            raise _RefusedError(415, _INVALID, f"Content-Type is to be {_PROTOBUF} or {_JSON}", close=True)
        encoding = headers.get("content-encoding", "").strip().lower() or "identity"
        if encoding not in ENCODINGS:
            raise _RefusedError(
                415, _INVALID, "Content-Encoding is not known", close=True, accept_encoding=", ".join(ENCODINGS[:3])
            )
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._settings.most_body:
            raise _RefusedError(413, _INVALID, f"the body is larger than {self._settings.most_body} bytes", close=True)
        most = self._settings.most_json if media == _JSON else self._settings.most_decompressed
        body = Body(encoding, most=self._settings.most_body, most_decompressed=most)
        patience = asyncio.timeout(self._settings.body_seconds)
        with self._room.reading(partial(_end, patience)) as place:
            try:
                async with patience:
                    whole = await self._read(body, place, receive)
                if whole is None:
                    return None
                place.whole()
            except TimeoutError as error:
                if place.gone:
                    raise self._later("too many requests at once", close=True) from error
                raise _RefusedError(408, _INVALID, "the body came too slowly", close=True) from error
            except FullError as error:
                raise self._later("too many requests at once", close=True) from error
            taken = await self._take(sink, Arrived(body=whole, json=media == _JSON, tenant=tenant))
        return Answer(status=200, body=_partial(signal, taken, media), media=media)

    def _paged(self, told: Told, scope: Scope, headers: Mapping[str, str]) -> Answer:
        tenant = self._tenant(scope, headers)
        status, body = told(scope["query_string"].decode("ascii", "replace"), tenant)
        return Answer(status=status, body=body, media=_JSON, close=scope["method"] != "GET")

    def _tenant(self, scope: Scope, headers: Mapping[str, str]) -> str:
        authorization = headers.get("authorization", "")
        tenant = self._tokens.tenant(authorization)
        if tenant is None:
            why = self._tokens.refusal(authorization, (scope.get("client") or ("somebody",))[0])
            raise _RefusedError(401, _UNAUTHENTICATED, why, close=True, www_authenticate="Bearer")
        return tenant

    def _sink(self, scope: Scope) -> tuple[Signal, Sink]:
        found = self._sinks.get(scope["path"])
        if found is None:
            served = ", ".join(self._sinks)
            why = "nothing is taken here"
            if any(scope["path"] == signal.path for signal in Signal):
                why = "this signal is only passed on, and `forward:` names nowhere for it"
            raise _RefusedError(404, _NOT_FOUND, f"{why}; this server takes {served}", close=True)
        if scope["method"] != "POST":
            raise _RefusedError(405, _INVALID, "OTLP is sent by POST", close=True, allow="POST")
        return found

    async def _read(self, body: Body, place: Place, receive: Receive) -> bytes | None:
        """The whole body, None where the client is gone."""
        try:
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                data, more = message.get("body", b""), message.get("more_body", False)
                if body.plain or len(data) <= _SMALL:
                    held = body.feed(data)
                else:
                    held = await self._aside(body.feed, data)
                place.hold(held)
            return body.whole()
        except TooLargeError as error:
            raise _RefusedError(413, _INVALID, str(error), close=True) from error
        except BrokenError as error:
            raise _RefusedError(400, _INVALID, str(error), close=True) from error

    async def _aside(self, action: Callable[[_Given], _Made], given: _Given) -> _Made:
        """In a thread, for the event loop serves everybody."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, action, given)

    async def _take(self, sink: Sink, arrived: Arrived) -> Taken:
        try:
            # While another one is handled, over HTTP or gRPC, this one may have to wait for it.
            if len(arrived.body) <= _SMALL and self._room.handling == 1:
                return sink(arrived)
            return await self._aside(sink, arrived)
        except MalformedError as error:
            raise _RefusedError(400, _INVALID, str(error)) from error
        except OverloadedError as error:
            raise self._later(str(error)) from error

    def _later(self, why: str, *, close: bool = False) -> _RefusedError:
        return _RefusedError(503, _UNAVAILABLE, why, close=close, retry_after=str(self._settings.retry_after_seconds))


def _end(patience: asyncio.Timeout) -> None:
    with suppress(RuntimeError):  # it ends already
        patience.reschedule(0.0)


async def _send(send: Send, answer: Answer) -> None:
    headers = [("content-type", answer.media), ("content-length", str(len(answer.body))), *answer.headers]
    if answer.close:
        headers.append(("connection", "close"))
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})
    await send({"type": "http.response.body", "body": answer.body})


def _status(code: int, message: str, media: str) -> bytes:
    if media == _TEXT:
        return f"{message}\n".encode()
    if media == _JSON:
        return json.dumps({"code": code, "message": message}).encode()
    return bytes(Status(code=code, message=message).SerializeToString())


def _partial(signal: Signal, taken: Taken, media: str) -> bytes:
    if media == _PROTOBUF:
        return partial_success(signal, taken)
    if not taken.rejected and not taken.message:
        return b"{}"
    # 64-bit integers are texts in OTLP/JSON.
    partial = {REJECTED[signal].json: str(taken.rejected), "errorMessage": taken.message}
    return json.dumps({"partialSuccess": partial}).encode()
