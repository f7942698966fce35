"""Redacting: the values of some labels are replaced wherever a request has them.

In a point's attributes and its exemplars' attributes; in the attributes of the metric, scope and resource too where
any point below them is meant, or where every point is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otelmon.config.process import Redact
from otelmon.server.process.merge import merge_same
from otelmon.server.process.seen import Condition, identity, label_named, metric_names, points_of


class Redaction:
    """One step of redacting. Points that are the same series after it become one."""

    def __init__(self, step: Redact) -> None:
        self._condition = Condition(step.matchers)
        self._everywhere = not step.matchers
        self._labels = frozenset(map(label_named, step.labels))
        self._replacement = step.replacement

    def apply(self, request: Any, _at: float) -> int:
        """Redact a request in place; how many points had such a label."""
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
        """How many points had such a label, and whether any was meant."""
        if not self._condition.meets_metric(metric_names(metric)):
            return 0, False
        points = points_of(metric)
        changed, meant = 0, self._everywhere
        for point in points:
            if self._condition.meets_point(point.attributes, known):
                meant = True
                changed += self._hide(point.attributes)
                for exemplar in getattr(point, "exemplars", ()):
                    self._hide(exemplar.filtered_attributes)
        if changed:
            merge_same(metric, points)
        if meant:
            self._hide(metric.metadata)
        return changed, meant

    def _hide(self, attributes: Any) -> bool:
        found = [pair for pair in attributes if label_named(pair.key) in self._labels]
        for pair in found:
            pair.value.Clear()
            pair.value.string_value = self._replacement
        return bool(found)
