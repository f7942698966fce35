"""Values, limits and time spans as a person reads them: 0.124 is "12.4 %", 1240 milliseconds are "1.24 s"."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from otelmon.rules.model import Unit

_DIGITS = 3
_PLAIN_DIGITS = 4
_MOST_DIGITS = 9
_LONGEST_SPAN = 1e10  # seconds; beyond three centuries it is no span any more
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def format_value(value: float, unit: Unit) -> str:
    """A value in words, to three significant digits (four where it has no unit); NaN and infinities as they are."""
    return _formatted(value, unit, _PLAIN_DIGITS if unit is Unit.NONE else _DIGITS)


def format_value_and_bound(value: float, bound: float, unit: Unit) -> tuple[str, str]:
    """A value and the limit it is compared with, with as many digits as it takes to tell them apart."""
    shown = format_value(value, unit), format_value(bound, unit)
    for digits in range(_PLAIN_DIGITS + 1, _MOST_DIGITS + 1):
        if shown[0] != shown[1] or value == bound:
            break
        shown = _formatted(value, unit, digits), _formatted(bound, unit, digits)
    return shown


def format_span(seconds: float) -> str:
    """How long something took, to two units: "45 s", "6 min", "1 h 5 min", "2 d 3 h"."""
    rest = max(0, round(seconds))
    if rest >= 3600:
        rest = round(rest / 60) * 60
    parts: list[str] = []
    for name, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        number, rest = divmod(rest, length)
        if number:
            parts.append(f"{number} {name}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"


def _formatted(value: float, unit: Unit, digits: int) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return _FORMATS[unit](value, digits)


def _number(value: float, digits: int) -> str:
    """So many significant digits, whole numbers whole, no exponent where a person would write none."""
    magnitude = abs(value)
    if magnitude >= 1e15 or 0 < magnitude < 1e-6:
        return f"{value:.{digits}g}"
    decimals = 0 if magnitude == 0 else max(0, digits - 1 - math.floor(math.log10(magnitude)))
    text = f"{value:,.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _percent(value: float, digits: int) -> str:
    return f"{_number(value, digits)} %"


def _seconds(value: float, digits: int) -> str:
    magnitude = abs(value)
    if 120 <= magnitude < _LONGEST_SPAN:
        sign = "-" if value < 0 else ""
        return sign + (format_span(magnitude) if digits <= _PLAIN_DIGITS else f"{_number(magnitude, digits)} s")
    if magnitude >= 1 or magnitude == 0:
        return f"{_number(value, digits)} s"
    if magnitude >= 0.001:
        return f"{_number(value * 1e3, digits)} ms"
    return f"{_number(value * 1e6, digits)} µs"


def _bytes(value: float, digits: int) -> str:
    for name in _BINARY[:-1]:
        if abs(value) < 1024:
            return f"{_number(value, digits)} {name}"
        value /= 1024
    return f"{_number(value, digits)} {_BINARY[-1]}"


_FORMATS: Mapping[Unit, Callable[[float, int], str]] = {
    Unit.NONE: _number,
    Unit.RATIO: lambda value, digits: _percent(100 * value, digits),
    Unit.PERCENT: _percent,
    Unit.SECONDS: _seconds,
    Unit.MILLISECONDS: lambda value, digits: _seconds(value / 1000, digits),
    Unit.BYTES: _bytes,
    Unit.STATE: _number,
}
