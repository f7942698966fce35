"""What each step does to a request, in place; each returns how many points it has dropped or changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, assert_never

from otelmon.config.process import Drop, Keep, Limit, Promote, Redact, RenameLabel, RenameMetric, Step
from otelmon.server.process.limit import Offender, SeriesLimit
from otelmon.server.process.merge import merge_same, remove
from otelmon.server.process.redact import Redaction
from otelmon.server.process.seen import (
    Condition,
    identity,
    label_named,
    labels_of,
    metric_names,
    points_of,
    prometheus_name,
)

Action = Callable[[Any, float], int]
"""Changes an ExportMetricsServiceRequest at a time in unix seconds; returns the points that are concerned."""


def action_of(step: Step, on_offender: Callable[[Offender], None]) -> tuple[str, Action, SeriesLimit | None]:
    """The name of a step, and what it does; ``on_offender`` is told of each metric that first passes a limit."""
    match step:
        case Drop():
            return "drop", _filter(Condition(step.matchers), keep=False), None
        case Keep():
            return "keep", _filter(Condition(step.matchers), keep=True), None
        case RenameMetric():
            return "rename", _rename_metric(step), None
        case RenameLabel():
            return "rename", _rename_label(step), None
        case Redact():
            return "redact", Redaction(step).apply, None
        case Promote():
            return "promote", _promote(step), None
        case Limit():
            limit = SeriesLimit(step.series)
            return "limit", _limit(step, limit, on_offender), limit
        case _:
            assert_never(step)


def _metrics(request: Any) -> Iterator[tuple[Mapping[str, str], Any]]:
    for resource in request.resource_metrics:
        known = identity(resource.resource)
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                yield known, metric


def _filtered(request: Any, gone_of: Callable[[Mapping[str, str], Any, Any], list[int]]) -> int:
    """Take out the points that ``gone_of`` names by index, and whatever has none left through that."""
    gone = 0
    resources = []
    for at_resource, resource in enumerate(request.resource_metrics):
        known = identity(resource.resource)
        scopes = []
        for at_scope, scope in enumerate(resource.scope_metrics):
            metrics = []
            for at_metric, metric in enumerate(scope.metrics):
                points = points_of(metric)
                indices = gone_of(known, metric, points)
                if indices:
                    gone += len(indices)
                    remove(points, indices)
                    if not points:
                        metrics.append(at_metric)
            if metrics:
                remove(scope.metrics, metrics)
                if not scope.metrics:
                    scopes.append(at_scope)
        if scopes:
            remove(resource.scope_metrics, scopes)
            if not resource.scope_metrics:
                resources.append(at_resource)
    if resources:
        remove(request.resource_metrics, resources)
    return gone


def _filter(condition: Condition, *, keep: bool) -> Action:
    def gone_of(known: Mapping[str, str], metric: Any, points: Any) -> list[int]:
        if not condition.meets_metric(metric_names(metric)):
            return list(range(len(points))) if keep else []
        return [
            index for index, point in enumerate(points) if condition.meets_point(point.attributes, known) is not keep
        ]

    return lambda request, _at: _filtered(request, gone_of)


def _limit(step: Limit, limit: SeriesLimit, on_offender: Callable[[Offender], None]) -> Action:
    condition = Condition(step.matchers)

    def apply(request: Any, at: float) -> int:
        def gone_of(known: Mapping[str, str], metric: Any, points: Any) -> list[int]:
            if not condition.meets_metric(metric_names(metric)):
                return []
            name = prometheus_name(metric)
            return [
                index
                for index, point in enumerate(points)
                if condition.meets_point(point.attributes, known)
                and not limit.admits(name, {**labels_of(point.attributes), **known}, at)
            ]

        gone = _filtered(request, gone_of)
        if gone:
            for offender in limit.offenders():
                on_offender(offender)
        return gone

    return apply


def _rename_metric(step: RenameMetric) -> Action:
    def apply(request: Any, _at: float) -> int:
        changed = 0
        for _, metric in _metrics(request):
            if step.metric in metric_names(metric)[:2]:
                metric.name = step.to
                changed += len(points_of(metric))
        return changed

    return apply


def _rename_label(step: RenameLabel) -> Action:
    condition, label = Condition(step.matchers), label_named(step.label)

    def apply(request: Any, _at: float) -> int:
        changed = 0
        for known, metric in _metrics(request):
            if not condition.meets_metric(metric_names(metric)):
                continue
            points, before = points_of(metric), changed
            for point in points:
                if _named(point.attributes, label) and condition.meets_point(point.attributes, known):
                    changed += 1
                    _rename(point.attributes, label, step.to)
                    for exemplar in getattr(point, "exemplars", ()):
                        _rename(exemplar.filtered_attributes, label, step.to)
            if changed > before:
                merge_same(metric, points)
        return changed

    return apply


def _rename(attributes: Any, label: str, to: str) -> None:
    """Name the attribute that becomes a label anew; what had that name before goes."""
    found = _named(attributes, label)
    if not found:
        return
    value = attributes[found[0]].value.__class__()
    if len(found) == 1:
        value.CopyFrom(attributes[found[0]].value)
    else:  # several that are one label in rules
        value.string_value = labels_of(attributes)[label]
    remove(attributes, sorted({*found, *_named(attributes, label_named(to))}))
    attributes.add(key=to, value=value)


def _promote(step: Promote) -> Action:
    wanted = frozenset(map(label_named, step.attributes))

    def apply(request: Any, _at: float) -> int:
        changed = 0
        for resource in request.resource_metrics:
            found = [pair for pair in resource.resource.attributes if label_named(pair.key) in wanted]
            if not found:
                continue
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in points_of(metric):
                        taken = {label_named(pair.key) for pair in point.attributes}
                        new = [pair for pair in found if label_named(pair.key) not in taken]
                        point.attributes.extend(new)
                        changed += bool(new)
        return changed

    return apply


def _named(attributes: Any, label: str) -> list[int]:
    """Where the attributes that become a label are."""
    return [index for index, pair in enumerate(attributes) if label_named(pair.key) == label]
