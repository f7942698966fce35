"""Patience: what a connection may cost before its request is there, and after. uvicorn itself waits for ever."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, ClassVar

_TOO_LARGE_HEAD = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Bounds of a connection."""

    head_seconds: float = 10.0
    """How long it may send no whole head of a request."""
    answer_seconds: float = 20.0
    """How long it may not read what it is answered."""
    connections: int = 1000
    """How many there may be. For one more, the one that waits for longest for a request's head is ended."""
    head_bytes: int = 64 * 1024
    """Of a request's head."""
    request_bytes: int = 17 * 1024 * 1024
    """Of a request in all as it is sent, with what chunks are wrapped in and trailers."""


def patient(patience: Patience) -> type[asyncio.Protocol]:
    """Uvicorn's protocol with these bounds, for one listener."""
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    return type("Patient", (_Bounded, AutoHTTPProtocol), {"patience": patience, "waiting": {}})


class _Bounded:
    """What bounds either of uvicorn's protocols, which stands behind it in the order of classes."""

    patience: ClassVar[Patience]
    # By when they began to wait for a head, the longest first.
    waiting: ClassVar[dict[_Bounded, None]]

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    connections: set[Any]
    cycle: Any
    _head_end: asyncio.TimerHandle | None = None
    _answer_end: asyncio.TimerHandle | None = None
    _came = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)  # type: ignore[misc]
        if len(self.connections) >= self.patience.connections and self.waiting:
            longest = next(iter(self.waiting))
            longest.stop_waiting()
            longest.transport.abort()
        self._wait()

    def data_received(self, data: bytes) -> None:
        before = self._serves()
        self._came += len(data)
        super().data_received(data)  # type: ignore[misc]
        if not self._serves():
            self._wait()
            if self._came > self.patience.head_bytes and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE_HEAD)
                self.transport.close()
            return
        self.stop_waiting()
        if not before:
            self._came = 0  # its head has come
        elif self._came > self.patience.request_bytes:
            self.transport.abort()

    def on_response_complete(self) -> None:
        super().on_response_complete()  # type: ignore[misc]
        self._came = 0
        if not self._serves():
            self.waiting[self] = None

    def pause_writing(self) -> None:
        super().pause_writing()  # type: ignore[misc]
        if self._answer_end is None:
            self._answer_end = self.loop.call_later(self.patience.answer_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()  # type: ignore[misc]
        if self._answer_end is not None:
            self._answer_end.cancel()
            self._answer_end = None

    def connection_lost(self, exc: Exception | None) -> None:
        self.stop_waiting()
        if self._answer_end is not None:
            self._answer_end.cancel()
        super().connection_lost(exc)  # type: ignore[misc]

    def _serves(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> None:
        if self._head_end is None:
            self.waiting[self] = None
            self._head_end = self.loop.call_later(self.patience.head_seconds, self.transport.abort)

    def stop_waiting(self) -> None:
        """A request is there, or the connection ends."""
        self.waiting.pop(self, None)
        if self._head_end is not None:
            self._head_end.cancel()
            self._head_end = None
