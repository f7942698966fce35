"""Family: every series of one metric name, found by label."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

import numpy as np

from otelmon.histogram import Histogram
from otelmon.labels import Labels
from otelmon.matching import Matcher, MatchOperator
from otelmon.window.floats import FloatBlock
from otelmon.window.histograms import HistogramBlock, ObjectBlock, layout_of
from otelmon.window.table import Floats, Integers, Mask, Table

_FEW = 64


class Family:
    """The series of one metric name.

    A series has a row in the blocks as long as it lives, and an entry in the family's ``log`` for ever: entries are
    only added, so that whoever selected series before extends the selection by what was logged since. When most
    entries are of dead series the log is written anew and ``epoch`` goes up. ``version`` goes up at each change.
    """

    def __init__(self, name: str) -> None:
        """An empty family of this metric name."""
        self.name = name
        self.floats: FloatBlock | None = None
        self.histograms: HistogramBlock | ObjectBlock | None = None
        self.version = 0
        self.epoch = 0
        self.removed = 0
        self.log: list[Labels] = []
        self.log_rows: list[int] = []
        self.alive: Mask = np.zeros(0, dtype=np.bool_)
        self._entry: dict[int, int] = {}  # row -> entry of the log
        self._free: list[int] = []
        self._postings: dict[str, dict[str, list[int]]] = {}

    @property
    def series_count(self) -> int:
        """How many series live."""
        return len(self._entry)

    @property
    def blocks(self) -> Iterable[Table]:
        """The blocks that hold samples."""
        return [block for block in (self.floats, self.histograms) if block is not None]

    def add(self, labels: Labels) -> int:
        """A row for a new series."""
        row = self._free.pop() if self._free else len(self._entry)
        self._write_entry(labels, row)
        if isinstance(self.histograms, HistogramBlock) and not self.histograms.has_room(row + 1):
            self.histograms = self.histograms.objects()
        for block in self.blocks:
            block.reserve_rows(row + 1)
        self.version += 1
        return row

    def _write_entry(self, labels: Labels, row: int) -> None:
        entry = len(self.log)
        self.log.append(labels)
        self.log_rows.append(row)
        if entry >= self.alive.size:
            self.alive = np.concatenate([self.alive, np.ones(max(8, entry // 2), dtype=np.bool_)])
        self._entry[row] = entry
        for name, value in labels.pairs:
            self._postings.setdefault(name, {}).setdefault(value, []).append(entry)

    def rows_needed(self) -> int:
        """How many rows the blocks must have room for."""
        return len(self._entry) + len(self._free)

    def find(self, matchers: Sequence[Matcher], seen: int) -> list[int]:
        """The entries of the log from ``seen`` on whose labels meet all matchers."""
        candidates: Sequence[int] = range(seen, len(self.log))
        for matcher in matchers:
            if matcher.operator is MatchOperator.EQUAL and not matcher.value:
                # Mostly all series of a metric have a label or none has: then nothing needs to be looked through.
                if sum(map(len, self._postings.get(matcher.name, {}).values())) == len(self.log):
                    return []
            elif matcher.operator is MatchOperator.EQUAL:
                listed = self._postings.get(matcher.name, {}).get(matcher.value, [])
                if len(listed) <= len(candidates):
                    candidates = listed[bisect_left(listed, seen) :]
        tests = [(matcher.name, matcher.matches) for matcher in matchers]
        return [
            entry
            for entry in candidates
            if self.alive[entry] and all(matches(self.log[entry].get(name, "")) for name, matches in tests)
        ]

    def push_floats(self, rows: Integers, at: Floats, values: Floats, starts: Floats, cutoff: float) -> int:
        """Append floats (no row twice), with a zero before those whose start is new; returns how many were dropped."""
        if self.floats is None:
            self.floats = FloatBlock()
            self.floats.reserve_rows(self.rows_needed())
        begins = (starts > self.floats.latest[rows]) & (starts < at) & (starts >= cutoff)
        if begins.any():
            self.floats.push(rows[begins], starts[begins], np.zeros(int(begins.sum())), cutoff)
        self.version += 1
        return self.floats.push(rows, at, values, cutoff)

    def push_histogram(self, row: int, at: float, value: Histogram, start: float, cutoff: float) -> bool:
        """Append a histogram, with an empty one before it where its start is new; false when it was dropped."""
        layout = layout_of(value)
        block = self.histograms
        if block is None:
            block = HistogramBlock(layout) if layout is not None else ObjectBlock()
            if isinstance(block, HistogramBlock) and not block.has_room(self.rows_needed(), value):
                block = ObjectBlock()
            block.reserve_rows(self.rows_needed())
        elif isinstance(block, HistogramBlock) and (layout != block.layout or not block.has_room(block.rows, value)):
            block = block.objects()
        self.histograms = block
        self.version += 1
        if block.latest[row] < start < at and start >= cutoff:
            empty = Histogram(
                count=0.0, sum=0.0, scale=value.scale, zero_threshold=value.zero_threshold, bounds=value.bounds
            )
            block.push(row, start, empty, cutoff)
        return block.push(row, at, value, cutoff)

    def end(self, rows: Integers, at: Floats) -> None:
        """Staleness markers for series whose samples are not all floats."""
        for block in self.blocks:
            later = at > block.latest[rows]
            block.end(rows[later], at[later])
        self.version += 1

    def expire(self, cutoff: float) -> list[Labels]:
        """Let go of the series that have no sample after ``cutoff``; their rows are free again."""
        newest = np.full(self.rows_needed(), -np.inf)
        for block in self.blocks:
            newest = np.maximum(newest, block.latest[: newest.size])
        rows = [row for row in np.nonzero(newest <= cutoff)[0].tolist() if row in self._entry]
        if not rows:
            return []
        gone = []
        for row in rows:
            entry = self._entry.pop(row)
            self.alive[entry] = False
            gone.append(self.log[entry])
        self._free.extend(rows)
        self.removed += len(rows)
        self.version += 1
        for block in self.blocks:
            block.forget(np.array(rows, dtype=np.intp))
        if self.removed > _FEW and self.removed * 2 > len(self.log):
            self._write_log_anew()
        return gone

    def _write_log_anew(self) -> None:
        living = [(self.log[entry], row) for row, entry in sorted(self._entry.items(), key=lambda item: item[1])]
        self.log, self.log_rows, self._postings = [], [], {}
        self.alive = np.ones(len(living) + 8, dtype=np.bool_)
        self._entry = {}
        for labels, row in living:
            self._write_entry(labels, row)
        self.removed = 0
        self.epoch += 1

    def shift(self, seconds: float) -> None:
        """Move every sample in time."""
        for block in self.blocks:
            block.shift(seconds)
        self.version += 1
