"""Reads the format of Prometheus's ``.test`` files: loads and evals, and what these expect."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from otelmon.duration import parse_duration
from otelmon.histogram import Histogram
from otelmon.labels import Labels
from otelmon.promql.literals import string_value
from otelmon.replay.series import NUMBER, read_series

Value = float | Histogram


class FormatError(ValueError):
    """A line that is nothing of the format."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")


@dataclass
class Eval:
    """One eval command: what to ask and what to expect."""

    line: int
    expr: str
    start: float
    end: float
    step: float | None
    fails: bool = False
    expects: list[tuple[str, str, str]] = field(default_factory=list)  # (kind, "", "msg" or "regex", text)
    series: list[tuple[Labels, list[Value | None]]] = field(default_factory=list)
    samples_at: list[float] | None = None  # of an instant eval of a range vector: where its values are
    scalar: float | None = None
    string: str | None = None


@dataclass
class Load:
    """One load command."""

    step: float
    custom_buckets: bool
    series: dict[Labels, list[Value | None]] = field(default_factory=dict)


def read(text: str) -> list[Load | Eval | None]:
    """The commands of a file; None is ``clear``."""
    commands: list[Load | Eval | None] = []
    lines = [line.strip() for line in text.splitlines()]
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if not line or line.startswith("#"):
            continue
        if line == "clear":
            commands.append(None)
            continue
        block = []
        first = number
        while number < len(lines) and lines[number]:
            if not lines[number].startswith("#"):
                block.append((number + 1, lines[number]))
            number += 1
        word = line.split()[0]
        if word in ("load", "load_with_nhcb"):
            commands.append(_read_load(line, first, block))
        elif word in _EVALS:
            commands.append(_read_eval(line, first, block))
        else:
            raise FormatError(first, f"unknown command {line!r}")
    return commands


def _read_load(line: str, number: int, block: list[tuple[int, str]]) -> Load:
    word, *rest = line.split()
    try:
        (step,) = rest
        load = Load(step=parse_duration(step), custom_buckets=word == "load_with_nhcb")
    except ValueError as error:
        raise FormatError(number, f"cannot read {line!r}: {word} and a step are expected ({error})") from error
    for place, entry in block:
        labels, values = _series(place, entry)
        load.series[labels] = values
    return load


def _series(number: int, entry: str) -> tuple[Labels, list[Value | None]]:
    try:
        return read_series(entry)
    except ValueError as error:
        raise FormatError(number, str(error)) from error


_EVALS = frozenset({"eval", "eval_fail", "eval_warn", "eval_info", "eval_ordered"})
_INSTANT = re.compile(r"eval(_\w+)?\s+instant\s+(?:at\s+)?(\S+)\s+(.+)")
_RANGE = re.compile(r"eval(_\w+)?\s+range\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)\s+(.+)")
_EXPECT = re.compile(
    r"expect\s+(?:(fail|warn|info)\s+(msg|regex):\s*(.+)|(fail|warn|no_warn|info|no_info|ordered)|(string)\s+(.*))"
)
_EXPECT_RANGE = re.compile(r"expect\s+range\s+vector\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)")


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return parse_duration(text)


def _read_eval(line: str, number: int, block: list[tuple[int, str]]) -> Eval:
    if found := _INSTANT.fullmatch(line):
        at = _seconds(found[2])
        one = Eval(line=number, expr=found[3], start=at, end=at, step=None)
    elif found := _RANGE.fullmatch(line):
        start, end, step = (_seconds(found[index]) for index in (2, 3, 4))
        one = Eval(line=number, expr=found[5], start=start, end=end, step=step)
    else:
        raise FormatError(number, f"cannot read {line!r}")
    mode = (found[1] or "").lstrip("_")
    if mode:
        one.expects.append((mode, "", ""))
    for place, entry in block:
        if expect := _EXPECT.fullmatch(entry):
            if expect[5]:
                one.string = _unquoted(expect[6])
            else:
                one.expects.append((expect[1] or expect[4], expect[2] or "", expect[3] or ""))
        elif found := _EXPECT_RANGE.fullmatch(entry):
            first, last, step = (_seconds(found[index]) for index in (1, 2, 3))
            one.samples_at = [round(first + index * step, 3) for index in range(math.floor((last - first) / step) + 1)]
        elif entry.startswith("expect "):
            raise FormatError(place, f"cannot read {entry!r}")
        elif NUMBER.fullmatch(entry) and one.step is None:
            one.scalar = float(entry)
        else:
            one.series.append(_series(place, entry))
    one.fails = any(kind == "fail" for kind, _, _ in one.expects)
    return one


def _unquoted(text: str) -> str:
    return string_value(text) if text else ""
