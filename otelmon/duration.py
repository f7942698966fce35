"""Durations as Prometheus writes them, ``5m``, ``1h30m``, ``250ms``, and as people do: ``5 minutes``, ``1.5h``."""

from __future__ import annotations

import re

# Prometheus, model.ParseDuration: units in this order, each at most once; d = 24 h, w = 7 d, y = 365 d. Whole
# milliseconds, so that 1001ms and 1s1ms are the same number.
_UNITS = {"y": 31_536_000_000, "w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_PATTERN = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")


def parse_duration(text: str) -> float:
    """Seconds in a duration like ``1h30m``; ``0`` needs no unit.

    Raises ValueError, with what to write instead, for anything else.
    """
    stripped = text.strip()
    if stripped == "0":
        return 0.0
    match = _PATTERN.fullmatch(stripped)
    if not stripped or match is None:
        raise ValueError(f"{text!r} is not a duration; write a number with a unit, such as 30s, 5m, 1h30m or 1d")
    lengths = zip(match.groups(), _UNITS.values(), strict=True)
    return sum(int(number) * unit for number, unit in lengths if number) / 1000


# What people call the units, beside Prometheus's letters.
_WORDS = {
    "ms": "ms msec msecs millisecond milliseconds",
    "s": "s sec secs second seconds",
    "m": "m min mins minute minutes",
    "h": "h hr hrs hour hours",
    "d": "d day days",
    "w": "w week weeks",
    "y": "y year years",
}
_SECONDS = {word: _UNITS[unit] / 1000 for unit, words in _WORDS.items() for word in words.split()}
_PART = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([a-z]+)(?:(?:\s*,\s*|\s+and\s+|\s*)(?=[\d.])|$)", re.ASCII)


def read_duration(text: str) -> float:
    """Seconds of a duration as a person writes it into a configuration or a command.

    Prometheus's form, and beside it spaces, words and fractions: ``5 minutes``, ``1 min``, ``1.5h``, ``1 hour 30
    minutes``. Units go from large to small. Raises ValueError as :func:`parse_duration` does.
    """
    try:
        return parse_duration(text)
    except ValueError as error:
        refused = error
    rest, total, before = text.strip().lower(), 0.0, float("inf")
    while rest:
        part = _PART.match(rest)
        unit = None if part is None else _SECONDS.get(part[2])
        if part is None or unit is None or unit >= before:
            raise refused
        total, before, rest = total + float(part[1]) * unit, unit, rest[part.end() :]
    if before == float("inf"):
        raise refused
    return round(total, 3)


def format_duration(seconds: float) -> str:
    """The shortest Prometheus duration of so many seconds, to the millisecond: 5400 is ``1h30m``.

    Years and weeks are written only when nothing smaller remains, as Prometheus does.
    """
    if seconds < 0:
        return "-" + format_duration(-seconds)
    rest = round(seconds * 1000)
    if rest == 0:
        return "0s"
    parts = []
    for unit, size in _UNITS.items():
        if unit in ("y", "w") and rest % size:
            continue
        number, rest = divmod(rest, size)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts)
