"""Redacting: the values of some labels are replaced wherever a request has them.

In a point's attributes and its exemplars' attributes; in the attributes of the metric, scope and resource too where
any point below them is meant, or where every point is.
"""

from __future__ import annotations

from typing import Any

from otelmon.config.process import Redact
from otelmon.server.process.conditions import Condition
from otelmon.server.process.memo import Memo
from otelmon.server.process.merge import Merging
from otelmon.server.process.request import Metric, Request, Resource
from otelmon.server.process.seen import label_named


class Redaction:
    """One step of redacting. Points that are the same series after it become one."""

    def __init__(self, step: Redact) -> None:
        self._condition = Condition(step.matchers)
        self._everywhere = not step.matchers
        self._labels = frozenset(map(label_named, step.labels))
        self._replacement = step.replacement
        self._redacted = Memo(self._redact)
        self._merging = Merging()

    def apply(self, request: Request, _at: float) -> int:
        """Redact a request; how many points had such a label."""
        return sum(self._of_resource(resource, request) for resource in request.resources)

    def _of_resource(self, resource: Resource, request: Request) -> int:
        total, any_meant = 0, self._everywhere
        for scope in resource.scopes:
            of_scope = self._everywhere
            for metric in scope.metrics:
                changed, meant = self._of_metric(metric)
                total += changed
                of_scope = of_scope or meant
            if of_scope and self._hide(scope.message.scope.attributes):
                request.changed = True
            any_meant = any_meant or of_scope
        if any_meant and self._hide(resource.message.resource.attributes):
            request.changed = True
        return total

    def _of_metric(self, metric: Metric) -> tuple[int, bool]:
        """How many points had such a label, and whether any was meant."""
        if not self._condition.meets_metric(metric.names):
            return 0, False
        meets, redacted = self._condition.meets_points(metric), self._redacted.of(metric.form, metric.sets)
        exemplars, changed = metric.exemplars, 0
        for index, (met, (had, attributes)) in enumerate(zip(meets, redacted, strict=True)):
            if met and had:
                changed += 1
                metric.describe(index, attributes)
            if met and exemplars[index]:
                metric.edit_exemplars(index, self._hide)
        meant = self._everywhere or any(meets)
        if changed:
            self._merging.merge(metric)
        if meant and self._hide(metric.message.metadata):
            metric.changed = True
        return changed, meant

    def _redact(self, point: Any) -> tuple[bool, bytes]:
        """Whether a point has such a label, and its attributes as they are to be."""
        return self._hide(point.attributes), point.SerializeToString()

    def _hide(self, attributes: Any) -> bool:
        found = [pair for pair in attributes if label_named(pair.key) in self._labels]
        for pair in found:
            pair.value.Clear()
            pair.value.string_value = self._replacement
        return bool(found)
