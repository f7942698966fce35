"""What the evaluator passes around: instant vectors and ranges, as arrays over the positions of a shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from otelmon.histogram import Histogram
from otelmon.promql.plan import NO_LABELS, Shape
from otelmon.window.histograms import HistogramArrays, HistogramBlock, histogram_at

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]
Objects = npt.NDArray[np.object_]


class EvaluationError(Exception):
    """The expression has no value here; the text is the reason to tell."""


class Histograms:
    """The histograms among a vector's elements: as arrays of one layout (``arrays``, row i at ``positions[i]``) or as
    objects, each worked out from the other where it is asked for.
    """

    def __init__(
        self,
        mask: Mask,
        *,
        objects: Objects | None = None,
        arrays: HistogramArrays | None = None,
        positions: Integers | None = None,
        gauge: bool = False,
    ) -> None:
        self.mask = mask
        self.arrays = arrays
        self.gauge = gauge
        self.positions = np.nonzero(mask)[0] if positions is None else positions
        self._objects = objects

    def objects(self) -> Objects:
        """By position a Histogram, or None."""
        if self._objects is None:
            made = np.full(self.mask.size, None, dtype=object)
            if self.arrays is not None:
                for row, position in enumerate(self.positions.tolist()):
                    made[position] = histogram_at(self.arrays, row, gauge=self.gauge)
            self._objects = made
        return self._objects

    def kept(self, keep: Mask) -> Histograms | None:
        """Only those at positions that are kept."""
        mask = self.mask & keep
        if not mask.any():
            return None
        if self._objects is not None or self.arrays is None:
            return Histograms(mask, objects=self.objects())
        chosen = keep[self.positions]
        arrays = replace(
            self.arrays,
            count=self.arrays.count[chosen],
            sum=self.arrays.sum[chosen],
            zero_count=self.arrays.zero_count[chosen],
            buckets=self.arrays.buckets[chosen],
        )
        return Histograms(mask, arrays=arrays, positions=self.positions[chosen], gauge=self.gauge)


@dataclass(slots=True)
class Vector:
    """An instant vector: at each position of ``shape`` an element where ``present``, a float unless ``histograms``
    has one there. ``order`` lists positions in the order to show them, where the expression gives them one.
    """

    shape: Shape
    values: Floats
    present: Mask
    histograms: Histograms | None = None
    order: Integers | None = None

    @property
    def floats(self) -> Mask:
        """Where there is a float."""
        return self.present if self.histograms is None else self.present & ~self.histograms.mask

    @property
    def histogram_mask(self) -> Mask:
        """Where there is a histogram."""
        return np.zeros_like(self.present) if self.histograms is None else self.histograms.mask

    def kept(self, keep: Mask) -> Vector:
        """Only the elements at positions that are kept."""
        histograms = None if self.histograms is None else self.histograms.kept(keep)
        return Vector(self.shape, self.values, self.present & keep, histograms, self.order)

    def at(self, shape: Shape) -> Vector:
        """The same elements with other labels; two that become the same are an error."""
        check_distinct(shape, self.present)
        return Vector(shape, self.values, self.present, self.histograms, self.order)

    def element(self, position: int) -> float | Histogram:
        """The value at a position."""
        if self.histograms is not None and self.histograms.mask[position]:
            found: Histogram = self.histograms.objects()[position]
            return found
        return float(self.values[position])

    def listed(self) -> Integers:
        """The positions of the elements, in the order to show them."""
        if self.order is None:
            return np.nonzero(self.present)[0]
        return self.order[self.present[self.order]]


def check_distinct(shape: Shape, present: Mask) -> None:
    """Raises where two elements that are there have the same labels; names that are still to be dropped count."""
    check_result(shape.named, present)


def check_result(shape: Shape, present: Mask) -> None:
    """Raises where two elements of the result of a whole expression have the same labels."""
    same = shape.same()
    if same is not None and int(np.bincount(same[present]).max(initial=0)) > 1:
        raise EvaluationError("vector cannot contain metrics with the same labelset")


def empty_vector() -> Vector:
    """A vector without elements."""
    return Vector(NO_LABELS, np.zeros(1), np.zeros(1, dtype=np.bool_))


def single(value: float) -> Vector:
    """A vector of one element without labels."""
    return Vector(NO_LABELS, np.array([value]), np.ones(1, dtype=np.bool_))


@dataclass(slots=True)
class FloatRange:
    """Floats in a span of time: by position the slots ``first`` to ``first + count - 1`` of row ``rows`` of the 2-D
    arrays. ``resets`` has the counter resets summed, where somebody summed them already.
    """

    times: Floats
    values: Floats
    resets: Floats | None
    rows: Integers
    first: Integers
    count: Integers

    @property
    def last(self) -> Integers:
        """The slot of each position's last sample (some slot where there is none)."""
        return np.asarray(np.maximum(self.first + self.count - 1, 0))

    def spread(self) -> tuple[Floats, Floats, Mask]:
        """Times, values and which of them count, as arrays ``[position, slot]`` of their own."""
        has = self.count > 0
        if not has.any():
            nothing = np.zeros((self.rows.size, 1))
            return nothing, nothing.copy(), np.zeros((self.rows.size, 1), dtype=np.bool_)
        low = int(self.first[has].min())
        high = int((self.first + self.count)[has].max())
        slots = np.arange(low, high)[None, :]
        inside = (slots >= self.first[:, None]) & (slots < (self.first + self.count)[:, None])
        return self.times[self.rows, low:high], self.values[self.rows, low:high], inside

    def increase(self) -> Floats:
        """By position how much a counter grew from its first sample to its last; garbage where it has none.

        What resets lost is added value by value, as Prometheus does. The difference of two sums of resets would be
        almost the same, but a counter that fell to 0 and stayed there has to have grown by 0 exactly: a sum's rate is
        divided by a count's.
        """
        first = np.minimum(self.first, self.times.shape[1] - 1)
        change: Floats = self.values[self.rows, self.last] - self.values[self.rows, first]
        where = np.arange(self.rows.size)
        if self.resets is not None:
            fell = self.resets[self.rows, self.last] != self.resets[self.rows, first]
            where = np.nonzero(fell & (self.count > 1))[0]
        if where.size:
            part = FloatRange(self.times, self.values, None, self.rows[where], self.first[where], self.count[where])
            _, values, inside = part.spread()
            falls = inside[:, 1:] & inside[:, :-1] & (values[:, 1:] < values[:, :-1])
            amounts = np.where(falls, values[:, :-1], 0.0)
            change[where] = np.cumsum(np.concatenate([change[where, None], amounts], axis=1), axis=1)[:, -1]
        return change


@dataclass(slots=True)
class HistogramRange:
    """Histograms in a span of time, by position: slots of a block's rows, or times and objects."""

    count: Integers
    block: HistogramBlock | None
    rows: Integers
    first: Integers
    lists: Callable[[int], tuple[list[float], list[Histogram]]]


@dataclass(slots=True)
class Matrix:
    """A range vector: the samples of each position in ``(start, end]``, floats and histograms apart."""

    shape: Shape
    start: float
    end: float
    floats: FloatRange | None
    histograms: HistogramRange | None

    @property
    def float_count(self) -> Integers:
        """How many floats each position has."""
        return np.zeros(len(self.shape), dtype=np.intp) if self.floats is None else self.floats.count

    @property
    def histogram_count(self) -> Integers:
        """How many histograms each position has."""
        return np.zeros(len(self.shape), dtype=np.intp) if self.histograms is None else self.histograms.count
