"""FloatBlock: the plain samples of one family."""

from __future__ import annotations

import numpy as np

from otelmon.sample import STALE
from otelmon.window.table import Floats, Integers, Mask, Table

_STALE_BITS = np.float64(STALE).view(np.uint64)


class FloatBlock(Table):
    """Columns ``value`` and ``resets``: how much a counter lost by resets up to each sample.

    So the increase of a counter between two slots is ``value[b] - value[a] + resets[b] - resets[a]`` (Prometheus,
    extrapolatedRate: whenever a value falls, the one before it is added), without looking at the samples between.
    """

    def __init__(self) -> None:
        super().__init__({"value": np.float64, "resets": np.float64})

    def push(self, rows: Integers, at: Floats, values: Floats, cutoff: float) -> int:
        """Append one sample to each of ``rows`` (all different); returns how many were dropped as out of order."""
        in_order = at > self.latest[rows]
        stale = values.view(np.uint64) == _STALE_BITS
        new = in_order & ~stale
        self._append(rows[new], at[new], values[new], cutoff)
        if stale.any():
            ended = stale & in_order
            self.end(rows[ended], at[ended])
        return int(rows.size - np.count_nonzero(in_order))

    def _append(self, rows: Integers, at: Floats, values: Floats, cutoff: float) -> None:
        self.reserve_slots(rows, cutoff)
        last = self.length[rows] - 1
        first = last < 0
        safe = np.maximum(last, 0)
        before = self.columns["value"][rows, safe]
        fell: Mask = (values < before) & ~first
        resets = np.where(first, 0.0, self.columns["resets"][rows, safe]) + np.where(fell, before, 0.0)
        self.write(rows, at, {"value": values, "resets": resets})
