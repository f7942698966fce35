r"""Numbers, durations and strings: from what is written to what is meant, and back.

Source: Prometheus ``promql/parser`` (lex.go, parse.go ``number``, strutil.Unquote), Go ``strconv``.
"""

from __future__ import annotations

import math
import re

from otelmon.duration import format_duration, parse_duration

# A Go duration is an int64 of nanoseconds.
MAX_DURATION_SECONDS = float(2**63) / 1e9

_SIMPLE_ESCAPES = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92}
_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))?",
    re.DOTALL,
)
_LEGACY_METRIC_NAME = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_LEGACY_LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class EscapeError(ValueError):
    """A string's escape sequence that Go does not know; ``position`` is its character offset in the literal."""

    def __init__(self, message: str, position: int) -> None:
        self.message = message
        self.position = position
        super().__init__(message)


def number_value(text: str) -> float:
    """The value of a number: decimal, hexadecimal ``0x1f``, octal ``017``, with ``_`` between digits, Inf or NaN.

    Raises ValueError for a hexadecimal number beyond 64 bits.
    """
    word = text.lower()
    if word in {"inf", "nan"}:
        return math.inf if word == "inf" else math.nan
    digits = word.replace("_", "")
    if digits.startswith("0x"):
        value = int(digits, 16)
        if value >= 2**63:
            raise ValueError(f"hexadecimal number {text} does not fit in 64 bits")
        return float(value)
    if len(digits) > 1 and digits[0] == "0" and re.fullmatch("[0-7]+", digits) and int(digits, 8) < 2**63:
        return float(int(digits, 8))
    value_or_infinity = float(digits)
    if math.isinf(value_or_infinity):
        raise ValueError(f"number {text} is out of range")
    return value_or_infinity


def duration_value(text: str) -> float:
    """Seconds of a duration such as ``1h30m``.

    Raises ValueError for a zero, for units out of order, and beyond 292 years.
    """
    try:
        seconds = parse_duration(text)
    except ValueError:
        raise ValueError(
            f"bad duration {text!r}; units go from large to small, each once, in whole numbers, such as 1h30m"
        ) from None
    if seconds == 0:
        raise ValueError(f"duration must be greater than 0; write 0 without a unit instead of {text}")
    if seconds > MAX_DURATION_SECONDS:
        raise ValueError(f"duration {text} is out of range (at most 292y)")
    return seconds


def string_value(literal: str) -> str:
    r"""The text that a quoted literal stands for, Go's escapes resolved; between backticks there are none.

    Bytes that are not UTF-8 (``"\xff"``) become lone surrogates, as with Python's ``surrogateescape``.
    """
    quote, body = literal[0], literal[1:-1]
    if quote == "`":
        return body.replace("\r", "")
    if "\\" not in body:
        return body
    pieces: list[bytes] = []
    at = 0
    for found in _ESCAPE.finditer(body):
        pieces.append(body[at : found.start()].encode("utf-8", "surrogatepass"))
        pieces.append(_escaped_bytes(found, quote))
        at = found.end()
    pieces.append(body[at:].encode("utf-8", "surrogatepass"))
    return b"".join(pieces).decode("utf-8", "surrogateescape")


def _escaped_bytes(found: re.Match[str], quote: str) -> bytes:
    byte, octal, short, long, char = found.groups()
    position = found.start() + 1
    if byte is not None:
        return bytes([int(byte, 16)])
    if octal is not None:
        if int(octal, 8) > 255:
            raise EscapeError(f"escape sequence {found[0]} is beyond one byte", position)
        return bytes([int(octal, 8)])
    if short is not None or long is not None:
        code_point = int(short or long, 16)
        if code_point > 0x10FFFF or 0xD800 <= code_point < 0xE000:
            raise EscapeError(f"escape sequence {found[0]} is no Unicode character", position)
        return chr(code_point).encode()
    if char is not None and char in _SIMPLE_ESCAPES:
        return bytes([_SIMPLE_ESCAPES[char]])
    if char == quote:
        return quote.encode()
    raise EscapeError(
        f"unknown escape sequence {found[0]}; write \\\\ for a backslash, or the string between backticks", position
    )


def is_legacy_metric_name(name: str) -> bool:
    """Whether a metric's name needs no quotes."""
    return _LEGACY_METRIC_NAME.fullmatch(name) is not None


def is_legacy_label_name(name: str) -> bool:
    """Whether a label's name needs no quotes."""
    return _LEGACY_LABEL_NAME.fullmatch(name) is not None


def is_utf8_name(name: str) -> bool:
    """Whether a quoted name can be one: not empty, and UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return bool(name)


def number_text(value: float) -> str:
    """The shortest text whose number this is; ``-`` in front where it is negative."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 and value != 0 else _short(value)


def _short(value: float) -> str:
    text = repr(value)
    return text.removesuffix(".0")


def duration_text(seconds: float) -> str:
    """A duration as it is written, ``1h30m``."""
    return format_duration(seconds)


def string_text(value: str) -> str:
    """A text as a literal between double quotes."""
    pieces = ['"']
    for char in value:
        code = ord(char)
        if char in '"\\':
            pieces.append("\\" + char)
        elif char == "\n":
            pieces.append("\\n")
        elif 0xDC80 <= code <= 0xDCFF:
            pieces.append(f"\\x{code - 0xDC00:02x}")
        elif code < 0x20 or code == 0x7F:
            pieces.append(f"\\x{code:02x}")
        else:
            pieces.append(char)
    pieces.append('"')
    return "".join(pieces)
