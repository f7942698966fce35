"""Whether a firing alert whose expression no longer holds is over, and why."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from otelmon.alerts.model import Alert, AlertState, TransitionReason
from otelmon.labels import METRIC_NAME
from otelmon.promql.analyze import metric_names, selectors
from otelmon.promql.evaluation import Condition, Evaluation, Failed
from otelmon.rules.model import AlertingRule, NoData

# With ``no_data: keep`` an alert whose own series is gone (a disk taken out, a container replaced by the next one)
# while other series of its rule are measured would otherwise fire for ever.
GONE_AFTER = timedelta(hours=1)
_REQUEST_METRICS = "http_server_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Over, not over, or (None) nobody can tell; ``reason`` is why, where it is over."""

    over: bool | None
    reason: TransitionReason = TransitionReason.STOPPED


_CANNOT_TELL = Verdict(over=None)
_NOT_OVER = Verdict(over=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """One evaluation of a rule, asked about its firing alerts that are not in the result.

    ``holding`` is set as long as the window may not be filled after a restart. ``resolving`` is the evaluation of the
    rule's ``resolve_when``, where that is an expression.
    """

    rule: AlertingRule
    evaluation: Evaluation
    condition: Condition | None
    resolving: Evaluation | Failed | None
    holding: bool
    at: datetime

    def verdict(self, alert: Alert) -> Verdict:
        """Whether an alert is over.

        A series without a measured value (none at all, or NaN, as a ratio is without traffic) is left to ``no_data``;
        one with a value is over when ``resolve_when`` says so, at once where the rule has none.
        """
        held_back = alert.restored and self.holding
        if self.condition is None or self.evaluation.measured is None:
            if held_back:
                return _CANNOT_TELL
            if is_unmeasured(self.rule, self.evaluation, self.condition):
                return self._without_data(alert, TransitionReason.NO_DATA)
            return self._resolve_when(alert, None)
        value = self._measured(alert)
        if value is None or math.isnan(value):
            # 0/0 is what a ratio is without requests: no measurement.
            return _CANNOT_TELL if held_back else self._without_data(alert, self._why_nothing(value))
        if held_back and self.condition.holds(value):
            return _NOT_OVER
        return self._resolve_when(alert, value)

    def _measured(self, alert: Alert) -> float | None:
        measured = self.evaluation.measured or {}
        value = measured.get(alert.series)
        return measured.get(alert.series.without((METRIC_NAME,))) if value is None else value

    def _why_nothing(self, value: float | None) -> TransitionReason:
        names = metric_names(self.rule.expr)
        about_requests = bool(names) and all(name.startswith(_REQUEST_METRICS) for name in names)
        return TransitionReason.NO_TRAFFIC if value is not None or about_requests else TransitionReason.NO_DATA

    def _without_data(self, alert: Alert, reason: TransitionReason) -> Verdict:
        if self.rule.no_data is NoData.RESOLVE:
            return Verdict(over=True, reason=reason)
        last = alert.last_held_at or alert.active_at
        if self.at - last >= GONE_AFTER and not is_unmeasured(self.rule, self.evaluation, self.condition):
            return Verdict(over=True, reason=TransitionReason.SERIES_GONE)
        return _CANNOT_TELL

    def _resolve_when(self, alert: Alert, value: float | None) -> Verdict:
        wanted = self.rule.resolve_when
        if wanted is None:
            return Verdict(over=True)
        if wanted.bound is not None:
            if self.condition is None or value is None:
                return Verdict(over=True)
            return Verdict(over=not replace(self.condition, bound=wanted.bound).holds(value))
        if not isinstance(self.resolving, Evaluation):
            return _CANNOT_TELL
        has = set(alert.series.without((METRIC_NAME,)).items())
        met = any(set(found.labels.without((METRIC_NAME,)).items()) <= has for found in self.resolving.vector)
        return Verdict(over=met)


def is_unmeasured(rule: AlertingRule, evaluation: Evaluation, condition: Condition | None) -> bool:
    """Whether nothing at all is measured for a rule: its measure has no value, or its selectors find no series."""
    if condition is not None and evaluation.measured is not None:
        return all(math.isnan(value) for value in evaluation.measured.values())
    return evaluation.selected_series == 0 and bool(selectors(rule.expr))


def resolved(alert: Alert, at: datetime, reason: TransitionReason) -> Alert:
    """The alert once it is over."""
    return replace(alert, state=AlertState.RESOLVED, resolved_at=at, ended=reason)
