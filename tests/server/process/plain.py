"""The steps of ``process:`` done the plain way: the request decoded, changed in place, and encoded again.

What the server does to bytes is compared with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, assert_never

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from otelmon.config.process import Drop, Keep, Limit, Promote, Redact, RenameLabel, RenameMetric, Step
from otelmon.labels import METRIC_NAME
from otelmon.matching import Matcher, MatchOperator
from otelmon.server.process.merge import add
from otelmon.server.process.seen import identity, label_named, labels_of, metric_names, prometheus_name

Action = Callable[[Any], int]


def plainly(steps: Iterable[Step]) -> Callable[[bytes], tuple[bytes, list[int]]]:
    """What makes of a request what the steps do, with how many points each has dropped or changed."""
    actions = [_action_of(step) for step in steps]

    def take(body: bytes) -> tuple[bytes, list[int]]:
        request = ExportMetricsServiceRequest.FromString(body)
        counts = [action(request) for action in actions]
        return request.SerializeToString(), counts

    return take


def _action_of(step: Step) -> Action:
    match step:
        case Drop():
            return _filter(_Condition(step.matchers), keep=False)
        case Keep():
            return _filter(_Condition(step.matchers), keep=True)
        case RenameMetric():
            return _rename_metric(step)
        case RenameLabel():
            return _rename_label(step)
        case Redact():
            return _Redaction(step).apply
        case Promote():
            return _promote(step)
        case Limit():
            return _limit(step)
        case _:
            assert_never(step)


class _Condition:
    def __init__(self, matchers: Iterable[Matcher]) -> None:
        matchers = tuple(matchers)
        self._of_metric = [matcher for matcher in matchers if matcher.name == METRIC_NAME]
        self._of_point = [(label_named(each.name), each) for each in matchers if each.name != METRIC_NAME]

    def meets_metric(self, names: Iterable[str]) -> bool:
        return all(_meets(matcher, names) for matcher in self._of_metric)

    def meets_point(self, attributes: Iterable[Any], identity: Mapping[str, str]) -> bool:
        labels = {**labels_of(attributes), **identity}
        return all(matcher.matches(labels.get(name, "")) for name, matcher in self._of_point)


def _meets(matcher: Matcher, names: Iterable[str]) -> bool:
    if matcher.operator in (MatchOperator.NOT_EQUAL, MatchOperator.NOT_REGEX):
        return all(matcher.matches(name) for name in names)
    return any(matcher.matches(name) for name in names)


def _points_of(metric: Any) -> Any:
    kind = metric.WhichOneof("data")
    return () if kind is None else getattr(metric, kind).data_points


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
                points = _points_of(metric)
                indices = gone_of(known, metric, points)
                if indices:
                    gone += len(indices)
                    _remove(points, indices)
                    if not points:
                        metrics.append(at_metric)
            if metrics:
                _remove(scope.metrics, metrics)
                if not scope.metrics:
                    scopes.append(at_scope)
        if scopes:
            _remove(resource.scope_metrics, scopes)
            if not resource.scope_metrics:
                resources.append(at_resource)
    if resources:
        _remove(request.resource_metrics, resources)
    return gone


def _filter(condition: _Condition, *, keep: bool) -> Action:
    def gone_of(known: Mapping[str, str], metric: Any, points: Any) -> list[int]:
        if not condition.meets_metric(metric_names(metric)):
            return list(range(len(points))) if keep else []
        return [
            index for index, point in enumerate(points) if condition.meets_point(point.attributes, known) is not keep
        ]

    return lambda request: _filtered(request, gone_of)


def _limit(step: Limit) -> Action:
    """The first series of each metric pass, for ever."""
    condition, series = _Condition(step.matchers), dict[str, set[frozenset[tuple[str, str]]]]()

    def gone_of(known: Mapping[str, str], metric: Any, points: Any) -> list[int]:
        if not condition.meets_metric(metric_names(metric)):
            return []
        passing, gone = series.setdefault(prometheus_name(metric), set()), []
        for index, point in enumerate(points):
            if condition.meets_point(point.attributes, known):
                labels = frozenset({**labels_of(point.attributes), **known}.items())
                if labels in passing or len(passing) < step.series:
                    passing.add(labels)
                else:
                    gone.append(index)
        return gone

    return lambda request: _filtered(request, gone_of)


def _rename_metric(step: RenameMetric) -> Action:
    def apply(request: Any) -> int:
        changed = 0
        for _, metric in _metrics(request):
            if step.metric in metric_names(metric)[:2]:
                metric.name = step.to
                changed += len(_points_of(metric))
        return changed

    return apply


def _rename_label(step: RenameLabel) -> Action:
    condition, label = _Condition(step.matchers), label_named(step.label)

    def apply(request: Any) -> int:
        changed = 0
        for known, metric in _metrics(request):
            if not condition.meets_metric(metric_names(metric)):
                continue
            points, before = _points_of(metric), changed
            for point in points:
                if _named(point.attributes, label) and condition.meets_point(point.attributes, known):
                    changed += 1
                    _rename(point.attributes, label, step.to)
                    for exemplar in getattr(point, "exemplars", ()):
                        _rename(exemplar.filtered_attributes, label, step.to)
            if changed > before:
                _merge_same(metric, points)
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
    _remove(attributes, sorted({*found, *_named(attributes, label_named(to))}))
    attributes.add(key=to, value=value)


def _promote(step: Promote) -> Action:
    wanted = frozenset(map(label_named, step.attributes))

    def apply(request: Any) -> int:
        changed = 0
        for resource in request.resource_metrics:
            found = [pair for pair in resource.resource.attributes if label_named(pair.key) in wanted]
            if not found:
                continue
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in _points_of(metric):
                        taken = {label_named(pair.key) for pair in point.attributes}
                        new = [pair for pair in found if label_named(pair.key) not in taken]
                        point.attributes.extend(new)
                        changed += bool(new)
        return changed

    return apply


def _named(attributes: Any, label: str) -> list[int]:
    """Where the attributes that become a label are."""
    return [index for index, pair in enumerate(attributes) if label_named(pair.key) == label]


class _Redaction:
    def __init__(self, step: Redact) -> None:
        self._condition = _Condition(step.matchers)
        self._everywhere = not step.matchers
        self._labels = frozenset(map(label_named, step.labels))
        self._replacement = step.replacement

    def apply(self, request: Any) -> int:
        return sum(self._of_resource(resource) for resource in request.resource_metrics)

    def _of_resource(self, resource: Any) -> int:
        known = identity(resource.resource)
        total, any_meant = 0, self._everywhere
        for scope in resource.scope_metrics:
            of_scope = self._everywhere
            for metric in scope.metrics:
                changed, meant = self._of_metric(metric, known)
                total += changed
                of_scope = of_scope or meant
            if of_scope:
                self._hide(scope.scope.attributes)
            any_meant = any_meant or of_scope
        if any_meant:
            self._hide(resource.resource.attributes)
        return total

    def _of_metric(self, metric: Any, known: Mapping[str, str]) -> tuple[int, bool]:
        if not self._condition.meets_metric(metric_names(metric)):
            return 0, False
        points = _points_of(metric)
        changed, meant = 0, self._everywhere
        for point in points:
            if self._condition.meets_point(point.attributes, known):
                meant = True
                changed += self._hide(point.attributes)
                for exemplar in getattr(point, "exemplars", ()):
                    self._hide(exemplar.filtered_attributes)
        if changed:
            _merge_same(metric, points)
        if meant:
            self._hide(metric.metadata)
        return changed, meant

    def _hide(self, attributes: Any) -> bool:
        found = [pair for pair in attributes if label_named(pair.key) in self._labels]
        for pair in found:
            pair.value.Clear()
            pair.value.string_value = self._replacement
        return bool(found)


def _merge_same(metric: Any, points: Any) -> None:
    """Merge points of the same attributes and time."""
    kind = metric.WhichOneof("data")
    first: dict[tuple[int, frozenset[bytes]], Any] = {}
    gone: list[int] = []
    for index, point in enumerate(points):
        key = (point.time_unix_nano, frozenset(pair.SerializeToString(deterministic=True) for pair in point.attributes))
        kept = first.setdefault(key, point)
        if kept is not point:
            add(kind, kept, point)
            gone.append(index)
    _remove(points, gone)


def _remove(repeated: Any, indices: Sequence[int]) -> None:
    """Take these, ascending, out of a repeated field."""
    if len(indices) == len(repeated):
        del repeated[:]
        return
    for index in reversed(indices):
        del repeated[index]
