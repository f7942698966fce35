"""``fill``, ``fill_left``, ``fill_right``: a value for what has no partner in a binary operation (Prometheus 3.10)."""

from __future__ import annotations

import numpy as np

from otelmon.labels import METRIC_NAME
from otelmon.promql.ast import Matching
from otelmon.promql.plan import Table, Union, pairing
from otelmon.promql.vector import Histograms, Vector


def filled(left: Vector, right: Vector, matching: Matching) -> tuple[Vector, Vector]:
    """Both sides, each with an element of its fill value for every group that only the other side has.

    Its labels are those by which the sides match. Either side as it is where it has no fill value.
    """
    more_left = left if matching.fill_left is None else _with_missing(left, right, matching, matching.fill_left)
    more_right = right if matching.fill_right is None else _with_missing(right, left, matching, matching.fill_right)
    return more_left, more_right


def _with_missing(side: Vector, other: Vector, matching: Matching, value: float) -> Vector:
    pairs = pairing(other.shape, side.shape, matching.labels, on=matching.on)
    groups = int(pairs.right.ids.max(initial=-1)) + 1
    there = np.zeros(groups + 1, dtype=np.bool_)  # the last one is for "no such group", index -1
    there[pairs.right.ids[side.present]] = True
    missing = other.present & ~there[pairs.right_of[pairs.left.ids]]
    names = tuple(sorted(matching.labels))
    table: Table = side.shape.remember(("fill", other.shape, matching.on, names), Table)
    dropped = (*names, METRIC_NAME)
    places = {
        table.position(labels.only(names) if matching.on else labels.without(dropped))
        for labels in (other.shape.label(position) for position in np.nonzero(missing)[0].tolist())
    }
    union: Union = side.shape.remember(("union", table), lambda: Union(side.shape, table))
    union.follow()
    values, present = np.full(len(union), np.nan), np.zeros(len(union), dtype=np.bool_)
    here = union.left[: side.present.size]
    values[here], present[here] = side.values, side.present
    added = union.right[sorted(places)]
    values[added], present[added] = value, True
    histograms = None
    if side.histograms is not None:
        objects = np.full(len(union), None, dtype=object)
        objects[here] = side.histograms.objects()
        mask = np.zeros(len(union), dtype=np.bool_)
        mask[here] = side.histograms.mask
        histograms = Histograms(mask, objects=objects)
    return Vector(union, values, present, histograms)
