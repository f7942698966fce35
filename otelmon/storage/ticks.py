"""All samples of one save as one blob: columns of series numbers, values and instants, then the histograms.

Layout, little-endian, compressed by zlib: a header (version, flags, number of samples, number of start times, number of
histograms), then the columns named below. A histogram's place in the value column holds 0.0; ``histogram rows`` says
which rows those are. Start times repeat from tick to tick and from series to series, so they are kept once each.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from otelmon.histogram import Buckets, Histogram
from otelmon.labels import Labels
from otelmon.sample import Sample

_VERSION = 1
_ONE_INSTANT = 1
_HAS_STARTS = 2
_HEADER = struct.Struct("<BBxxIII")
_HISTOGRAM = struct.Struct("<dddd iIIIB")
_NO_START = 0xFFFFFFFF
_LEVEL = 1


def pack(series: Sequence[int], samples: Sequence[Sample]) -> tuple[bytes, float, float]:
    """The samples of a save, and the first and last of their instants; there must be one at least.

    ``series`` has the number of each sample's label set.
    """
    # One pass, and nothing kept of a sample but numbers and bytes: collected samples are made anew at each pass.
    count = len(samples)
    instants, values = array("d"), array("d")
    starts: dict[float, int] = {}
    start_of = array("I")
    rows: list[int] = []
    packed: list[bytes] = []
    for row, sample in enumerate(samples):
        value, start = sample.value, sample.start_at
        instants.append(sample.at)
        start_of.append(_NO_START if start is None else starts.setdefault(start, len(starts)))
        if isinstance(value, Histogram):
            rows.append(row)
            packed.append(_pack_histogram(value))
            value = 0.0
        values.append(value)
    first_at, last_at = min(instants), max(instants)
    one_instant = first_at == last_at
    flags = (_ONE_INSTANT if one_instant else 0) | (_HAS_STARTS if starts else 0)
    parts = [
        _HEADER.pack(_VERSION, flags, count, len(starts), len(rows)),
        np.asarray(series, "<u4").tobytes(),
        # From an array: one float after the other might lose the bits of a NaN, by which a series is marked as ended.
        np.asarray(values, "<f8").tobytes(),
        np.asarray(instants[:1] if one_instant else instants, "<f8").tobytes(),
    ]
    if starts:
        parts += [np.fromiter(starts, "<f8", len(starts)).tobytes(), np.asarray(start_of, "<u4").tobytes()]
    parts.append(np.asarray(rows, "<u4").tobytes())
    parts += packed
    return zlib.compress(b"".join(parts), _LEVEL), first_at, last_at


def unpack(blob: bytes, labels: Mapping[int, Labels], *, shifted: float = 0.0) -> Iterator[Sample]:
    """The samples of a save, in the order of their time; ``labels`` has the label set of each series number."""
    reader = _Reader(zlib.decompress(blob))
    count, one_instant, start_count, histogram_count = reader.header()
    series = reader.numbers("<u4", count).tolist()
    values: list[float | Histogram] = list(reader.doubles(count))
    at = (reader.doubles(1) * count) if one_instant else reader.doubles(count)
    starts: list[float | None] = [None] * count
    if start_count:
        instants = reader.doubles(start_count)
        numbers = reader.numbers("<u4", count).tolist()
        starts = [None if number == _NO_START else instants[number] for number in numbers]
    for row in reader.numbers("<u4", histogram_count).tolist():
        values[row] = reader.histogram()
    rows = range(count) if one_instant else sorted(range(count), key=at.__getitem__)
    for row in rows:
        known = labels.get(series[row])
        start_at = starts[row]
        if known is not None:
            yield Sample(
                labels=known,
                at=at[row] + shifted if shifted else at[row],
                value=values[row],
                start_at=start_at + shifted if shifted and start_at is not None else start_at,
            )


def series_in(blob: bytes) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    """The series numbers that a save's samples have."""
    reader = _Reader(zlib.decompress(blob))
    count, *_ = reader.header()
    return reader.numbers("<u4", count)


def _pack_histogram(histogram: Histogram) -> bytes:
    positive, negative, bounds = histogram.positive, histogram.negative, histogram.bounds
    n, m, b = len(positive.indices), len(negative.indices), len(bounds or ())
    return struct.pack(
        f"<dddd iIIIB {n}i {n}d {m}i {m}d {b}d",
        histogram.count,
        histogram.sum,
        histogram.zero_count,
        histogram.zero_threshold,
        histogram.scale,
        n,
        m,
        b,
        bounds is not None,
        *positive.indices,
        *positive.counts,
        *negative.indices,
        *negative.counts,
        *(bounds or ()),
    )


class _Reader:
    """Reads one column after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0

    def header(self) -> tuple[int, bool, int, int]:
        """Number of samples, whether all have one instant, number of start times, number of histograms."""
        version, flags, count, starts, histograms = self._struct(_HEADER)
        if version != _VERSION:
            raise ValueError(f"samples were saved in format {version}; this version reads {_VERSION}")
        return count, bool(flags & _ONE_INSTANT), starts, histograms

    def numbers(self, kind: str, count: int) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
        """A column of whole numbers."""
        column = np.frombuffer(self._data, kind, count, self._offset)
        self._offset += column.nbytes
        return column

    def doubles(self, count: int) -> tuple[float, ...]:
        """A column of floats, bit for bit."""
        return self._struct(struct.Struct(f"<{count}d"))

    def histogram(self) -> Histogram:
        """The next histogram."""
        total, sum_, zero_count, zero_threshold, scale, n, m, b, custom = self._struct(_HISTOGRAM)
        positive = Buckets(indices=self._struct(struct.Struct(f"<{n}i")), counts=self.doubles(n))
        negative = Buckets(indices=self._struct(struct.Struct(f"<{m}i")), counts=self.doubles(m))
        bounds = self.doubles(b)
        return Histogram(
            count=total,
            sum=sum_,
            scale=scale,
            zero_count=zero_count,
            zero_threshold=zero_threshold,
            positive=positive,
            negative=negative,
            bounds=bounds if custom else None,
        )

    def _struct(self, layout: struct.Struct) -> tuple[Any, ...]:
        found = layout.unpack_from(self._data, self._offset)
        self._offset += layout.size
        return found
