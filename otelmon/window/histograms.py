"""Native histograms of one family: sparse increments beside a dense block, or objects where layouts mix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from otelmon.histogram import Buckets, Histogram
from otelmon.window.table import Floats, Integers, Mask, Table

# Of a dense array; there are two, of 128 MiB each then. Series of a service's latencies have some hundred buckets.
_MOST_CELLS = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What the histograms of a dense block have in common."""

    scale: int
    zero_threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramArrays:
    """Histograms of one layout as arrays: ``buckets[i, b]`` is the count of bucket ``first_bucket + b``."""

    layout: Layout
    count: Floats
    sum: Floats
    zero_count: Floats
    buckets: Floats
    first_bucket: int


def layout_of(histogram: Histogram) -> Layout | None:
    """The layout that lets a histogram into a dense block; None where only an object will do."""
    if histogram.bounds is not None or histogram.gauge or histogram.negative.indices:
        return None
    return Layout(scale=histogram.scale, zero_threshold=histogram.zero_threshold)


class HistogramBlock(Table):
    """Exponential histograms of one layout without negative buckets: what request latencies are.

    The newest counts of every series are a dense array ``[row, bucket]``. Older ones are not kept whole: beside the
    columns ``count``, ``sum``, ``zero`` and ``reset`` there is one log of increments (row, bucket, amount, time), in
    which a histogram after a counter reset counts in full. So an increase is one weighted count over the log, and a
    series at scale 5 with hundreds of buckets costs memory only for those that moved.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__({"count": np.float64, "sum": np.float64, "zero": np.float64, "reset": np.bool_})
        self.layout = layout
        self.first_bucket = 0
        self.current: Floats = np.zeros((0, 0))
        # The counts at each row's first retained sample: where the log of increments begins.
        self.base: Floats = np.zeros((0, 0))
        self._logged = 0
        self._row = np.zeros(256, dtype=np.int32)
        self._bucket = np.zeros(256, dtype=np.int32)
        self._amount: Floats = np.zeros(256)
        self._time: Floats = np.zeros(256)

    @property
    def size_bytes(self) -> int:
        """Memory of the arrays."""
        arrays = (self.current, self.base, self._row, self._bucket, self._amount, self._time)
        return super().size_bytes + sum(array.nbytes for array in arrays)

    def reserve_rows(self, count: int) -> None:
        """Make room for at least ``count`` rows."""
        super().reserve_rows(count)
        more = self.rows - self.current.shape[0]
        if more > 0:
            empty = np.zeros((more, self.current.shape[1]))
            self.current = np.concatenate([self.current, empty])
            self.base = np.concatenate([self.base, empty])

    def has_room(self, rows: int, histogram: Histogram | None = None) -> bool:
        """Whether the dense array may have so many rows, and this histogram among them. Buckets far from the others'
        widen it for all series, so that a few of them, far enough apart, would take all memory there is.
        """
        first, width = self.first_bucket, int(self.current.shape[1])
        ends = [first, first + width] if width else []
        if histogram is not None and histogram.positive.indices:
            ends += [histogram.positive.indices[0], histogram.positive.indices[-1] + 1]
        return rows * (max(ends, default=0) - min(ends, default=0)) <= _MOST_CELLS

    def push(self, row: int, at: float, histogram: Histogram, cutoff: float) -> bool:
        """Append one histogram of this block's layout; false when it was dropped as out of order."""
        if at <= self.latest[row]:
            return False
        rows = np.array([row], dtype=np.intp)
        self.reserve_slots(rows, cutoff)
        counts = self._dense(histogram.positive)
        last = int(self.length[row]) - 1
        before = self.current[row]
        if last < 0:
            reset = False
            self.base[row] = counts
            amounts = np.zeros(0)
        else:
            amounts = counts - before
            reset = bool(
                histogram.count < self.columns["count"][row, last]
                or histogram.zero_count < self.columns["zero"][row, last]
                or (amounts.size and amounts.min() < 0)
            )
            if reset:
                amounts = counts
        moved = np.nonzero(amounts)[0]
        if moved.size:
            self._log(row, moved + self.first_bucket, amounts[moved], at)
        self.current[row] = counts
        values = {"count": histogram.count, "sum": histogram.sum, "zero": histogram.zero_count, "reset": reset}
        self.write(rows, np.array([at]), values)
        return True

    def _dense(self, buckets: Buckets) -> Floats:
        if not buckets.indices:
            return np.zeros(self.current.shape[1])
        lowest, highest = buckets.indices[0], buckets.indices[-1]
        width = self.current.shape[1]
        if width == 0 or lowest < self.first_bucket or highest >= self.first_bucket + width:
            self._widen(lowest, highest)
        counts = np.zeros(self.current.shape[1])
        counts[np.array(buckets.indices, dtype=np.intp) - self.first_bucket] = buckets.counts
        return counts

    def _widen(self, lowest: int, highest: int) -> None:
        width = self.current.shape[1]
        first = lowest if width == 0 else min(lowest, self.first_bucket)
        end = highest + 1 if width == 0 else max(highest + 1, self.first_bucket + width)
        left = 0 if width == 0 else self.first_bucket - first
        padding = ((0, 0), (left, end - first - width - left))
        self.current = np.pad(self.current, padding)
        self.base = np.pad(self.base, padding)
        self.first_bucket = first

    def _log(self, row: int, buckets: Integers, amounts: Floats, at: float) -> None:
        end = self._logged + buckets.size
        if end > self._row.size:
            size = max(end, self._row.size * 3 // 2)
            self._row, self._bucket = np.resize(self._row, size), np.resize(self._bucket, size)
            self._amount, self._time = np.resize(self._amount, size), np.resize(self._time, size)
        part = slice(self._logged, end)
        self._row[part], self._bucket[part], self._amount[part], self._time[part] = row, buckets, amounts, at
        self._logged = end

    def compact(self, cutoff: float) -> Integers:
        """Drop samples that are not after ``cutoff``, and the increments up to each row's first retained one."""
        rows = np.arange(self.rows)
        expired = np.count_nonzero(self.times <= cutoff, axis=1)
        moves = (expired > 0) & (expired < self.length)
        if moves.any():
            self.base[moves] = self._raw(rows[moves], expired[moves])
        dropped = super().compact(cutoff)
        first = np.where(self.length > 0, self.times[:, 0], np.inf)
        part = slice(0, self._logged)
        kept = np.nonzero(self._time[part] > first[self._row[part]])[0]
        for name in ("_row", "_bucket", "_amount", "_time"):
            column = getattr(self, name)
            column[: kept.size] = column[kept]
        self._logged = int(kept.size)
        return dropped

    def forget(self, rows: Integers) -> None:
        """Empty these rows."""
        super().forget(rows)
        self.current[rows] = 0
        self.base[rows] = 0
        gone = np.zeros(self.rows, dtype=np.bool_)
        gone[rows] = True
        kept = np.nonzero(~gone[self._row[: self._logged]])[0]
        for name in ("_row", "_bucket", "_amount", "_time"):
            column = getattr(self, name)
            column[: kept.size] = column[kept]
        self._logged = int(kept.size)

    def shift(self, seconds: float) -> None:
        """Move every sample in time."""
        super().shift(seconds)
        self._time += seconds

    def _moved(self, rows: Integers, after: Floats, until: Floats) -> Floats:
        """What the log says that each of ``rows`` grew in ``(after, until]``."""
        width = self.current.shape[1]
        place = np.full(self.rows, -1, dtype=np.intp)
        place[rows] = np.arange(rows.size)
        part = slice(0, self._logged)
        index = place[self._row[part]]
        time = self._time[part]
        chosen = np.nonzero((index >= 0) & (time > after[index]) & (time <= until[index]))[0]
        flat = index[chosen] * width + (self._bucket[chosen] - self.first_bucket)
        grown = np.bincount(flat, weights=self._amount[chosen], minlength=rows.size * width).astype(np.float64)
        return grown.reshape(rows.size, width)

    def _raw(self, rows: Integers, slots: Integers) -> Floats:
        """The bucket counts of each row at a slot, worked out from the log."""
        if bool(np.all(slots == self.length[rows] - 1)):
            return self.current[rows]
        until = self.times[rows, slots]
        slot = np.arange(self.slots)[None, :]
        # Slot 0 is what the base holds, whether it was a reset or not.
        seen = self.columns["reset"][rows] & (slot > 0) & (slot <= slots[:, None])
        was_reset = np.asarray(seen.any(axis=1))
        last_reset = self.slots - 1 - np.argmax(seen[:, ::-1], axis=1)
        # Increments at the reset itself belong to the new life of the counter, so begin just before it.
        start = np.where(was_reset, np.nextafter(self.times[rows, last_reset], -np.inf), self.times[rows, 0])
        return np.where(was_reset[:, None], 0.0, self.base[rows]) + self._moved(rows, start, until)

    def at(self, rows: Integers, slots: Integers) -> HistogramArrays:
        """The histograms of these rows (all different) at these slots."""
        return HistogramArrays(
            layout=self.layout,
            count=self.columns["count"][rows, slots],
            sum=self.columns["sum"][rows, slots],
            zero_count=self.columns["zero"][rows, slots],
            buckets=self._raw(rows, slots),
            first_bucket=self.first_bucket,
        )

    def increase(self, rows: Integers, first: Integers, last: Integers) -> HistogramArrays:
        """How much the counters of these rows (all different) grew from slot ``first`` to ``last``, resets added."""
        resets = self.columns["reset"][rows]
        slot = np.arange(self.slots)[None, :]
        inside: Mask = resets & (slot > first[:, None]) & (slot <= last[:, None])

        def grown(name: str) -> Floats:
            values = self.columns[name]
            change: Floats = values[rows, last] - values[rows, first]
            where, slots = np.nonzero(inside)
            if where.size:
                np.add.at(change, where, values[rows[where], slots - 1])
            return change

        return HistogramArrays(
            layout=self.layout,
            count=grown("count"),
            sum=grown("sum"),
            zero_count=grown("zero"),
            buckets=self._moved(rows, self.times[rows, first], self.times[rows, last]),
            first_bucket=self.first_bucket,
        )

    def objects(self) -> ObjectBlock:
        """The same samples as objects."""
        block = ObjectBlock()
        block.reserve_rows(self.rows)
        slots = self.slots
        block.times, block.length, block.latest = self.times, self.length, self.latest
        block.ended_at, block.newest = self.ended_at, self.newest
        block.columns["histogram"] = np.empty((self.rows, slots), dtype=object)
        for slot in range(slots):
            rows = np.nonzero(self.length > slot)[0]
            if rows.size:
                arrays = self.at(rows, np.full(rows.size, slot, dtype=np.intp))
                for position, row in enumerate(rows):
                    block.columns["histogram"][row, slot] = histogram_at(arrays, position)
        return block


class ObjectBlock(Table):
    """Histograms whose scales mix, or that have custom bounds or negative buckets: a column of objects."""

    def __init__(self) -> None:
        super().__init__({"histogram": object})

    def push(self, row: int, at: float, histogram: Histogram, cutoff: float) -> bool:
        """Append one histogram; false when it was dropped as out of order."""
        if at <= self.latest[row]:
            return False
        rows = np.array([row], dtype=np.intp)
        self.reserve_slots(rows, cutoff)
        self.columns["histogram"][row, self.length[row]] = histogram
        self.write(rows, np.array([at]), {})
        return True

    def at(self, rows: Integers, slots: Integers) -> npt.NDArray[np.object_]:
        """The histograms of these rows at these slots."""
        found: npt.NDArray[np.object_] = self.columns["histogram"][rows, slots]
        return found


def histogram_at(arrays: HistogramArrays, position: int, *, gauge: bool = False) -> Histogram:
    """One histogram of many, as a value."""
    row = arrays.buckets[position]
    filled = np.nonzero(row)[0]
    return Histogram(
        count=float(arrays.count[position]),
        sum=float(arrays.sum[position]),
        scale=arrays.layout.scale,
        zero_count=float(arrays.zero_count[position]),
        zero_threshold=arrays.layout.zero_threshold,
        positive=Buckets(
            indices=tuple((filled + arrays.first_bucket).tolist()),
            counts=tuple(row[filled].tolist()),
        ),
        gauge=gauge,
    )
