"""Subqueries: an expression at several instants, as a range."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from otelmon.histogram import Histogram
from otelmon.promql.plan import NO_LABELS, Shape, Table
from otelmon.promql.vector import FloatRange, HistogramRange, Matrix, Objects, Vector


def stepped(instants: Sequence[float], steps: Sequence[Vector], start: float, end: float) -> Matrix:
    """The values of an expression at these instants, as samples of series in ``(start, end]``."""
    if not steps:
        return Matrix(NO_LABELS, start, end, None, None)
    shape, places = _common(steps)
    size, number = len(shape), len(steps)
    values = np.zeros((size, number))
    floats = np.zeros((size, number), dtype=np.bool_)
    objects: Objects | None = None
    for index, (vector, place) in enumerate(zip(steps, places, strict=True)):
        where = np.nonzero(vector.floats)[0]
        values[place[where], index] = vector.values[where]
        floats[place[where], index] = True
        if vector.histograms is not None:
            if objects is None:
                objects = np.full((size, number), None, dtype=object)
            has = np.nonzero(vector.histograms.mask)[0]
            objects[place[has], index] = vector.histograms.objects()[has]
    times = np.broadcast_to(np.asarray(instants, dtype=np.float64), (size, number))
    # Each row's samples side by side from slot 0, as range functions expect them.
    order = np.argsort(~floats, axis=1, kind="stable")
    taken = FloatRange(
        np.take_along_axis(times, order, axis=1),
        np.take_along_axis(values, order, axis=1),
        None,
        np.arange(size),
        np.zeros(size, dtype=np.intp),
        np.asarray(np.count_nonzero(floats, axis=1), dtype=np.intp),
    )
    return Matrix(shape, start, end, taken, None if objects is None else _histograms(instants, objects))


def _common(steps: Sequence[Vector]) -> tuple[Shape, list[np.ndarray[tuple[int], np.dtype[np.intp]]]]:
    """One shape for all steps, and where each step's positions stand in it."""
    shape = steps[-1].shape
    if all(vector.shape is shape for vector in steps) and shape.named.same() is None:
        # A shape only grows: a step that saw fewer positions has them in the same places.
        return shape, [np.arange(vector.present.size) for vector in steps]
    if all(vector.shape.named is not vector.shape for vector in steps):
        shape, places = _common([Vector(step.shape.named, step.values, step.present) for step in steps])
        return shape.without_name(), places
    table = Table()
    places = []
    for vector in steps:
        place = np.zeros(vector.present.size, dtype=np.intp)
        for position in np.nonzero(vector.present)[0].tolist():
            place[position] = table.position(vector.shape.label(position))
        places.append(place)
    return table, places


def _histograms(instants: Sequence[float], objects: Objects) -> HistogramRange:
    def lists(position: int) -> tuple[list[float], list[Histogram]]:
        pairs = [(time, item) for time, item in zip(instants, objects[position], strict=True) if item is not None]
        return [time for time, _ in pairs], [item for _, item in pairs]

    counts = np.array([sum(item is not None for item in row) for row in objects], dtype=np.intp)
    nothing = np.zeros(counts.size, dtype=np.intp)
    return HistogramRange(counts, None, nothing, nothing, lists)
