"""Aggregations that pick, order or count elements of each group: topk, bottomk, limitk, limit_ratio, quantile,
count_values.
"""

from __future__ import annotations

import math

import numpy as np

from otelmon.promql import estimates
from otelmon.promql.ast import Aggregate
from otelmon.promql.context import Context
from otelmon.promql.hashing import labels_hash
from otelmon.promql.numbers import number_text
from otelmon.promql.plan import Table
from otelmon.promql.vector import EvaluationError, Floats, Mask, Vector

_LARGEST = 2**63


def _size(parameter: float) -> int:
    if math.isnan(parameter):
        raise EvaluationError("Parameter value is NaN")
    if abs(parameter) >= _LARGEST:
        raise EvaluationError(f"Scalar value {parameter:g} overflows int64")
    return max(0, int(parameter))


def top(context: Context, node: Aggregate, vector: Vector, parameter: float) -> Vector:
    """The k largest (topk) or smallest (bottomk) floats of each group, NaN last; labels stay as they are."""
    k = _size(parameter)
    if vector.histograms is not None:
        context.info(f"ignored histogram in {node.operator} aggregation", node.expr)
    positions = np.nonzero(vector.floats)[0]
    values = vector.values[positions]
    rank = -values if node.operator == "topk" else values
    groups = vector.shape.grouping(node.grouping, without=node.without).ids[positions]
    # Sorts by group, then by value; NaN sorts last in numpy whatever its sign.
    order = np.lexsort((rank, groups))
    chosen = positions[order][_nth(groups[order]) < k]
    keep = np.zeros(vector.present.size, dtype=np.bool_)
    keep[chosen] = True
    return Vector(vector.shape, vector.values, keep, None, chosen)


def _nth(ordered: np.ndarray[tuple[int], np.dtype[np.intp]]) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """For each element of a sorted array how many equal ones stand before it."""
    begins = np.concatenate([[True], ordered[1:] != ordered[:-1]])[: ordered.size]
    return np.arange(ordered.size) - np.maximum.accumulate(np.where(begins, np.arange(ordered.size), 0))


def limit(node: Aggregate, vector: Vector, parameter: float) -> Vector:
    """Any k elements of each group: the first by position."""
    k = _size(parameter)
    positions = np.nonzero(vector.present)[0]
    groups = vector.shape.grouping(node.grouping, without=node.without).ids[positions]
    order = np.argsort(groups, kind="stable")
    keep: Mask = np.zeros(vector.present.size, dtype=np.bool_)
    keep[positions[order][_nth(groups[order]) < k]] = True
    return vector.kept(keep)


def limit_ratio(context: Context, node: Aggregate, vector: Vector, parameter: float) -> Vector:
    """A share of the elements, picked by a hash of their labels; a negative ratio picks the others."""
    if math.isnan(parameter):
        raise EvaluationError("Ratio value is NaN")
    ratio = min(1.0, max(-1.0, parameter))
    if ratio != parameter:
        context.warn(f"ratio value should be between -1 and 1, got {parameter:g}, capping to {ratio:g}", node)
    keep: Mask = np.zeros(vector.present.size, dtype=np.bool_)
    offsets: dict[int, float] = vector.shape.remember("hash offsets", dict)
    for position in np.nonzero(vector.present)[0].tolist():
        offset = offsets.get(position)
        if offset is None:
            offset = offsets[position] = float(labels_hash(vector.shape.named.label(position))) / 2.0**64
        keep[position] = offset < ratio if ratio >= 0 else offset >= 1.0 + ratio
    return vector.kept(keep)


def sorted_quantiles(q: float, ordered: Floats, count: Floats, nans: Floats) -> Floats:
    """Quantiles of rows sorted ascending with NaN counted as smallest (promql.quantile): linear between neighbours.

    ``count[i]`` entries of row i count, the first ``nans[i]`` of which are NaN.
    """
    if math.isnan(q):
        return np.full(count.size, np.nan)
    if q < 0 or q > 1:
        return np.full(count.size, math.copysign(math.inf, q))
    rank = q * (count - 1)
    lower = np.maximum(0, np.floor(rank)).astype(np.intp)
    upper = np.minimum(count - 1, lower + 1).astype(np.intp)
    weight = rank - np.floor(rank)
    rows = np.arange(count.size)
    low = np.where(lower < nans, np.nan, ordered[rows, lower])
    high = np.where(upper < nans, np.nan, ordered[rows, np.maximum(upper, 0)])
    return np.asarray(low * (1 - weight) + high * weight)


def check_quantile(context: Context, node: Aggregate, q: float) -> None:
    """Warn of a quantile that is not one."""
    if not 0 <= q <= 1:
        text = "NaN" if math.isnan(q) else number_text(q)
        context.warn(f"quantile value should be between 0 and 1, got {text}", node.parameter or node)


def quantile(context: Context, node: Aggregate, vector: Vector, q: float) -> Vector:
    """The q-quantile of the floats of each group."""
    check_quantile(context, node, q)
    if vector.histograms is not None:
        context.info("ignored histogram in quantile aggregation", node.expr)
    grouping = vector.shape.grouping(node.grouping, without=node.without)
    number = len(grouping.shape)
    floats = vector.floats
    values, groups = vector.values[floats], grouping.ids[floats]
    result = np.full(number, np.nan)
    counts = np.bincount(groups, minlength=number)
    # NaN sorts first: it counts as the smallest value.
    order = np.lexsort((values, ~np.isnan(values), groups))
    starts = np.concatenate([[0], np.cumsum(counts)])
    ordered = values[order]
    for group in np.nonzero(counts)[0].tolist():
        row = ordered[starts[group] : starts[group + 1]]
        nans = np.array([np.count_nonzero(np.isnan(row))])
        result[group] = sorted_quantiles(q, row[None, :], np.array([row.size]), nans)[0]
    return Vector(grouping.shape, result, counts > 0)


def count_values(node: Aggregate, vector: Vector, label: str) -> Vector:
    """How many elements of each group have each value; the value becomes a label."""
    if not label or any(0xDC80 <= ord(char) <= 0xDCFF for char in label):
        escaped = "".join(f"\\x{ord(char) - 0xDC00:02x}" if ord(char) >= 0xDC80 else char for char in label)
        raise EvaluationError(f'invalid label name "{escaped}"')
    grouping = vector.shape.grouping(node.grouping, without=node.without)
    table: Table = grouping.shape.remember(("values", label), Table)
    counts: dict[int, int] = {}
    for position in np.nonzero(vector.present)[0].tolist():
        value = vector.element(position)
        text = number_text(value) if isinstance(value, float) else estimates.text(value)
        place = table.position(grouping.shape.label(int(grouping.ids[position])).with_label(label, text))
        counts[place] = counts.get(place, 0) + 1
    values = np.zeros(len(table))
    present = np.zeros(len(table), dtype=np.bool_)
    for place, count in counts.items():
        values[place], present[place] = count, True
    return Vector(table, values, present)
