"""Samples of one collection, each made only while it is read.

A collection has some eighteen samples a route and status, and they are kept until the tick is over. As objects they
would outlive the young generations of Python's garbage collector, and so bring on its full collections: each visits
every object of the application, tens of milliseconds in which no request is served. So values are kept as bytes, of
which the collector knows nothing, and samples are made while they are read and gone at once.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterator, Sequence
from typing import Any, overload

from otelmon.collect.pace import Pace
from otelmon.histogram import Buckets, Histogram
from otelmon.labels import Labels
from otelmon.sample import Sample

_NO_BUCKETS = Buckets()


def pack(values: Sequence[float | Histogram]) -> bytes:
    """Values as bytes, for this process only."""
    return marshal.dumps([_plain(value) if isinstance(value, Histogram) else value for value in values])


def unpack(packed: bytes) -> list[float | Histogram]:
    """The values that were packed."""
    values = marshal.loads(packed)  # noqa: S302 (made by `pack`, in this process)
    return [_histogram(value) if isinstance(value, tuple) else value for value in values]


def _plain(value: Histogram) -> tuple[object, ...]:
    positive, negative = value.positive, value.negative
    fields = (value.count, value.sum, value.scale, value.zero_count, value.zero_threshold, value.bounds, value.gauge)
    return (*fields, positive.indices, positive.counts, negative.indices, negative.counts)


def _histogram(plain: tuple[Any, ...]) -> Histogram:
    count, total, scale, zero_count, zero_threshold, bounds, gauge, *buckets = plain
    indices, counts, negative_indices, negative_counts = buckets
    return Histogram(
        count=count,
        sum=total,
        scale=scale,
        zero_count=zero_count,
        zero_threshold=zero_threshold,
        positive=Buckets(indices=indices, counts=counts),
        negative=Buckets(indices=negative_indices, counts=negative_counts) if negative_indices else _NO_BUCKETS,
        bounds=bounds,
        gauge=gauge,
    )


class Samples(Sequence[Sample]):
    """Samples at one instant. Reading one from the middle walks from the start; they are meant to be iterated.

    Whoever iterates pauses now and then, so that the application's threads can run meanwhile (`Pace`).
    """

    __slots__ = ("_at", "_length", "_packed", "_series", "_starts")

    def __init__(self, at: float) -> None:
        """None yet; ``at`` is the instant of all in unix seconds."""
        self._at = at
        self._length = 0
        self._series: list[Sequence[Labels]] = []
        self._packed: list[bytes] = []
        self._starts: list[float | None] = []

    def add(
        self, series: Sequence[Labels], values: Sequence[float | Histogram], *, start_at: float | None = None
    ) -> None:
        """Samples of these series with a value for each; the series may not change afterwards."""
        self._length += len(series)
        self._series.append(series)
        self._packed.append(pack(values))
        self._starts.append(start_at)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Sample]:
        at = self._at
        parts = zip(self._series, self._packed, self._starts, strict=True)
        for series, packed, start_at in Pace().each(parts):
            for labels, value in zip(series, unpack(packed), strict=True):
                yield Sample(labels=labels, at=at, value=value, start_at=start_at)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        return list(self)[index]
