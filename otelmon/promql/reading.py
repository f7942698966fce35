"""Reading the window: instant vectors and ranges of selected series."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from otelmon.histogram import Histogram
from otelmon.promql.plan import Shape
from otelmon.promql.vector import (
    FloatRange,
    Floats,
    HistogramRange,
    Histograms,
    Integers,
    Mask,
    Matrix,
    Vector,
)
from otelmon.window.histograms import HistogramBlock, ObjectBlock, histogram_at
from otelmon.window.selection import Part, Selection
from otelmon.window.table import Table


def shape_of(selection: Selection) -> Shape:
    """The shape of the selected series; the same one as long as the selection is."""
    if not isinstance(selection.plan, Shape):
        selection.plan = Shape(selection.labels, one_name=selection.one_name)
    return selection.plan


class _Instant:
    """An instant vector in the making, part by part."""

    def __init__(self, size: int) -> None:
        self.values: Floats = np.full(size, np.nan)
        self.times: Floats = np.full(size, -np.inf)
        self.present: Mask = np.zeros(size, dtype=np.bool_)
        self.mask: Mask = np.zeros(size, dtype=np.bool_)
        self.pieces: list[Histograms] = []

    def floats(self, part: Part, at: float, lookback: float) -> None:
        block = part.family.floats
        if block is None or not part.rows.size:
            return
        slots, live = block.last_at(at, part.rows, lookback)
        where = part.positions
        self.values[where] = block.columns["value"][part.rows, slots]
        self.times[where] = np.where(live, block.times[part.rows, slots], -np.inf)
        self.present[where] = live

    def histograms(self, part: Part, at: float, lookback: float) -> None:
        block = part.family.histograms
        if block is None or not part.rows.size:
            return
        slots, live = block.last_at(at, part.rows, lookback)
        times = np.where(live, block.times[part.rows, slots], -np.inf)
        # Where a series has both, the later of the two is its value.
        newer = live & (times > self.times[part.positions])
        where, rows, slots = part.positions[newer], part.rows[newer], slots[newer]
        if not where.size:
            return
        self.times[where] = times[newer]
        self.present[where] = True
        self.mask[where] = True
        mask = np.zeros_like(self.mask)
        mask[where] = True
        if isinstance(block, HistogramBlock):
            self.pieces.append(Histograms(mask, arrays=block.at(rows, slots), positions=where))
        else:
            objects = np.full(mask.size, None, dtype=object)
            objects[where] = block.at(rows, slots)
            self.pieces.append(Histograms(mask, objects=objects))

    def drop_dead(self, part: Part) -> None:
        living = part.alive()
        if living is not None:
            dead = part.positions[~living]
            self.present[dead] = False
            self.mask[dead] = False


def instant(selection: Selection, at: float, lookback: float) -> tuple[Vector, Floats]:
    """The newest sample of each selected series that is younger than ``lookback`` and not ended, and its instant."""
    shape = shape_of(selection)
    made = _Instant(len(shape))
    for part in selection.parts:
        made.floats(part, at, lookback)
        made.histograms(part, at, lookback)
        made.drop_dead(part)
    histograms = None
    if made.pieces:
        if len(made.pieces) == 1:
            histograms = made.pieces[0].kept(made.mask)
        else:
            objects = np.full(len(shape), None, dtype=object)
            for piece in made.pieces:
                objects[piece.mask] = piece.objects()[piece.mask]
            objects[~made.mask] = None
            histograms = Histograms(made.mask, objects=objects)
    return Vector(shape, made.values, made.present, histograms), made.times


def ranged(selection: Selection, start: float, end: float) -> Matrix:
    """The samples of each selected series in ``(start, end]``."""
    shape = shape_of(selection)
    floats = [part for part in selection.parts if part.family.floats is not None and part.rows.size]
    histograms = [part for part in selection.parts if part.family.histograms is not None and part.rows.size]
    return Matrix(
        shape,
        start,
        end,
        _float_range(floats, len(shape), start, end),
        _histogram_range(histograms, len(shape), start, end),
    )


def _bounds(part: Part, table: Table, start: float, end: float) -> tuple[Integers, Integers]:
    first = table.until(start, part.rows)
    count = table.until(end, part.rows) - first
    living = part.alive()
    if living is not None:
        count = np.where(living, count, 0)
    return first, count


def _float_range(parts: list[Part], size: int, start: float, end: float) -> FloatRange | None:
    if not parts:
        return None
    ranges = [
        (part, block, *_bounds(part, block, start, end)) for part in parts if (block := part.family.floats) is not None
    ]
    if len(ranges) == 1 and parts[0].rows.size == size:
        part, block, first, count = ranges[0]
        return FloatRange(block.times, block.columns["value"], block.columns["resets"], part.rows, first, count)
    slots = max(1, *(int(count.max(initial=0)) for _, _, _, count in ranges))
    columns = [np.zeros((size, slots)) for _ in range(3)]
    counts = np.zeros(size, dtype=np.intp)
    for part, block, first, count in ranges:
        source = np.minimum(first[:, None] + np.arange(slots)[None, :], block.slots - 1)
        for column, of in zip(columns, (block.times, block.columns["value"], block.columns["resets"]), strict=True):
            column[part.positions] = of[part.rows[:, None], source]
        counts[part.positions] = count
    times, values, resets = columns
    return FloatRange(times, values, resets, np.arange(size), np.zeros(size, dtype=np.intp), counts)


def _histogram_range(parts: list[Part], size: int, start: float, end: float) -> HistogramRange | None:
    if not parts:
        return None
    rows, first, counts = (np.zeros(size, dtype=np.intp) for _ in range(3))
    blocks: dict[int, HistogramBlock | ObjectBlock] = {}
    for part in parts:
        block = part.family.histograms
        if block is None:
            continue
        begin, count = _bounds(part, block, start, end)
        rows[part.positions], first[part.positions], counts[part.positions] = part.rows, begin, count
        for position in part.positions[count > 0].tolist():
            blocks[position] = block
    only = parts[0].family.histograms if len(parts) == 1 else None
    dense = only if isinstance(only, HistogramBlock) else None
    return HistogramRange(counts, dense, rows, first, _lists(blocks, rows, first, counts))


def _lists(
    blocks: dict[int, HistogramBlock | ObjectBlock], rows: Integers, first: Integers, counts: Integers
) -> Callable[[int], tuple[list[float], list[Histogram]]]:
    def lists(position: int) -> tuple[list[float], list[Histogram]]:
        count = int(counts[position])
        if not count:
            return [], []
        block = blocks[position]
        row, begin = int(rows[position]), int(first[position])
        times = block.times[row, begin : begin + count].tolist()
        found = []
        for slot in range(begin, begin + count):
            one = np.array([row], dtype=np.intp), np.array([slot], dtype=np.intp)
            found.append(histogram_at(block.at(*one), 0) if isinstance(block, HistogramBlock) else block.at(*one)[0])
        return times, found

    return lists
