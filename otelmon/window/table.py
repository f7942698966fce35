"""Table: what every block of samples has, one row a series and one slot a sample, kept in order of time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

_NEVER = np.inf  # the time of an empty slot: no instant is late enough to see it
_FIRST_SLOTS = 8
_MOST_INSTANTS = 64


class Table:
    """Samples of many series as 2-D arrays ``[row, slot]``.

    ``times`` has the instants in unix seconds, ascending from slot 0 and infinite after the last sample; ``columns``
    has the values beside them; ``length`` how many slots a row uses. A staleness marker takes no slot: it is noted as
    ``ended_at`` of the sample before it, so that ranges need not step over it.
    """

    def __init__(self, columns: Mapping[str, Any]) -> None:
        """An empty table with columns of these names and numpy types."""
        self.times: Floats = np.full((0, _FIRST_SLOTS), _NEVER)
        self.columns: dict[str, npt.NDArray[Any]] = {
            name: np.zeros((0, _FIRST_SLOTS), dtype=dtype) for name, dtype in columns.items()
        }
        self.length: Integers = np.zeros(0, dtype=np.intp)
        # The instant of the last sample or marker of a row: only what is later may follow.
        self.latest: Floats = np.full(0, -np.inf)
        self.ended_at: Floats | None = None
        self.newest = -np.inf
        self._until: dict[float, Integers] = {}

    @property
    def rows(self) -> int:
        """How many rows there is room for."""
        return int(self.times.shape[0])

    @property
    def slots(self) -> int:
        """How many samples a row has room for."""
        return int(self.times.shape[1])

    @property
    def size_bytes(self) -> int:
        """Memory of the arrays."""
        arrays = [self.times, self.length, self.latest, *self.columns.values()]
        if self.ended_at is not None:
            arrays.append(self.ended_at)
        return sum(array.nbytes for array in arrays)

    def reserve_rows(self, count: int) -> None:
        """Make room for at least ``count`` rows."""
        if count <= self.rows:
            return
        more = max(count, int(self.rows * 1.25) + 8) - self.rows
        self.times = np.concatenate([self.times, np.full((more, self.slots), _NEVER)])
        for name, column in self.columns.items():
            self.columns[name] = np.concatenate([column, np.zeros((more, self.slots), dtype=column.dtype)])
        self.length = np.concatenate([self.length, np.zeros(more, dtype=np.intp)])
        self.latest = np.concatenate([self.latest, np.full(more, -np.inf)])
        if self.ended_at is not None:
            self.ended_at = np.concatenate([self.ended_at, np.full((more, self.slots), _NEVER)])
        self._until.clear()

    def reserve_slots(self, rows: Integers, cutoff: float) -> None:
        """Make room for one more sample in each of ``rows``; what is not after ``cutoff`` may go."""
        if rows.size and int(self.length[rows].max()) >= self.slots:
            self.compact(cutoff)

    def compact(self, cutoff: float) -> Integers:
        """Drop samples that are not after ``cutoff``; widen the table if it stays nearly full. Returns the number
        of samples dropped by row.
        """
        expired = np.asarray(np.count_nonzero(self.times <= cutoff, axis=1), dtype=np.intp)
        kept = self.length - expired
        most = int(kept.max(initial=0))
        slots = self.slots if most * 4 <= self.slots * 3 else most + most // 2 + 4
        source = np.minimum(np.arange(slots)[None, :] + expired[:, None], self.slots - 1)
        unused = np.arange(slots)[None, :] >= kept[:, None]
        self.times = np.take_along_axis(self.times, source, axis=1)
        self.times[unused] = _NEVER
        for name, column in self.columns.items():
            self.columns[name] = np.take_along_axis(column, source, axis=1)
        if self.ended_at is not None:
            self.ended_at = np.take_along_axis(self.ended_at, source, axis=1)
            self.ended_at[unused] = _NEVER
        self.length = kept
        self._until.clear()
        return expired

    def write(self, rows: Integers, at: Floats, values: Mapping[str, npt.ArrayLike]) -> None:
        """Add one sample to each of ``rows`` (all different, in order of time, room reserved)."""
        slots = self.length[rows]
        self.times[rows, slots] = at
        for name, value in values.items():
            self.columns[name][rows, slots] = value
        if self.ended_at is not None:
            self.ended_at[rows, slots] = _NEVER
        self.length[rows] = slots + 1
        self._saw(rows, at)

    def end(self, rows: Integers, at: Floats) -> None:
        """Note that these series ended (staleness markers)."""
        if self.ended_at is None:
            self.ended_at = np.full_like(self.times, _NEVER)
        begun = self.length[rows] > 0
        last = np.maximum(self.length[rows] - 1, 0)
        self.ended_at[rows[begun], last[begun]] = np.minimum(self.ended_at[rows, last], at)[begun]
        self._saw(rows, at)

    def _saw(self, rows: Integers, at: Floats) -> None:
        self.latest[rows] = at
        self.newest = max(self.newest, float(at.max(initial=-np.inf)))
        self._until.clear()

    def forget(self, rows: Integers) -> None:
        """Empty these rows, for another series to use."""
        self.times[rows] = _NEVER
        self.length[rows] = 0
        self.latest[rows] = -np.inf
        if self.ended_at is not None:
            self.ended_at[rows] = _NEVER
        self._until.clear()

    def shift(self, seconds: float) -> None:
        """Move every sample in time."""
        self.times += seconds
        self.latest += seconds
        self.newest += seconds
        if self.ended_at is not None:
            self.ended_at += seconds
        self._until.clear()

    def until(self, at: float, rows: Integers) -> Integers:
        """How many samples of each row are not after ``at``: the slot after the last one of them."""
        if at >= self.newest:
            return self.length[rows]
        if rows.size * 4 < self.rows:
            return np.asarray(np.count_nonzero(self.times[rows] <= at, axis=1), dtype=np.intp)
        # Rules share their windows: the same instant is asked of the same table many times a tick.
        found = self._until.get(at)
        if found is None:
            found = np.asarray(np.count_nonzero(self.times <= at, axis=1), dtype=np.intp)
            if len(self._until) >= _MOST_INSTANTS:
                self._until.clear()
            self._until[at] = found
        return found[rows]

    def last_at(self, at: float, rows: Integers, lookback: float) -> tuple[Integers, Mask]:
        """The slot of each row's newest sample at ``at``, and whether there is one that is younger than ``lookback``
        and not ended by then.
        """
        slots = self.until(at, rows) - 1
        safe = np.maximum(slots, 0)
        live = (slots >= 0) & (self.times[rows, safe] > at - lookback)
        if self.ended_at is not None:
            live &= self.ended_at[rows, safe] > at
        return safe, live
