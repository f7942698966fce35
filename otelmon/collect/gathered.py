"""Gathered: the points of one process as text, for the process that evaluates; one line a point.

A line is the series, the kind, the start and the values, separated by tabs and each in JSON. The labels that all series
of a point share are written once: of a histogram's eighteen series, that is nearly everything. The text of the series
stays the same from one collection to the next, so both sides keep what they made of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from otelmon.collect.names import Kind
from otelmon.collect.pace import Pace
from otelmon.collect.translate import Point
from otelmon.histogram import Buckets, Histogram
from otelmon.labels import Labels

_Series = tuple[Labels, ...]


class Writer:
    """Writes points as lines; what it made of the series is kept for the next time."""

    def __init__(self) -> None:
        self._texts: dict[Labels, tuple[_Series, str]] = {}
        self._used: dict[Labels, tuple[_Series, str]] = {}

    def line(self, point: Point) -> str:
        """The line of a point."""
        identity = point.series[0]
        known = self._texts.get(identity)
        if known is None or known[0] is not point.series:
            known = (point.series, _series_text(point.series))
        self._used[identity] = known
        values = [_plain(value) if isinstance(value, Histogram) else value for value in point.values]
        start = "" if point.start is None else repr(point.start)
        return f"{known[1]}\t{point.kind.value}\t{start}\t{json.dumps(values, separators=(',', ':'))}"

    @property
    def written(self) -> Iterable[Labels]:
        """The first series of each point that is remembered."""
        return self._texts.keys()

    def forget_unused(self) -> None:
        """Keep what was written since the last time, so that the memory is never larger than the data."""
        self._texts, self._used = self._used, {}


class Parser:
    """Reads lines as points; raises ValueError, KeyError or TypeError for what is none."""

    def __init__(self) -> None:
        self._series: dict[str, _Series] = {}
        self._used: dict[str, _Series] = {}

    def points(self, lines: Iterable[str]) -> Iterator[Point]:
        """The points of these lines; it pauses now and then, so that the application's threads run."""
        for line in Pace().each(lines):
            text, kind, start, values = line.split("\t")
            series = self._series.get(text) or _series(text)
            self._used[text] = series
            yield Point(
                series=series,
                values=[_histogram(value) if isinstance(value, list) else float(value) for value in json.loads(values)],
                start=float(start) if start else None,
                kind=Kind(kind),
            )

    def forget_unused(self) -> None:
        """Keep what was read since the last time."""
        self._series, self._used = self._used, {}


def _series_text(series: _Series) -> str:
    shared = dict(series[0].pairs)
    for labels in series[1:]:
        own = dict(labels.pairs)
        shared = {name: value for name, value in shared.items() if own.get(name) == value}
    rests = [{name: value for name, value in labels.pairs if name not in shared} for labels in series]
    return json.dumps([shared, rests], separators=(",", ":"))


def _series(text: str) -> _Series:
    shared, rests = json.loads(text)
    return tuple([Labels({**shared, **rest}) for rest in rests])


def _plain(value: Histogram) -> list[Any]:
    positive, negative = value.positive, value.negative
    fields = [value.count, value.sum, value.scale, value.zero_count, value.zero_threshold, value.bounds, value.gauge]
    return [*fields, positive.indices, positive.counts, negative.indices, negative.counts]


def _histogram(plain: Sequence[Any]) -> Histogram:
    count, total, scale, zero_count, zero_threshold, bounds, gauge, *buckets = plain
    indices, counts, negative_indices, negative_counts = map(tuple, buckets)
    return Histogram(
        count=count,
        sum=total,
        scale=scale,
        zero_count=zero_count,
        zero_threshold=zero_threshold,
        positive=Buckets(indices=indices, counts=counts),
        negative=Buckets(indices=negative_indices, counts=negative_counts),
        bounds=None if bounds is None else tuple(bounds),
        gauge=gauge,
    )
