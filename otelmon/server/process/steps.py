"""What each step does to a request; each returns how many points it has dropped or changed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import compress
from typing import Any, assert_never

from otelmon.config.process import Drop, Keep, Limit, Promote, Redact, RenameLabel, RenameMetric, Step
from otelmon.server.process.conditions import Condition
from otelmon.server.process.limit import Offender, SeriesLimit
from otelmon.server.process.memo import Memo
from otelmon.server.process.merge import Merging
from otelmon.server.process.redact import Redaction
from otelmon.server.process.request import Metric, Request
from otelmon.server.process.seen import label_named, labels_of, prometheus_name

Action = Callable[[Request, float], int]
"""Changes a request at a time in unix seconds; returns the points that are concerned."""


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
            return "rename", _RenamedLabel(step).apply, None
        case Redact():
            return "redact", Redaction(step).apply, None
        case Promote():
            return "promote", _promote(step), None
        case Limit():
            limit = SeriesLimit(step.series)
            return "limit", _Limited(step, limit, on_offender).apply, limit
        case _:
            assert_never(step)


def _filter(condition: Condition, *, keep: bool) -> Action:
    def apply(request: Request, _at: float) -> int:
        gone = 0
        for metric in request.metrics():
            if condition.meets_metric(metric.names):
                meets = condition.meets_points(metric)
                gone += metric.keep(meets if keep else [not met for met in meets])
            elif keep:
                gone += metric.keep([False] * len(metric))
        return gone

    return apply


class _Limited:
    """A limit of the series of each metric."""

    def __init__(self, step: Limit, limit: SeriesLimit, on_offender: Callable[[Offender], None]) -> None:
        self._condition = Condition(step.matchers)
        self._limit = limit
        self._on_offender = on_offender
        self._series = Memo(lambda point: _series(labels_of(point.attributes)))

    def apply(self, request: Request, at: float) -> int:
        gone = sum(self._of_metric(metric, at) for metric in request.metrics())
        if gone:
            for offender in self._limit.offenders():
                self._on_offender(offender)
        return gone

    def _of_metric(self, metric: Metric, at: float) -> int:
        form = metric.form
        if not self._condition.meets_metric(metric.names):
            return 0
        meets = self._condition.meets_points(metric)
        sets = list(compress(metric.sets, meets))
        who = hash(frozenset(metric.identity.items()))
        series = [hash((each, who)) for each in self._series.of(form, sets)]
        admitted = iter(
            self._limit.admits(
                prometheus_name(metric.message),
                series,
                lambda index: {**labels_of(form.message.FromString(sets[index]).attributes), **metric.identity},
                at,
            )
        )
        return metric.keep([not met or next(admitted) for met in meets])


def _series(labels: dict[str, str]) -> int:
    """A number that stands for a series of a process, whatever its attributes say of job and instance."""
    return hash(frozenset((name, value) for name, value in labels.items() if name not in ("job", "instance")))


def _rename_metric(step: RenameMetric) -> Action:
    def apply(request: Request, _at: float) -> int:
        changed = 0
        for metric in request.metrics():
            if step.metric in metric.names[:2]:
                metric.message.name = step.to
                metric.changed = True
                changed += len(metric)
        return changed

    return apply


class _RenamedLabel:
    """A label gets another name. Points that are the same series after it become one."""

    def __init__(self, step: RenameLabel) -> None:
        self._condition, self._label, self._to = Condition(step.matchers), label_named(step.label), step.to
        self._renamed = Memo(self._of_point)
        self._merging = Merging()

    def apply(self, request: Request, _at: float) -> int:
        return sum(map(self._of_metric, request.metrics()))

    def _of_metric(self, metric: Metric) -> int:
        if not self._condition.meets_metric(metric.names):
            return 0
        meets, renamed = self._condition.meets_points(metric), self._renamed.of(metric.form, metric.sets)
        exemplars, changed = metric.exemplars, 0
        for index, (met, (had, attributes)) in enumerate(zip(meets, renamed, strict=True)):
            if met and had:
                changed += 1
                metric.describe(index, attributes)
                if exemplars[index]:
                    metric.edit_exemplars(index, self._rename)
        if changed:
            self._merging.merge(metric)
        return changed

    def _of_point(self, point: Any) -> tuple[bool, bytes]:
        """Whether a point has the label, and its attributes as they are to be."""
        return self._rename(point.attributes), point.SerializeToString()

    def _rename(self, attributes: Any) -> bool:
        """Name the attribute that becomes the label anew; what had that name before goes."""
        found = _named(attributes, self._label)
        if not found:
            return False
        value = attributes[found[0]].value.__class__()
        if len(found) == 1:
            value.CopyFrom(attributes[found[0]].value)
        else:  # several that are one label in rules
            value.string_value = labels_of(attributes)[self._label]
        for index in sorted({*found, *_named(attributes, label_named(self._to))}, reverse=True):
            del attributes[index]
        attributes.add(key=self._to, value=value)
        return True


def _named(attributes: Any, label: str) -> list[int]:
    """Where the attributes that become a label are."""
    return [index for index, pair in enumerate(attributes) if label_named(pair.key) == label]


def _promote(step: Promote) -> Action:
    wanted = frozenset(map(label_named, step.attributes))
    taken = Memo(lambda point: wanted & {label_named(pair.key) for pair in point.attributes})

    def of_metric(metric: Metric, found: list[tuple[str, bytes]]) -> int:
        new: dict[frozenset[str], bytes] = {}
        changed = 0
        for index, (attributes, names) in enumerate(zip(metric.sets, taken.of(metric.form, metric.sets), strict=True)):
            if names not in new:
                pairs = [pair for name, pair in found if name not in names]
                new[names] = metric.form.parts(attributes=pairs).SerializeToString()
            if new[names]:
                metric.describe(index, attributes + new[names])
                changed += 1
        return changed

    def apply(request: Request, _at: float) -> int:
        changed = 0
        for resource in request.resources:
            named = [(label_named(pair.key), pair) for pair in resource.message.resource.attributes]
            found = [(name, pair.SerializeToString()) for name, pair in named if name in wanted]
            if found:
                changed += sum(of_metric(metric, found) for scope in resource.scopes for metric in scope.metrics)
        return changed

    return apply
