"""Window: recent samples of many series, in memory, as numpy columns."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from otelmon.histogram import Histogram
from otelmon.labels import Labels
from otelmon.matching import Matcher
from otelmon.sample import Sample, is_stale
from otelmon.window.family import Family
from otelmon.window.histograms import HistogramBlock, histogram_at
from otelmon.window.selection import Selection
from otelmon.window.table import Floats
from otelmon.window.view import View

logger = logging.getLogger("otelmon")

# Selections are kept by their matchers; rules have hundreds at most, ad-hoc queries should not pile up.
_MOST_SELECTIONS = 4096
_ROW_BITS = 32
_ROW_MASK = (1 << _ROW_BITS) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The samples of one series in a span of time: instants in unix seconds, and at each a float or a Histogram."""

    labels: Labels
    times: Floats
    values: npt.NDArray[np.object_] | Floats


class _Batch:
    """What one ``append`` brings for one family."""

    __slots__ = ("at", "rows", "starts", "values")

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.at: list[float] = []
        self.values: list[float] = []
        self.starts: list[float] = []

    def part(self, chosen: slice) -> _Batch:
        """Some of it."""
        part = _Batch()
        part.rows, part.at = self.rows[chosen], self.at[chosen]
        part.values, part.starts = self.values[chosen], self.starts[chosen]
        return part


class Window:
    """Samples kept as long as rules look back: ``retention_seconds``, those of metrics in ``lasting`` for longer.

    Samples of a series come in order of time; what is not newer than the newest is dropped and counted in
    ``out_of_order``. ``STALE`` ends a series. A sample whose ``start_at`` is new writes a zero before it, so that the
    first value of a counter already counts as an increase. A series without a sample for as long as it is kept, before
    the newest sample of all, is forgotten. New series beyond ``max_series`` are refused, counted in ``overflowed`` and
    logged once; those that exist go on.
    """

    def __init__(
        self, *, retention_seconds: float, max_series: int = 50_000, lasting: Mapping[str, float] | None = None
    ) -> None:
        """An empty window. ``lasting`` has, by name, for how many seconds a metric's samples are kept instead."""
        self.retention_seconds = retention_seconds
        self.lasting: Mapping[str, float] = lasting or {}
        self.max_series = max_series
        self.overflowed = 0
        self.out_of_order = 0
        self.newest = -math.inf
        # Kept for whoever evaluates: what an expression gave last, and for which versions, see promql.
        self.results: dict[object, object] = {}
        self._families: list[Family] = []
        self._numbers: dict[str, int] = {}
        # The family's number and the row in one: a number is no object for the garbage collector to visit.
        self._places: dict[Labels, int] = {}
        self._selections: dict[tuple[Matcher, ...], Selection] = {}
        self._views: dict[Matcher, View] = {}
        self._expired_at = -math.inf
        self._said_full = False

    @property
    def series_count(self) -> int:
        """How many series live."""
        return len(self._places)

    @property
    def size_bytes(self) -> int:
        """Memory of the arrays, without the labels."""
        return sum(block.size_bytes for family in self._families for block in family.blocks)

    def kept_seconds(self, name: str) -> float:
        """How long the samples of a metric are kept."""
        return max(self.retention_seconds, self.lasting.get(name, 0.0))

    @property
    def longest_seconds(self) -> float:
        """How long samples are kept at most."""
        return max(self.retention_seconds, *self.lasting.values(), 0.0)

    def append(self, samples: Iterable[Sample]) -> None:
        """Take in samples of any series, in any order between series."""
        batches: dict[Family, _Batch] = {}
        histograms: list[tuple[Family, int, Sample]] = []
        places, families = self._places, self._families
        newest = self.newest
        for sample in samples:
            place = places.get(sample.labels)
            if place is None:
                place = self._admit(sample)
                if place is None:
                    continue
            family, row = families[place >> _ROW_BITS], place & _ROW_MASK
            at, value = sample.at, sample.value
            newest = max(newest, at)
            if isinstance(value, Histogram):
                histograms.append((family, row, sample))
                continue
            batch = batches.get(family)
            if batch is None:
                batch = batches[family] = _Batch()
            batch.rows.append(row)
            batch.at.append(at)
            batch.values.append(value)
            batch.starts.append(-math.inf if sample.start_at is None else sample.start_at)
        self.newest = newest
        for family, batch in batches.items():
            self._push(family, batch, self._cutoff(family))
        for family, row, sample in histograms:
            self._push_histogram(family, row, sample, self._cutoff(family))
        if newest - self._expired_at > self.retention_seconds / 16:
            self._expire()

    def _cutoff(self, family: Family) -> float:
        return self.newest - self.kept_seconds(family.name)

    def _admit(self, sample: Sample) -> int | None:
        """A place for a series that is new; None when it may not have one."""
        if sample.is_end:
            return None
        if len(self._places) >= self.max_series:
            self.overflowed += 1
            if not self._said_full:
                self._said_full = True
                logger.warning(
                    "the window is full: it has %d series; new ones such as %s are not evaluated",
                    self.max_series,
                    sample.labels,
                )
            return None
        name = sample.labels.metric_name
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self._families)
            self._families.append(Family(name))
        place = self._places[sample.labels] = number << _ROW_BITS | self._families[number].add(sample.labels)
        return place

    def _push(self, family: Family, batch: _Batch, cutoff: float) -> None:
        if family.histograms is not None:
            # A marker ends whatever the series has, so it goes to both blocks, in its turn.
            ends = [index for index, value in enumerate(batch.values) if is_stale(value)]
            if len(ends) == len(batch.values) == len(set(batch.rows)):
                family.end(np.array(batch.rows, dtype=np.intp), np.array(batch.at))
                return
            begin = 0
            for index in ends:
                self._push_rows(family, batch.part(slice(begin, index)), cutoff)
                family.end(np.array([batch.rows[index]], dtype=np.intp), np.array([batch.at[index]]))
                begin = index + 1
            batch = batch.part(slice(begin, None))
        self._push_rows(family, batch, cutoff)

    def _push_rows(self, family: Family, batch: _Batch, cutoff: float) -> None:
        if not batch.rows:
            return
        rows = np.array(batch.rows, dtype=np.intp)
        at, values, starts = np.array(batch.at), np.array(batch.values, dtype=np.float64), np.array(batch.starts)
        # The blocks take a series once in a push: the n-th sample of each series goes in the n-th push.
        order = np.argsort(rows, kind="stable")
        ordered = rows[order]
        begins = np.concatenate([[True], ordered[1:] != ordered[:-1]])
        if begins.all():
            self.out_of_order += family.push_floats(rows, at, values, starts, cutoff)
            return
        first = np.maximum.accumulate(np.where(begins, np.arange(rows.size), 0))
        nth = np.arange(rows.size) - first
        by_nth = np.argsort(nth, kind="stable")
        for part in np.split(order[by_nth], np.nonzero(np.diff(nth[by_nth]))[0] + 1):
            self.out_of_order += family.push_floats(rows[part], at[part], values[part], starts[part], cutoff)

    def _push_histogram(self, family: Family, row: int, sample: Sample, cutoff: float) -> None:
        start = -math.inf if sample.start_at is None else sample.start_at
        if isinstance(sample.value, Histogram) and not family.push_histogram(
            row, sample.at, sample.value, start, cutoff
        ):
            self.out_of_order += 1

    def _expire(self) -> None:
        self._expired_at = self.newest
        for family in self._families:
            for labels in family.expire(self._cutoff(family)):
                del self._places[labels]

    def shift(self, seconds: float) -> None:
        """Move all samples in time: the wall clock jumped by so much, and they are as old as before."""
        for family in self._families:
            family.shift(seconds)
        self.newest += seconds
        self._expired_at += seconds
        self.results.clear()
        for view in self._views.values():
            view.results.clear()

    def selection(self, matchers: tuple[Matcher, ...]) -> Selection:
        """The series that meet all matchers, up to date; the same object each time, as long as it can be extended."""
        return self.find(self._selections, matchers)

    def find(self, known: dict[tuple[Matcher, ...], Selection], matchers: tuple[Matcher, ...]) -> Selection:
        """The selection among those that are known, brought up to date; a new one is kept there."""
        found = known.get(matchers)
        if found is not None:
            found.extend(self._families)
        if found is None or found.outdated:
            if len(known) >= _MOST_SELECTIONS:
                known.clear()
            found = known[matchers] = Selection(matchers)
            found.extend(self._families)
        return found

    def within(self, matcher: Matcher) -> View:
        """The part of it whose series meet a matcher; the same object each time. For few matchers that last."""
        view = self._views.get(matcher)
        if view is None:
            view = self._views[matcher] = View(self, matcher)
        return view

    def select(self, matchers: Sequence[Matcher], start: float = -math.inf, end: float = math.inf) -> list[Series]:
        """The series that meet all matchers, with their samples in ``start <= t <= end``; none without a sample."""
        series = []
        for part in self.selection(tuple(matchers)).parts:
            living = part.alive()
            for index, row in enumerate(part.rows.tolist()):
                if living is not None and not living[index]:
                    continue
                times, values = _samples(part.family, row, start, end)
                if times.size:
                    labels = part.family.log[int(part.entries[index])]
                    series.append(Series(labels=labels, times=times, values=values))
        return series


def _samples(family: Family, row: int, start: float, end: float) -> tuple[Floats, npt.NDArray[np.object_] | Floats]:
    times: Floats = np.zeros(0)
    values: npt.NDArray[np.object_] | Floats = np.zeros(0)
    if family.floats is not None:
        length = int(family.floats.length[row])
        times, values = family.floats.times[row, :length].copy(), family.floats.columns["value"][row, :length].copy()
    block = family.histograms
    if block is not None and block.length[row]:
        length = int(block.length[row])
        objects = np.empty(length, dtype=object)
        for slot in range(length):
            one = np.array([row], dtype=np.intp), np.array([slot], dtype=np.intp)
            objects[slot] = histogram_at(block.at(*one), 0) if isinstance(block, HistogramBlock) else block.at(*one)[0]
        times, values = np.concatenate([times, block.times[row, :length]]), np.concatenate([values, objects])
        order = np.argsort(times, kind="stable")
        times, values = times[order], values[order]
    chosen = (times >= start) & (times <= end)
    return times[chosen], values[chosen]
