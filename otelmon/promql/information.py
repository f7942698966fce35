"""``info()``: the labels of info metrics, such as ``target_info``, beside those of other series (promql/info.go)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from otelmon.labels import METRIC_NAME, Labels
from otelmon.promql.ast import VectorSelector
from otelmon.promql.plan import Shape, Table
from otelmon.promql.vector import EvaluationError, Histograms, Vector

IDENTIFYING = ("instance", "job")
"""The labels by which a series and an info metric belong together (Prometheus has just these)."""

_Key = tuple[str, ...]


def with_info(selector: VectorSelector, vector: Vector, infos: Vector, times: Vector) -> Vector:
    """The elements of a vector with the labels of the info metrics that go with them.

    ``selector`` selected ``infos``, whose samples are of the instants ``times``. Where it names labels, only those are
    added; an element whose info metric has none of them is left out if a matcher asks for one. An info metric itself
    stays as it is. Raises EvaluationError where two info metrics contradict each other.
    """
    wanted = [matcher for matcher in selector.matchers if matcher.name != METRIC_NAME]
    names = [matcher for matcher in selector.matchers if matcher.name == METRIC_NAME]
    newest = _newest(infos, times)
    table: Table = vector.shape.named.remember("info", Table)
    places = []
    for position in np.nonzero(vector.present)[0].tolist():
        labels = vector.shape.named.label(position)
        if any(matcher.matches(labels.metric_name) for matcher in names):
            places.append((position, table.position(labels)))
            continue
        found = newest.get(_key(labels), {}) if any(name in labels for name in IDENTIFYING) else {}
        if not found and not all(matcher.matches("") for matcher in wanted):
            continue
        data = _data(labels, found.values(), {matcher.name for matcher in wanted})
        places.append((position, table.position(labels.with_labels(data))))
    return _placed(vector, table, places)


def _key(labels: Labels) -> _Key:
    return tuple(labels.get(name, "") for name in IDENTIFYING)


def _newest(infos: Vector, times: Vector) -> dict[_Key, dict[str, Labels]]:
    """By identity and metric the info series with the newest sample."""
    found: dict[_Key, dict[str, Labels]] = {}
    since: dict[tuple[_Key, str], float] = {}
    for position in np.nonzero(infos.present)[0].tolist():
        labels, at = infos.shape.label(position), float(times.values[position])
        name, key = labels.metric_name, _key(labels)
        before = since.get((key, name))
        if before == at:
            existing = found[key][name]
            raise EvaluationError(
                f"found duplicate series for info metric: existing {existing} @ {round(at * 1000)}, "
                f"new {labels} @ {round(at * 1000)}"
            )
        if before is None or at > before:
            since[(key, name)] = at
            found.setdefault(key, {})[name] = labels
    return found


def _data(labels: Labels, infos: Iterable[Labels], wanted: set[str]) -> dict[str, str]:
    """The labels to add; those that the series has itself stay."""
    data: dict[str, str] = {}
    for info in infos:
        for name, value in info.pairs:
            if name == METRIC_NAME or (wanted and name not in wanted):
                continue
            if data.get(name, value) != value:
                raise EvaluationError(f"conflicting label: {name}")
            if name not in labels:
                data[name] = value
    return data


def _placed(vector: Vector, table: Table, places: list[tuple[int, int]]) -> Vector:
    if len({place for _, place in places}) < len(places):
        raise EvaluationError("vector cannot contain metrics with the same labelset")
    values, present = np.full(len(table), np.nan), np.zeros(len(table), dtype=np.bool_)
    sources, targets = [source for source, _ in places], [target for _, target in places]
    values[targets], present[targets] = vector.values[sources], True
    shape: Shape = table if vector.shape.named is vector.shape else table.without_name()
    if vector.histograms is None:
        return Vector(shape, values, present)
    objects = np.full(len(table), None, dtype=object)
    objects[targets] = vector.histograms.objects()[sources]
    return Vector(
        shape,
        values,
        present,
        Histograms(np.array([item is not None for item in objects], dtype=np.bool_), objects=objects),
    )
