"""Arriving: what is known of each series that clients send, as numpy columns, and the samples that wait for the engine.

    point of            becomes
    gauge               a sample at the point's time
    cumulative sum      the same, with the instant at which it was zero where that is news: a new series, a restart
    delta sum           added to a total; while its sender sends and the series does not, the total is repeated, as a
                        cumulative series would be

A point is dropped, and counted, when it was measured too long ago, when it is not newer than the one before it (OTLP
and Prometheus have one value a time; the first wins), or when two senders count one series under different starts. A
point from the future is taken for one of now, for the clock of its sender is wrong; once that is set right, it goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from otelmon.collect.limits import IngestLimits
from otelmon.collect.merge import add_histograms, narrowed, widest
from otelmon.collect.points import SECOND, Floats, Mask, Nanoseconds, Points, Rows, found_there, turns
from otelmon.histogram import Histogram
from otelmon.labels import EMPTY_LABELS, Labels
from otelmon.sample import STALE, Sample

# Two samples of a series are this far apart at least, and a zero this far before the sample it is the zero of.
_APART = 1_000_000
# The least that is later, as far as unix seconds in a float can tell.
_LATER = 1_000
_NEVER = -(1 << 62)
# Nobody counts a series from an older start than another one that was heard of so lately.
_RIVAL_SECONDS = 120.0
# The most buckets of a side that an SDK keeps unless it is told otherwise.
_BUCKETS = 160
_STALE_BITS = np.float64(STALE).view(np.uint64)


class Mode(IntEnum):
    """How the points of a series follow one another."""

    FAREWELL = -1
    """A gauge whose 0 says that its sender stops by intent."""
    GAUGE = 0
    CUMULATIVE = 1
    DELTA = 2
    DELTA_LEVEL = 3
    """Changes of what may also fall."""


class Arriving:
    """The series of all clients, by row. Not for several threads at once. Instants are unix nanoseconds."""

    def __init__(self, limits: IngestLimits) -> None:
        self.dropped: Counter[str] = Counter()
        """Points that were dropped, by reason; ``ahead`` were taken at another time."""
        self._limits = limits
        self._rows: dict[Labels, int] = {}
        self._labels: list[Labels] = []
        self._free: list[int] = []
        self._columns: dict[str, npt.NDArray[Any]] = {
            # The time of the last point, as its sender has it, and of the last sample, as the window has it.
            "last": np.zeros(0, dtype=np.int64),
            "out": np.zeros(0, dtype=np.int64),
            "start": np.zeros(0, dtype=np.int64),
            "heard": np.zeros(0, dtype=np.int64),
            "total": np.zeros(0, dtype=np.float64),
            "mode": np.zeros(0, dtype=np.int8),
            "sender": np.zeros(0, dtype=np.int32),
        }
        # For new series, since when they count at most where that is later than what their sender says.
        self._since: dict[int, int] = {}
        self._totals: dict[int, Histogram] = {}
        self._waiting: list[tuple[Rows, Nanoseconds, Floats, Nanoseconds]] = []
        self._waiting_histograms: list[tuple[int, int, Histogram | float, int]] = []
        self._deltas = False
        self.waiting = 0
        """How many samples wait."""
        self.left: set[int] = set()
        """The numbers of the senders that said farewell."""

    def __len__(self) -> int:
        return len(self._rows)

    def admit(self, series: Sequence[Labels], mode: Mode, *, sender: int, since: int) -> list[int] | None:
        """The rows of these series; None when there is no room for them.

        ``since`` is when they were not there yet, 0 where that is not known. ``sender`` is a number of the sender.
        """
        new = sum(1 for labels in series if labels not in self._rows)
        if len(self._rows) + new > self._limits.series:
            return None
        rows = []
        for labels in series:
            row = self._rows.get(labels)
            if row is None:
                row = self._rows[labels] = self._new_row(labels, since)
            rows.append(row)
            self._columns["mode"][row] = mode
            self._columns["sender"][row] = sender
        self._deltas = self._deltas or mode >= Mode.DELTA
        return rows

    def clashes(self, series: Sequence[Labels], mode: Mode, *, now: int) -> bool:
        """Whether some of these came lately as another kind of metric, whose points mean something else."""
        modes, heard = self._columns["mode"], self._columns["heard"]
        lately = now - int(_RIVAL_SECONDS * SECOND)
        rows = [row for row in map(self._rows.get, series) if row is not None and modes[row] != mode]
        # What has not been heard of yet came in the same request.
        return any(heard[row] == 0 or heard[row] > lately for row in rows)

    def _new_row(self, labels: Labels, since: int) -> int:
        if self._free:
            row = self._free.pop()
            self._labels[row] = labels
        else:
            row = len(self._labels)
            self._labels.append(labels)
            if row >= self._columns["last"].size:
                more = max(1024, row // 2)
                for name, column in self._columns.items():
                    self._columns[name] = np.concatenate([column, np.zeros(more, dtype=column.dtype)])
        for name, value in (("last", _NEVER), ("out", _NEVER), ("start", -1), ("heard", 0), ("total", 0.0)):
            self._columns[name][row] = value
        if since:
            self._since[row] = since
        return row

    def take(self, points: Points, *, now: int) -> int:
        """Points in any order; returns how many were rejected, duplicates not counted."""
        rejected = 0
        beyond = int(points.weights.sum())
        for part in turns(points):
            beyond -= int(part.weights.sum())
            rejected += self._take(part, now)
        if beyond:
            self.dropped["too many of one series"] += beyond
        return rejected + beyond

    def _take(self, points: Points, now: int) -> int:
        chosen, rejected = self._judge(points, now)
        if chosen is not None:
            points = points.part(chosen)
        rows, starts, _, values, _ = points
        if not rows.size:
            return rejected
        out, begins = self._place(points, now)
        farewell = (self._columns["mode"][rows] == Mode.FAREWELL) & (values == 0)
        if farewell.any():
            self.left.update(self._columns["sender"][rows[farewell]].tolist())
        if self._deltas:
            values, begins = self._accumulate(points, out, begins)
        self._columns["start"][rows] = np.where(starts > 0, starts, self._columns["start"][rows])
        self._waiting.append((rows, out, values, begins))
        self.waiting += rows.size
        return rejected

    def take_histograms(self, points: Points, histograms: Sequence[Histogram | float], *, now: int) -> None:
        """Native histograms, and the ends of their series; the points' values are places in ``histograms``.

        They share the fate of their points, which is counted with their other series.
        """
        for turn in turns(points):
            chosen, _ = self._judge(turn, now)
            part = turn if chosen is None else turn.part(chosen)
            if not part.rows.size:
                continue
            out, begins = self._place(part, now)
            if self._deltas:
                _, begins = self._accumulate(part, out, begins)
            self._columns["start"][part.rows] = np.where(
                part.starts > 0, part.starts, self._columns["start"][part.rows]
            )
            values = [histograms[int(place)] for place in part.values.tolist()]
            modes = self._columns["mode"][part.rows].tolist() if self._deltas else ()
            for index, mode in enumerate(modes):
                if mode >= Mode.DELTA:
                    values[index], anew = self._total(int(part.rows[index]), values[index])
                    if anew:
                        begins[index] = out[index] - _APART
            self._waiting_histograms += zip(part.rows.tolist(), out.tolist(), values, begins.tolist(), strict=True)
            self.waiting += part.rows.size

    def _total(self, row: int, value: Histogram | float) -> tuple[Histogram | float, bool]:
        """What a delta adds up to, and whether that had to begin anew: with another width of the zero bucket."""
        before = self._totals.pop(row, None)
        if not isinstance(value, Histogram):
            self._columns["start"][row] = -1
            return value, False
        anew = before is not None and before.zero_threshold != value.zero_threshold
        if before is not None and not anew:
            # As many buckets as an SDK keeps, or as many as this one sends.
            value = narrowed(add_histograms(before, value), max(_BUCKETS, widest(value)))
        self._totals[row] = value
        return value, anew

    def _judge(self, points: Points, now: int) -> tuple[Mask | None, int]:
        """Which of them are taken, None for all; how many of the others were rejected."""
        rows, starts, times, _, weights = points
        columns, limits = self._columns, self._limits
        newer = times > columns["last"][rows]
        if not newer.all():
            # What came before was from the future, and this is not: the sender's clock was set right.
            present = now + int(limits.ahead_seconds * SECOND)
            newer |= (columns["last"][rows] > present) & (times <= present)
        late = times < now - int(limits.late_seconds * SECOND)
        known = columns["start"][rows]
        rival = (starts > 0) & (starts < known) & (columns["mode"][rows] == Mode.CUMULATIVE)
        if rival.any():
            rival &= columns["heard"][rows] > now - int(_RIVAL_SECONDS * SECOND)
        chosen: Mask = newer & ~late & ~rival
        if chosen.all():
            return None, 0
        counted = weights > 0
        same = ~newer & (times == columns["last"][rows])
        reasons = {
            "late": late,
            "duplicate": same & ~late,
            "out of order": ~newer & ~same & ~late,
            "two senders": rival & newer & ~late,
        }
        counts = {reason: int(np.count_nonzero(mask & counted)) for reason, mask in reasons.items()}
        self.dropped.update({reason: count for reason, count in counts.items() if count})
        return chosen, sum(count for reason, count in counts.items() if reason != "duplicate")

    def _place(self, points: Points, now: int) -> tuple[Nanoseconds, Nanoseconds]:
        """When their samples are, and since when they count where that is news, else _NEVER."""
        rows, starts, times, _, weights = points
        columns = self._columns
        ahead = times > now + int(self._limits.ahead_seconds * SECOND)
        out = times
        if ahead.any():
            self.dropped["ahead"] += int(np.count_nonzero(ahead & (weights > 0)))
            out = np.where(ahead, now, times)
        before = columns["out"][rows]
        out = np.where(out > before, out, before + _APART)
        begins = np.full(rows.size, _NEVER, dtype=np.int64)
        fresh = (starts > 0) & (starts != columns["start"][rows]) & (columns["mode"][rows] == Mode.CUMULATIVE)
        if fresh.any():
            # A start that is the time itself says that nobody knows when it was zero.
            begins = np.where(fresh & (starts < times) & ~found_there(points), starts + (out - times), begins)
            if self._since:
                for index in np.nonzero(fresh)[0].tolist():
                    begins[index] = self._late_start(int(rows[index]), int(begins[index]), int(out[index]))
        columns["last"][rows], columns["out"][rows], columns["heard"][rows] = times, out, now
        return out, begins

    def _late_start(self, row: int, begin: int, out: int) -> int:
        since = self._since.pop(row, 0)
        return min(max(begin, since), out - _APART) if begin != _NEVER else begin

    def _accumulate(self, points: Points, out: Nanoseconds, begins: Nanoseconds) -> tuple[Floats, Nanoseconds]:
        """Deltas as what they add up to."""
        rows, starts, _, values, _ = points
        columns = self._columns
        found = found_there(points)
        mode = columns["mode"][rows]
        deltas = mode >= Mode.DELTA
        if not deltas.any():
            return values, begins
        ended = values.view(np.uint64) == _STALE_BITS
        adds = deltas & np.isfinite(values)
        columns["total"][rows[adds]] += values[adds]
        first = adds & (columns["start"][rows] < 0)
        # Later than the sample before it, which a process that ran before this one may have left.
        zero = np.where((starts > 0) & (starts < out - _APART), starts + _LATER, out - _APART)
        columns["start"][rows[first]] = 0
        over = deltas & ended
        columns["total"][rows[over]], columns["start"][rows[over]] = 0.0, -1
        counts = first & (mode == Mode.DELTA) & ~found
        return np.where(deltas & ~ended, columns["total"][rows], values), np.where(counts, zero, begins)

    def repeat(self, newest: Nanoseconds) -> None:
        """Repeat the totals of the delta series whose senders have sent since; ``newest`` is when, by sender."""
        if not self._deltas or not newest.size:
            return
        columns, count = self._columns, len(self._labels)
        started = (columns["mode"][:count] >= Mode.DELTA) & (columns["start"][:count] >= 0)
        rows = np.nonzero(started)[0]
        at = newest[columns["sender"][rows]]
        due = at > columns["out"][rows]
        rows, at = rows[due], at[due]
        columns["out"][rows] = at
        histograms = np.array([row in self._totals for row in rows.tolist()], dtype=np.bool_)
        for row, out in zip(rows[histograms].tolist(), at[histograms].tolist(), strict=True):
            self._waiting_histograms.append((row, out, self._totals[row], _NEVER))
        rows, at = rows[~histograms], at[~histograms]
        self._waiting.append((rows, at, columns["total"][rows], np.full(rows.size, _NEVER, dtype=np.int64)))

    def drain(self) -> Sequence[Sample]:
        """The samples that wait; none does any longer."""
        parts, histograms = self._waiting, self._waiting_histograms
        self._waiting, self._waiting_histograms, self.waiting = [], [], 0
        return _Samples(self._labels, parts, histograms)

    def forget(self, before: int) -> set[int]:
        """Let go of the series that were not heard of since ``before``; none of them may wait. Returns their rows."""
        count = len(self._labels)
        silent = np.nonzero((self._columns["heard"][:count] < before) & (self._columns["heard"][:count] >= 0))[0]
        gone = set()
        for row in silent.tolist():
            labels = self._labels[row]
            if labels is not EMPTY_LABELS:
                del self._rows[labels]
                self._labels[row] = EMPTY_LABELS
                self._columns["start"][row] = -1
                self._since.pop(row, None)
                self._totals.pop(row, None)
                self._free.append(row)
                gone.add(row)
        return gone

    def shift(self, nanoseconds: int) -> None:
        """The clock jumped, and the window was moved along."""
        out = self._columns["out"]
        out[out > _NEVER] += nanoseconds
        self._columns["heard"] += nanoseconds


class _Samples(Sequence[Sample]):
    """Samples in columns, each made while it is read."""

    __slots__ = ("_at", "_begins", "_histograms", "_labels", "_values")

    def __init__(
        self,
        labels: Sequence[Labels],
        parts: Sequence[tuple[Rows, Nanoseconds, Floats, Nanoseconds]],
        histograms: Sequence[tuple[int, int, Histogram | float, int]],
    ) -> None:
        if parts:
            rows, at, values, begins = (np.concatenate(column) for column in zip(*parts, strict=True))
        else:
            rows, at, values, begins = (np.zeros(0) for _ in range(4))
        self._labels = [labels[int(row)] for row in rows.tolist()]
        self._at, self._values, self._begins = at / SECOND, values, np.where(begins > _NEVER, begins / SECOND, np.nan)
        self._histograms = [
            Sample(
                labels=labels[row],
                at=out / SECOND,
                value=value,
                start_at=None if begin == _NEVER else begin / SECOND,
            )
            for row, out, value, begin in histograms
        ]

    def __len__(self) -> int:
        return len(self._labels) + len(self._histograms)

    def __iter__(self) -> Iterator[Sample]:
        columns = (self._at.tolist(), self._values.tolist(), self._begins.tolist())
        for labels, at, value, begin in zip(self._labels, *columns, strict=True):
            yield Sample(labels=labels, at=at, value=value, start_at=begin if begin == begin else None)  # noqa: PLR0124
        yield from self._histograms

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        return list(self)[index]
