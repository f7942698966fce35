"""Thresholds as people write them: ``0.05`` or ``5%``, ``800ms`` or ``1s``, ``85`` or ``85%``.

A number without a unit is in the unit of its rule. What can hardly be meant is refused with what to write instead: a
threshold that is off by a factor of 100 or 1000 either never pages or always does.
"""

from __future__ import annotations

import math
import re

from otelmon.duration import format_duration, read_duration
from otelmon.rules.model import Unit

_QUANTITY = re.compile(r"([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)\s*(%|[a-zA-Z]*)")
_BYTES = {
    "B": 1.0,
    "kB": 1e3,
    "KB": 1e3,
    "MB": 1e6,
    "GB": 1e9,
    "TB": 1e12,
    "KiB": 2.0**10,
    "MiB": 2.0**20,
    "GiB": 2.0**30,
}
# No service is meant to answer 95 % of its requests within less; 1 is taken for a second that was meant.
_FEWEST_PLAIN_MILLISECONDS = 10.0
# Of a unit of time: how many make a second, and the longest threshold in seconds, as people write it.
_TIMES = {Unit.MILLISECONDS: (1000.0, 3600.0, "1h"), Unit.SECONDS: (1.0, 7 * 86_400.0, "7d")}


class QuantityError(ValueError):
    """What is wrong with a quantity, and what to write instead."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def parse_threshold(text: str, unit: Unit) -> float:
    """A threshold in the unit of its rule. Raises QuantityError."""
    match = _QUANTITY.fullmatch(text.strip())
    if unit in _TIMES and not (match and not match[2]):
        duration = _duration(text, unit)
        if duration is not None:
            return duration
    number = float(match[1]) if match else math.nan
    if match is None or not math.isfinite(number):
        raise QuantityError(f"{_shown(text)} is no threshold", f"write {_example(unit)}")
    if number < 0:
        raise QuantityError(f"{_shown(text)} is negative", f"write {_example(unit)}")
    suffix = match[2]
    match unit:
        case Unit.RATIO:
            return _ratio(number, suffix, text)
        case Unit.PERCENT:
            return _percent(number, suffix, text)
        case Unit.MILLISECONDS:
            return _milliseconds(number, suffix, text)
        case Unit.SECONDS if not suffix:
            return _in_bounds(number, unit, text)
        case Unit.SECONDS:
            raise QuantityError(f"{_shown(text)} is no time", f"write {_example(unit)}")
        case _:
            if suffix:
                raise QuantityError(f"{_shown(text)} has a unit, and this rule has none", "write a number")
            return number


def parse_percentile(text: str) -> float:
    """A percentile such as 95 (``p95`` is the same). Raises QuantityError."""
    stripped = text.strip().removeprefix("p")
    match = _QUANTITY.fullmatch(stripped)
    number = float(match[1]) if match and match[2] in ("", "%") else math.nan
    if not math.isfinite(number) or not 0 < number < 100:
        raise QuantityError(f"{_shown(text)} is no percentile", "write a number between 1 and 100, such as 95")
    if number < 1:
        raise QuantityError(f"{_shown(text)} is no percentile", f"write {_number(number * 100)}")
    return number


def _ratio(number: float, suffix: str, text: str) -> float:
    if suffix == "%":
        if number >= 100:
            raise QuantityError(f"{_shown(text)} can never be exceeded", "write less than 100%")
        return number / 100
    if suffix:
        raise QuantityError(f"{_shown(text)} is no ratio", f"write {_example(Unit.RATIO)}")
    if number == 1:
        raise QuantityError("a ratio never exceeds 1", "write 0.01 or 1% if one percent is meant")
    if number > 1:
        hint = f"write {_number(number / 100)} or {_number(number)}%" if number < 100 else "write 0.05 or 5%"
        raise QuantityError(f"{_shown(text)} is no ratio", hint)
    return number


def _percent(number: float, suffix: str, text: str) -> float:
    if suffix not in ("", "%"):
        raise QuantityError(f"{_shown(text)} is no percentage", f"write {_example(Unit.PERCENT)}")
    if number >= 100:
        raise QuantityError(f"{_shown(text)} can never be exceeded", "write less than 100, such as 85 or 85%")
    if number == 0:
        raise QuantityError("0 is always exceeded", f"write {_example(Unit.PERCENT)}")
    if number <= 1 and not suffix:
        if number == 1:
            raise QuantityError("1 would be one percent", "write 1% if that is meant, or a number such as 85")
        meant = _number(number * 100)
        raise QuantityError(f"{_shown(text)} is no percentage", f"write {meant} or {meant}%")
    return number


def _milliseconds(number: float, suffix: str, text: str) -> float:
    if suffix:
        raise QuantityError(f"{_shown(text)} is no time", f"write {_example(Unit.MILLISECONDS)}")
    if 0 < number < _FEWEST_PLAIN_MILLISECONDS:
        seconds, milliseconds = format_duration(number), _number(number * 1000)
        message = f"{_number(number)} would be {_number(number)} ms"
        raise QuantityError(message, f"write {seconds} or {milliseconds}, or {_number(number)}ms if that is meant")
    return _in_bounds(number, Unit.MILLISECONDS, text)


def _duration(text: str, unit: Unit) -> float | None:
    """A threshold that is written as a duration; None where it is none. The same words as for windows and waits."""
    try:
        seconds = read_duration(text)
    except (ValueError, OverflowError):
        return None
    return _in_bounds(seconds * _TIMES[unit][0], unit, text)


def _in_bounds(value: float, unit: Unit, text: str) -> float:
    a_second, longest_seconds, longest = _TIMES[unit]
    if not 0 < value <= longest_seconds * a_second:
        raise QuantityError(f"{_shown(text)} is out of bounds", f"write more than 0 and at most {longest}")
    return value


def _example(unit: Unit) -> str:
    examples = {
        Unit.RATIO: "0.05 or 5%",
        Unit.PERCENT: "85 or 85%",
        Unit.MILLISECONDS: "1000, 800ms or 1s",
        Unit.SECONDS: "300, 5m or 1h",
    }
    return examples.get(unit, "a number")


def _shown(text: str) -> str:
    return text.strip()[:40] or "an empty text"


def _number(value: float) -> str:
    return f"{value:.10g}"
