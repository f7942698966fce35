"""Recordings as text: OpenMetrics or Prometheus's format with a timestamp on each sample.

https://prometheus.io/docs/specs/om/open_metrics_spec/ and .../instrumenting/exposition_formats/. Such a file has one
series after the other (`promtool tsdb dump-openmetrics`), rules need one instant after the other: so it is sorted by
time, by way of a temporary file where it is large, and memory holds only a part of it.
"""

from __future__ import annotations

import heapq
import math
import re
import tempfile
from array import array
from collections.abc import Iterator
from typing import IO

import numpy as np
import numpy.typing as npt

from otelmon.labels import Labels
from otelmon.replay.collection import Collection, LineError
from otelmon.replay.series import SeriesError, read_metric
from otelmon.sample import Sample

_LINE = re.compile(
    r"""\s*(?P<series>[^\s{}#]*(?:\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\})?)
        \s+(?P<value>[^\s#]+)(?:\s+(?P<at>[^\s#]+))?\s*(?:\#.*)?""",
    re.VERBOSE,
)
# Prometheus writes milliseconds, OpenMetrics seconds; in seconds this is the year 5138.
_LEAST_MILLISECONDS = 1e11
_MOST_IN_MEMORY = 1_000_000
_BLOCK = 50_000
_MOST_SERIES = 1_000_000

_Columns = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.uint32]]


class TextReader:
    """Takes one line after the other, then gives all samples in the order of their time."""

    def __init__(self, *, most_in_memory: int = _MOST_IN_MEMORY) -> None:
        """``most_in_memory`` samples are sorted at once; more go by way of a temporary file."""
        self._most = most_in_memory
        self._numbers: dict[str, int] = {}
        self._labels: list[Labels] = []
        self._at, self._values, self._series = array("d"), array("d"), array("I")
        self._spilled: IO[bytes] | None = None
        self._parts: list[tuple[int, int]] = []

    def read(self, line: str) -> None:
        """Take a line in. Raises LineError."""
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            return
        found = _LINE.fullmatch(stripped)
        if found is None or not found["series"]:
            raise LineError('no sample: name{label="value"} value timestamp is expected')
        if found["at"] is None:
            raise LineError("a sample without a timestamp, so that nobody knows when it was")
        try:
            value, at = float(found["value"]), float(found["at"])
        except ValueError as error:
            raise LineError(f"{error}") from error
        if not math.isfinite(at):
            raise LineError(f"{found['at']} is no timestamp")
        number = self._number(found["series"])
        self._values.append(value)
        self._at.append(at / 1000 if abs(at) >= _LEAST_MILLISECONDS else at)
        self._series.append(number)
        if len(self._at) >= self._most:
            self._spill()

    def collections(self) -> Iterator[Collection]:
        """All samples, those of one instant together. The reader is used up then."""
        parts = [self._part(*part) for part in self._parts]
        if self._at:
            parts.append(_rows(self._sorted()))
        at, samples = -math.inf, list[Sample]()
        for instant, number, value in heapq.merge(*parts, key=lambda row: row[0]):
            if instant > at and samples:
                yield Collection(at=at, samples=samples)
                samples = []
            at = instant
            samples.append(Sample(labels=self._labels[number], at=at, value=value))
        if samples:
            yield Collection(at=at, samples=samples)
        if self._spilled is not None:
            self._spilled.close()

    def _number(self, written: str) -> int:
        number = self._numbers.get(written)
        if number is None:
            if len(self._labels) >= _MOST_SERIES:
                raise LineError(f"more than {_MOST_SERIES} series")
            try:
                self._labels.append(read_metric(written))
            except SeriesError as error:
                raise LineError(str(error)) from error
            number = self._numbers[written] = len(self._labels) - 1
        return number

    def _sorted(self) -> _Columns:
        at = np.frombuffer(self._at, np.float64)
        order = np.argsort(at, kind="stable")
        values, series = np.frombuffer(self._values, np.float64), np.frombuffer(self._series, np.uint32)
        return at[order], values[order], series[order]

    def _spill(self) -> None:
        if self._spilled is None:
            self._spilled = tempfile.TemporaryFile()  # noqa: SIM115 (closed when all is read)
        self._parts.append((self._spilled.tell(), len(self._at)))
        for column in self._sorted():
            self._spilled.write(column.tobytes())
        self._at, self._values, self._series = array("d"), array("d"), array("I")

    def _part(self, offset: int, count: int) -> Iterator[tuple[float, int, float]]:
        """The rows of a part on disk, a block at a time."""
        assert self._spilled is not None  # noqa: S101 (there are parts)
        for begin in range(0, count, _BLOCK):
            size = min(_BLOCK, count - begin)
            columns = []
            for start, kind in ((0, "<f8"), (8 * count, "<f8"), (16 * count, "<u4")):
                width = np.dtype(kind).itemsize
                self._spilled.seek(offset + start + begin * width)
                columns.append(np.frombuffer(self._spilled.read(size * width), kind))
            yield from _rows((columns[0], columns[1], columns[2]))


def _rows(columns: _Columns) -> Iterator[tuple[float, int, float]]:
    at, values, series = columns
    for begin in range(0, at.size, _BLOCK):
        part = slice(begin, begin + _BLOCK)
        yield from zip(at[part].tolist(), series[part].tolist(), values[part].tolist(), strict=True)
