"""Batch: what one request brings, point by point, whichever encoding it came in."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from opentelemetry.proto.metrics.v1.metrics_pb2 import SummaryDataPoint

from otelmon.collect.arriving import Arriving
from otelmon.collect.limits import IngestLimits, MalformedError
from otelmon.collect.points import Floats, Nanoseconds, Points, Rows
from otelmon.collect.senders import CLASH, NO_ROOM, OVER_SHARE, TOO_WIDE, Form, MakeSeries, Sender, Senders, Stream
from otelmon.collect.senders import Rows as SeriesRows
from otelmon.collect.translate import (
    count_and_sum_series,
    finite_bounds,
    histogram_series,
    histogram_values,
    native_histogram,
    native_series,
    plain_series,
)
from otelmon.histogram import Histogram
from otelmon.labels import METRIC_NAME, Labels
from otelmon.sample import STALE

# The layout of an exponential histogram that has no equal: its buckets are in one value.
_NATIVE = (0.0,)
# What reading one costs, as so many numbers.
_HISTOGRAM_WORK = 5
TOO_MANY_SERIES = "too many series"
TOO_MANY_OF_ONE = "too many series of one client"
TOO_MANY_ATTRIBUTES = "too many attributes, or too long ones"
TWO_KINDS = "two kinds of one series"
_REASONS = {
    NO_ROOM: TOO_MANY_SERIES,
    TOO_WIDE: TOO_MANY_ATTRIBUTES,
    OVER_SHARE: TOO_MANY_OF_ONE,
    CLASH: TWO_KINDS,
}
ReadAttributes = Callable[[], Mapping[str, Any]]


class Batch:
    """Collects points; `give` hands them over. ``points`` counts all, ``refused`` those without a place, by reason;
    ``blamed`` has one sender of them each, as far as that is known.

    Times are unix nanoseconds, 0 where a point has none. ``key`` stands for the attributes as they are written.
    """

    def __init__(self, limits: IngestLimits, senders: Senders, *, now: int) -> None:
        self.points = 0
        self._resources = self._metrics = self._work = 0
        self.refused: Counter[str] = Counter()
        self.blamed: dict[str, Sender] = {}
        self.senders: dict[int, Sender] = {}
        self._limits = limits
        self._known = senders
        self._now = now
        self._rows: list[int] = []
        self._starts: list[int] = []
        self._times: list[int] = []
        self._values: list[float] = []
        self._weights: list[float] = []
        self._histograms: list[tuple[int, int, int, Histogram | float]] = []
        self._columns: list[Points] = []

    def heard(self, sender: Sender | int) -> None:
        """A resource comes, of a sender or of one that is not taken. Raises MalformedError for too many of them."""
        self._resources += 1
        if self._resources > self._limits.senders:
            raise MalformedError(f"more than {self._limits.senders} resources in one request")
        if isinstance(sender, Sender):
            self.senders[sender.number] = sender

    def has_room(self, points: int, form: Form) -> bool:
        """Whether a metric with so many points can be taken; they are counted. Raises MalformedError for too many."""
        self.points += points
        self._metrics += 1
        if self._metrics > self._limits.points:
            raise MalformedError(f"more than {self._limits.points} metrics in one request")
        self._work += points if form in {Form.GAUGE, Form.SUM} else _HISTOGRAM_WORK * points
        if self._work > self._limits.points:
            self.refused["too many points in one request"] += points
        return self._work <= self._limits.points

    def came(self, stream: Stream, at: int) -> None:
        """Points of this time came. Nobody has measured later than now, whatever its clock says."""
        stream.came(min(at or self._now, self._now))

    def columns(self, rows: Rows, starts: Nanoseconds, times: Nanoseconds, values: Floats) -> None:
        """Numbers of known series."""
        self._columns.append(Points(rows, starts, self._stamped(times), values, np.ones(rows.size)))

    def number(
        self, stream: Stream, key: Hashable, attributes: ReadAttributes, *, start: int, at: int, value: float
    ) -> None:
        """A point of a gauge or a sum."""
        known = stream.known.get(key)
        if known is None:
            rows = self._admit(stream, attributes, plain_series)
            known = rows if isinstance(rows, int) else rows[0]
            if known != CLASH:
                self._known.remember(stream, key, known)
        if isinstance(known, int) and known >= 0:
            self._add((known,), start, at, (value,))
        else:
            self.refuse(known, stream.sender)

    def refuse(self, known: SeriesRows, sender: Sender | None, points: int = 1) -> None:
        """Points have no place; ``known`` says why."""
        reason = _REASONS[known] if isinstance(known, int) else TOO_MANY_SERIES
        self.refused[reason] += points
        if sender is not None:
            self.blamed.setdefault(reason, sender)

    def without_value(self) -> None:
        """A point has no value."""
        self.refused["without a value"] += 1

    def no_stream(self, points: int) -> None:
        """So many points are of a metric that is not taken."""
        self.refused["too many metrics, or one without a valid name or temporality"] += points

    def histogram(self, stream: Stream, key: Hashable, attributes: ReadAttributes, point: Any) -> None:
        """A point of a histogram or a summary, with the fields that OTLP has."""
        read = {Form.EXPLICIT: self._explicit, Form.EXPONENTIAL: self._exponential, Form.SUMMARY: self._summary}
        read[stream.form](stream, key, attributes, point)

    def _explicit(self, stream: Stream, key: Hashable, attributes: ReadAttributes, point: Any) -> None:
        bounds, counts = tuple(point.explicit_bounds), point.bucket_counts
        if not counts and not bounds:
            counts = (point.count,)
        if len(counts) == len(bounds) + 1:
            bounds, counts = finite_bounds(bounds, counts)
        if len(counts) != len(bounds) + 1 or not all(low < high for low, high in pairwise((*bounds, math.inf))):
            self.refused["buckets that do not fit their bounds"] += 1
            return
        rows = self._layout(stream, key, attributes, histogram_series, bounds, at=signed(point.time_unix_nano))
        if rows:
            values = histogram_values(point.count, point.sum, counts)
            self._add_distribution(rows, values, point)

    def _exponential(self, stream: Stream, key: Hashable, attributes: ReadAttributes, point: Any) -> None:
        if len(point.positive.bucket_counts) + len(point.negative.bucket_counts) > self._limits.buckets:
            self.refused["too many buckets"] += 1
            return
        native = native_histogram(point)
        make, layout = (count_and_sum_series, ()) if native is None else (native_series, _NATIVE)
        rows = self._layout(stream, key, attributes, make, layout, at=signed(point.time_unix_nano))
        if rows:
            self._add_distribution(rows[:2], (float(point.count), float(point.sum)), point)
            if native is not None:
                start, at = signed(point.start_time_unix_nano), signed(point.time_unix_nano)
                self._histograms.append((rows[2], start, at or self._now, native))

    def _summary(self, stream: Stream, key: Hashable, attributes: ReadAttributes, point: Any) -> None:
        quantiles = tuple(each.quantile for each in point.quantile_values)
        rows = self._layout(stream, key, attributes, _summary_series, quantiles, at=signed(point.time_unix_nano))
        if rows:
            values = [each.value for each in point.quantile_values]
            self._add_distribution(rows, (float(point.count), float(point.sum), *values), point)

    def ended(self, stream: Stream, key: Hashable, *, at: int) -> None:
        """A point without a value: what it had is over (flag NO_RECORDED_VALUE)."""
        known = stream.known.get(key)
        rows = ((known,) if known >= 0 else ()) if isinstance(known, int) else known[1] if known else ()
        self._end(stream, rows, at=at, weight=1.0)

    def give(self, arriving: Arriving) -> int:
        """Hand all of it over; returns how many points were rejected."""
        self._describe()
        if self._rows:
            # In front: what is new, or unusual, was mostly there before what it is the double of.
            self._columns.insert(
                0,
                Points(
                    np.array(self._rows, dtype=np.intp),
                    np.array(self._starts, dtype=np.int64),
                    np.array(self._times, dtype=np.int64),
                    np.array(self._values, dtype=np.float64),
                    np.array(self._weights, dtype=np.float64),
                ),
            )
        rejected = sum(self.refused.values())
        if self._columns:
            points = Points(*(np.concatenate(column) for column in zip(*self._columns, strict=True)))
            rejected += arriving.take(points, now=self._now)
        if self._histograms:
            rows, starts, times, histograms = zip(*self._histograms, strict=True)
            places, nothing = np.arange(len(rows), dtype=np.float64), np.zeros(len(rows))
            points = Points(np.array(rows, dtype=np.intp), np.array(starts), np.array(times), places, nothing)
            arriving.take_histograms(points, histograms, now=self._now)
        return rejected

    def _describe(self) -> None:
        """The target_info of each sender, at the time of its newest point."""
        for sender in self.senders.values():
            sender.heard = self._now
            rows = self._known.info_rows(sender)
            self._add(rows, 0, min(sender.newest or self._now, self._now), [1.0] * len(rows), weight=0.0)

    def _stamped(self, times: Nanoseconds) -> Nanoseconds:
        return times if times.all() else np.where(times == 0, self._now, times)

    def _admit(
        self, stream: Stream, attributes: ReadAttributes, make: MakeSeries, bounds: tuple[float, ...] = ()
    ) -> list[int] | int:
        """The rows of new series, or why there are none."""
        found = attributes()
        if len(found) > self._limits.attributes:
            return TOO_WIDE
        return self._known.rows(stream, found, make, bounds, now=self._now)

    def _layout(
        self,
        stream: Stream,
        key: Hashable,
        attributes: ReadAttributes,
        make: MakeSeries,
        layout: tuple[float, ...],
        *,
        at: int,
    ) -> Sequence[int]:
        """The rows of a histogram, none where it has no place. Those that it had with other bounds end."""
        known = stream.known.get(key)
        if isinstance(known, tuple) and known[0] == layout:
            return known[1]
        if len(layout) > self._limits.buckets:
            self.refused["too many buckets"] += 1
            return ()
        rows = known if isinstance(known, int) else self._admit(stream, attributes, make, layout)
        if isinstance(rows, int):
            if rows != CLASH:
                self._known.remember(stream, key, rows)
            self.refuse(rows, stream.sender)
            return ()
        if isinstance(known, tuple):
            stay = set(rows)
            self._end(stream, [row for row in known[1] if row not in stay], at=at, weight=0.0)
        self._known.remember(stream, key, (layout, rows))
        return rows

    def _add_distribution(self, rows: Sequence[int], values: Sequence[Any], point: Any) -> None:
        start, at = signed(point.start_time_unix_nano), signed(point.time_unix_nano)
        if not isinstance(point, SummaryDataPoint) and not point.HasField("sum"):
            rows, values = [rows[0], *rows[2:]], [values[0], *values[2:]]
        self._add(rows, start, at, values)

    def _end(self, stream: Stream, rows: Sequence[int], *, at: int, weight: float) -> None:
        if stream.form is Form.EXPONENTIAL:
            # In turn with the histograms of the series.
            self._histograms += [(row, 0, at or self._now, STALE) for row in rows[-1:]]
            rows = rows[:-1]
        self._add(rows, 0, at, [STALE] * len(rows), weight=weight)

    def _add(self, rows: Sequence[int], start: int, at: int, values: Sequence[Any], *, weight: float = 1.0) -> None:
        """The first of them is the point itself."""
        size = len(rows)
        self._rows.extend(rows)
        self._starts.extend([start] * size)
        self._times.extend([at or self._now] * size)
        self._values.extend(values)
        self._weights.extend([weight, *[0.0] * (size - 1)] if size else ())


def signed(written: int) -> int:
    """An unsigned 64-bit time; one that no signed number holds is no time of ours."""
    return written if written < 1 << 63 else -1


def _summary_series(name: str, labels: Mapping[str, str], quantiles: Sequence[float]) -> tuple[Labels, ...]:
    quantile_labels = [np.format_float_positional(quantile, trim="-") for quantile in quantiles]
    return (
        *count_and_sum_series(name, labels),
        *(Labels({**labels, METRIC_NAME: name, "quantile": text}) for text in quantile_labels),
    )
