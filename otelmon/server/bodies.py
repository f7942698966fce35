"""Bodies of requests, decompressed piece by piece, so that no bomb is ever larger in memory than what is allowed."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Protocol

ENCODINGS = ("gzip", "deflate", "zstd", "identity")
"""What Content-Encoding may say."""

_PIECE = 256 * 1024


class TooLargeError(Exception):
    """More than is taken; the message says which bound it is."""


class BrokenError(ValueError):
    """What is no such encoding, or is cut short."""


class _Decoder(Protocol):
    def feed(self, data: bytes, most: int) -> bytes:
        """What these bytes decompress to, at most so much and one byte more."""

    def end(self) -> None:
        """Raises BrokenError where more should have come."""


class Body:
    """Takes a body as it arrives. ``most`` bounds what comes in, ``most_decompressed`` what becomes of it, in bytes."""

    def __init__(self, encoding: str, *, most: int, most_decompressed: int) -> None:
        """``encoding`` is one of ENCODINGS."""
        self._most = most
        self._room = most_decompressed
        self._most_decompressed = most_decompressed
        self._came = 0
        self.plain = encoding == "identity"
        """Whether it is not compressed, so that taking it costs next to nothing."""
        self._decoder = _DECODERS[encoding]()
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> int:
        """Take the next bytes; returns how many they become. Raises TooLargeError and BrokenError."""
        self._came += len(data)
        if self._came > self._most:
            raise TooLargeError(f"the body is larger than {self._most} bytes")
        piece = self._decoder.feed(data, self._room)
        self._room -= len(piece)
        if self._room < 0:
            raise TooLargeError(f"the body is larger than {self._most_decompressed} bytes when it is decompressed")
        if piece:
            self._pieces.append(piece)
        return len(piece)

    def whole(self) -> bytes:
        """All of it, after the last `feed`. Raises BrokenError where it was cut short."""
        if self._came:
            self._decoder.end()
        return b"".join(self._pieces)


class _Plain:
    def feed(self, data: bytes, most: int) -> bytes:
        return data[: most + 1]

    def end(self) -> None:
        return


class _Zlib:
    """gzip, or zlib's own format, which HTTP calls deflate."""

    def __init__(self) -> None:
        self._decompress = zlib.decompressobj(zlib.MAX_WBITS | 32)  # tells the two formats apart by their heads

    def feed(self, data: bytes, most: int) -> bytes:
        if self._decompress.eof:
            raise BrokenError("there is something after the end of the compressed body")
        try:
            return self._decompress.decompress(data, most + 1)
        except zlib.error as error:
            raise BrokenError(f"the body is not compressed as Content-Encoding says ({error})") from error

    def end(self) -> None:
        _ended(self._decompress)


class _Zstd:
    """zstd frames. A piece of input at a time, each of which the library decompresses whole."""

    # 8 MiB, as RFC 8878 asks decoders to allow and no more: a frame may ask for gigabytes.
    _WINDOW = 8 * 1024 * 1024
    # A block of four bytes may stand for 128 KiB: so small a step decompresses to 2 MiB at worst.
    _STEP = 64

    def __init__(self) -> None:
        import zstandard

        self._error = zstandard.ZstdError
        self._decompress = zstandard.ZstdDecompressor(max_window_size=self._WINDOW).decompressobj()

    def feed(self, data: bytes, most: int) -> bytes:
        pieces = []
        for begin in range(0, len(data), self._STEP):
            if self._decompress.eof:
                raise BrokenError("there is something after the end of the compressed body")
            try:
                piece = self._decompress.decompress(data[begin : begin + self._STEP])
            except self._error as error:
                raise BrokenError("the body is not compressed as Content-Encoding says") from error
            most -= len(piece)
            pieces.append(piece)
            if most < 0:
                break
        return b"".join(pieces)

    def end(self) -> None:
        _ended(self._decompress)


def _ended(decompress: Any) -> None:
    """The body ends where what was compressed does."""
    if not decompress.eof:
        raise BrokenError("the compressed body is cut short")
    if decompress.unused_data:
        raise BrokenError("there is something after the end of the compressed body")


_DECODERS: dict[str, Callable[[], _Decoder]] = {
    "gzip": _Zlib,
    "deflate": _Zlib,
    "zstd": _Zstd,
    "identity": _Plain,
}
