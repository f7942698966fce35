"""Samples of one collection, each made only while it is read.

A collection has some eighteen samples a route and status, and they are kept until the tick is over. As objects they
would outlive the young generations of Python's garbage collector, and so bring on its full collections: each visits
every object of the application, tens of milliseconds in which no request is served. Made while they are read, they are
gone at once, and the collector never sees them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from otelmon.histogram import Histogram
from otelmon.labels import Labels
from otelmon.sample import Sample


class Samples(Sequence[Sample]):
    """Samples at one instant. Reading one from the middle walks from the start; they are meant to be iterated."""

    __slots__ = ("_at", "_length", "_series", "_starts", "_values")

    def __init__(self, at: float) -> None:
        """None yet; ``at`` is the instant of all in unix seconds."""
        self._at = at
        self._length = 0
        self._series: list[Sequence[Labels]] = []
        self._values: list[Sequence[float | Histogram]] = []
        self._starts: list[float | None] = []

    def add(
        self, series: Sequence[Labels], values: Sequence[float | Histogram], *, start_at: float | None = None
    ) -> None:
        """Samples of these series with a value for each; neither sequence may change afterwards."""
        self._length += len(series)
        self._series.append(series)
        self._values.append(values)
        self._starts.append(start_at)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Sample]:
        at = self._at
        for series, values, start_at in zip(self._series, self._values, self._starts, strict=True):
            for labels, value in zip(series, values, strict=True):
                yield Sample(labels=labels, at=at, value=value, start_at=start_at)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        return list(self)[index]
