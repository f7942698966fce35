"""HTTP/2 by hand: calls of gRPC as no library would send them, and how they are answered."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

import grpc
from hpack import Decoder, Encoder

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
_END_STREAM, _END_HEADERS = 1, 4
_FRAME = 16384


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame (RFC 9113, section 4.1)."""
    return struct.pack("!I", len(payload))[1:] + bytes([kind, flags]) + struct.pack("!I", stream) + payload


def message(body: bytes, *, compressed: int = 0, length: int | None = None) -> bytes:
    """A message of gRPC, whose head may say another length."""
    return struct.pack("!BI", compressed, len(body) if length is None else length) + body


class Calls:
    """A connection with calls on it."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        """``tls`` speaks h2."""
        plain = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket = plain if tls is None else tls.wrap_socket(plain, server_hostname="127.0.0.1")
        self._encoder, self._decoder = Encoder(), Decoder()
        self._stream = -1
        self._came = b""
        self._socket.sendall(PREFACE + frame(SETTINGS, 0, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def begin(self, path: str = EXPORT, headers: Iterable[tuple[str, str]] = (), *, only: bool = False) -> int:
        """The head of a call; ``only`` where nothing follows. Returns its stream."""
        self._stream += 2
        usual = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x"), ("te", "trailers")]
        head = self._encoder.encode([*usual, ("content-type", "application/grpc"), *headers])
        self.send(frame(HEADERS, _END_HEADERS | (_END_STREAM if only else 0), self._stream, head))
        return self._stream

    def data(self, stream: int, data: bytes, *, last: bool = True) -> None:
        """A piece of a call's data, in frames; the window is 64 KiB where the server opens it no further."""
        pieces = [data[at : at + _FRAME] for at in range(0, len(data), _FRAME)] or [b""]
        for index, piece in enumerate(pieces):
            end = _END_STREAM if last and index == len(pieces) - 1 else 0
            self.send(frame(DATA, end, stream, piece))

    def send(self, raw: bytes) -> None:
        """Bytes as they are."""
        with suppress(ConnectionError):  # the answer says what the server thinks of it
            self._socket.sendall(raw)

    def flood(self, size: int) -> None:
        """A head of a call, in frames that say that more of it follows."""
        fields = b"\x00\x03x-a\x7f\xa1\x02" + b"q" * 416
        piece = fields * (_FRAME // len(fields))
        self.send(frame(HEADERS, 0, 1, self._encoder.encode([(":method", "POST"), (":path", EXPORT)])))
        for _ in range(size // len(piece)):
            self.send(frame(CONTINUATION, 0, 1, piece))

    def status(self, stream: int) -> grpc.StatusCode | None:
        """How a call ended; None where the connection or the call was ended without a word."""
        while True:
            found = self._frame()
            if found is None:
                return None
            kind, flags, of, payload = found
            if kind == HEADERS:
                headers = dict(self._decoder.decode(payload))
                if of == stream and flags & _END_STREAM and "grpc-status" in headers:
                    return _CODES[int(headers["grpc-status"])]
            elif (kind == RST_STREAM and of == stream) or kind == GOAWAY:
                return None

    def _frame(self) -> tuple[int, int, int, bytes] | None:
        head = self._exactly(9)
        if head is None:
            return None
        payload = self._exactly(int.from_bytes(head[:3], "big"))
        return None if payload is None else (head[3], head[4], int.from_bytes(head[5:9], "big"), payload)

    def _exactly(self, size: int) -> bytes | None:
        while len(self._came) < size:
            try:
                piece = self._socket.recv(65536)
            except ConnectionError:
                return None
            if not piece:
                return None
            self._came += piece
        taken, self._came = self._came[:size], self._came[size:]
        return taken


_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


def statuses(port: int, calls: Sequence[bytes]) -> list[grpc.StatusCode | None]:
    """What calls with this data are answered, each on a connection of its own."""
    found = []
    for each in calls:
        with Calls(port) as connection:
            stream = connection.begin()
            connection.data(stream, each)
            found.append(connection.status(stream))
    return found
