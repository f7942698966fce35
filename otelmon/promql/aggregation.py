"""Aggregations that make one element of each group: sum, avg, count, min, max, group, stddev, stdvar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from otelmon.promql import native
from otelmon.promql.ast import Aggregate
from otelmon.promql.context import Context
from otelmon.promql.plan import Integers
from otelmon.promql.vector import Floats, Histograms, Mask, Objects, Vector
from otelmon.window.histograms import HistogramArrays

Reduce = Callable[[Floats, Integers, int], Floats]


def group_sums(values: Floats, groups: Integers, number: int) -> Floats:
    """The sum of each group. Where large values cancel, by compensated addition as Prometheus does it."""
    sums = np.bincount(groups, weights=values, minlength=number)
    sizes = np.bincount(groups, weights=np.abs(values), minlength=number)
    for group in np.nonzero(np.abs(sums) < sizes * 1e-3)[0]:
        sums[group] = native.compensated(values[groups == group].tolist())
    return np.asarray(sums, dtype=np.float64)


def group_means(values: Floats, groups: Integers, number: int) -> Floats:
    """The average of each group, also where the sum is beyond what a float holds."""
    counts = np.bincount(groups, minlength=number)
    means = group_sums(values, groups, number) / counts
    for group in np.nonzero(~np.isfinite(means) & (counts > 0))[0]:
        chosen = values[groups == group]
        if np.isfinite(chosen).all():
            means[group] = native.compensated((chosen / chosen.size).tolist())
    return means


def group_variances(values: Floats, groups: Integers, number: int) -> Floats:
    """The population variance of each group."""
    # Distances from one of the group's own values: equal values then vary by exactly nothing.
    origin = np.zeros(number)
    origin[groups] = values
    distance = values - origin[groups]
    counts = np.bincount(groups, minlength=number)
    mean = np.bincount(groups, weights=distance, minlength=number) / counts
    return np.asarray(np.bincount(groups, weights=(distance - mean[groups]) ** 2, minlength=number) / counts)


def _extreme(pick: np.ufunc) -> Reduce:
    def reduce(values: Floats, groups: Integers, number: int) -> Floats:
        found = np.full(number, np.nan)
        pick.at(found, groups, values)
        return found

    return reduce


REDUCTIONS: dict[str, Reduce] = {
    "sum": group_sums,
    "avg": group_means,
    "min": _extreme(np.fmin),
    "max": _extreme(np.fmax),
    "stdvar": group_variances,
    "stddev": lambda values, groups, number: np.asarray(np.sqrt(group_variances(values, groups, number))),
}


def aggregate(context: Context, node: Aggregate, vector: Vector) -> Vector:
    """One element of each group."""
    grouping = vector.shape.grouping(node.grouping, without=node.without)
    number = len(grouping.shape)
    if node.operator in ("count", "group"):
        counts = np.bincount(grouping.ids[vector.present], minlength=number)
        values = counts.astype(np.float64) if node.operator == "count" else np.ones(number)
        return Vector(grouping.shape, values, counts > 0)
    floats = vector.floats
    if floats.all():
        numbers, groups = vector.values, grouping.ids
    else:
        numbers, groups = vector.values[floats], grouping.ids[floats]
    present: Mask = np.zeros(number, dtype=np.bool_)
    present[groups] = True
    if vector.histograms is None:
        return Vector(grouping.shape, REDUCTIONS[node.operator](numbers, groups, number), present)
    if node.operator not in ("sum", "avg"):
        context.info(f"ignored histogram in {node.operator} aggregation", node.expr)
        return Vector(grouping.shape, REDUCTIONS[node.operator](numbers, groups, number), present)
    values = REDUCTIONS[node.operator](numbers, groups, number)
    mixed = np.zeros(number, dtype=np.bool_)
    mixed[grouping.ids[vector.histograms.mask]] = True
    mixed &= present
    if mixed.any():
        context.warn("encountered a mix of histograms and floats for aggregation", node.expr)
    histograms = _of_histograms(context, node, vector.histograms, grouping.ids, wanted=~mixed)
    present &= ~mixed
    if histograms is not None:
        present |= histograms.mask
    return Vector(grouping.shape, values, present, histograms)


def _of_histograms(
    context: Context, node: Aggregate, histograms: Histograms, ids: Integers, *, wanted: Mask
) -> Histograms | None:
    number = wanted.size
    if histograms.arrays is not None:
        made = _dense(histograms.arrays, ids[histograms.positions], average=node.operator == "avg")
        mask = np.zeros(number, dtype=np.bool_)
        mask[ids[histograms.positions]] = True
        every = Histograms(mask, arrays=made, positions=np.nonzero(mask)[0], gauge=histograms.gauge)
        return every.kept(wanted)
    objects: Objects = np.full(number, None, dtype=object)
    listed = histograms.objects()
    members: dict[int, list[int]] = {}
    for position in histograms.positions.tolist():
        members.setdefault(int(ids[position]), []).append(position)
    for group, positions in members.items():
        if not wanted[group]:
            continue
        try:
            combine = native.total if node.operator == "sum" else native.mean
            objects[group], reconciled = combine([listed[position] for position in positions])
        except native.IncompatibleError:
            context.warn("vector contains a mix of histograms with exponential and custom buckets schemas", node.expr)
            continue
        if reconciled:
            context.info("mismatched custom buckets were reconciled during aggregation", node.expr)
    mask = np.array([item is not None for item in objects], dtype=np.bool_)
    return Histograms(mask, objects=objects) if mask.any() else None


def _dense(arrays: HistogramArrays, groups: Integers, *, average: bool) -> HistogramArrays:
    """Sums (or averages) of histograms of one layout; a row for each group that has any."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    starts = np.nonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))[0]

    def added(values: Floats) -> Floats:
        sums = np.add.reduceat(values[order], starts, axis=0)
        if not average:
            return np.asarray(sums)
        sizes = np.diff(np.append(starts, ordered.size))
        return np.asarray(sums / (sizes if values.ndim == 1 else sizes[:, None]))

    return replace(
        arrays,
        count=added(arrays.count),
        sum=added(arrays.sum),
        zero_count=added(arrays.zero_count),
        buckets=added(arrays.buckets),
    )
