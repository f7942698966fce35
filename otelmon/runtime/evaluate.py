"""Evaluating the rules: each group when it is due, each rule on its own, so that one that fails stops no other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from otelmon.alerts.manual import expire, manual_step
from otelmon.alerts.model import Alert, Transition
from otelmon.alerts.restore import restore, shift
from otelmon.alerts.step import remove, step
from otelmon.collect.pace import Pace
from otelmon.faults import Faults
from otelmon.labels import METRIC_NAME, Labels
from otelmon.promql.analyze import condition, lookback_seconds
from otelmon.promql.evaluation import Condition, Evaluation, Failed
from otelmon.promql.query import Query
from otelmon.rules.model import AlertingRule, Group, RecordingRule, Rule
from otelmon.rules.template import expand
from otelmon.sample import STALE, Sample
from otelmon.window.window import Window

Alerts = Mapping[Labels, Alert]

# Prometheus lets a restored pending alert wait 10 more minutes, for its scrapes to come in. Our window is restored too,
# and an app restarts with each deploy: waiting each time would put off a long `for` for ever.
_GRACE_SECONDS = 0.0


@dataclass(slots=True, kw_only=True)
class WatchedRule:
    """A rule with its compiled query and the alerts (or recorded series) that it has now."""

    rule: Rule
    group: Group
    query: Query
    condition: Condition | None
    hold_restored_until: datetime | None = None
    alerts: Alerts = field(default_factory=dict)
    recorded: frozenset[Labels] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResults:
    """What one round of evaluation changed: transitions, and the alerts of each rule that was evaluated."""

    transitions: tuple[Transition, ...] = ()
    alerts: Mapping[str, Alerts] = field(default_factory=dict)


class RuleRunner:
    """Evaluates groups of rules on a window and keeps the alerts of each rule."""

    def __init__(self, groups: tuple[Group, ...], *, interval_seconds: float, faults: Faults) -> None:
        self._interval_seconds = interval_seconds
        self._faults = faults
        self._groups = groups
        self._due_at: dict[str, float] = {}
        self._watched: dict[str, list[WatchedRule]] = {}
        self._alerting: dict[str, WatchedRule] = {}
        for group in groups:
            watched = [_watch(rule, group) for rule in group.rules]
            self._watched[group.name] = watched
            self._alerting.update({each.rule.name: each for each in watched if isinstance(each.rule, AlertingRule)})

    @property
    def alerts(self) -> dict[str, Alerts]:
        """The alerts of each alerting rule, by its name."""
        return {name: watched.alerts for name, watched in self._alerting.items()}

    def restore(self, alerts: Mapping[str, Alerts], *, saved_at: datetime, at: float) -> RuleResults:
        """Go on from the alerts of an earlier process; those of rules that are gone are resolved."""
        now = _instant(at)
        transitions: list[Transition] = []
        removed: dict[str, Alerts] = {}
        for name, saved in alerts.items():
            watched = self._alerting.get(name)
            if watched is None or not isinstance(watched.rule, AlertingRule):
                removed[name] = {}
                transitions += remove(saved, at=now).transitions
                continue
            watched.alerts = restore(watched.rule, saved, saved_at=saved_at, at=now, grace_seconds=_GRACE_SECONDS)
            watched.hold_restored_until = now + timedelta(seconds=lookback_seconds(watched.rule.expr))
        return RuleResults(transitions=tuple(transitions), alerts=removed)

    def run(self, window: Window, at: float) -> RuleResults:
        """Evaluate the groups that are due at an instant (unix seconds), in order; recorded samples are appended."""
        transitions: list[Transition] = []
        changed: dict[str, Alerts] = {}
        pace = Pace()
        for group in self._groups:
            interval = group.interval_seconds or self._interval_seconds
            # Half a tick of grace, so that a tick that comes a moment early does not cost the group a whole interval.
            if at < self._due_at.get(group.name, at) - self._interval_seconds / 2:
                continue
            self._due_at[group.name] = at + interval
            for watched in self._watched[group.name]:
                transitions += self._run_rule(watched, window, at)
                if isinstance(watched.rule, AlertingRule):
                    changed[watched.rule.name] = watched.alerts
                pace.rest()
        return RuleResults(transitions=tuple(transitions), alerts=changed)

    def _run_rule(self, watched: WatchedRule, window: Window, at: float) -> tuple[Transition, ...]:
        name = watched.rule.name
        try:
            evaluation = watched.query.evaluate(window, at - watched.group.query_offset_seconds)
            if isinstance(evaluation, Failed):
                self._faults.add(f"rule.{name}", f"the rule {name} cannot be evaluated: {evaluation.reason}")
            if isinstance(watched.rule, AlertingRule):
                return self._step(watched, watched.rule, evaluation, window, at)
            self._record(watched, watched.rule, evaluation, window, at)
        except Exception as error:  # noqa: BLE001 (one rule's failure must not stop the others)
            self._faults.add(f"rule.{name}", f"the rule {name} failed", error)
        return ()

    def _step(
        self, watched: WatchedRule, rule: AlertingRule, evaluation: Evaluation | Failed, window: Window, at: float
    ) -> tuple[Transition, ...]:
        result = step(
            rule,
            watched.alerts,
            evaluation,
            at=_instant(at),
            condition=watched.condition,
            expand=_expand,
            limit=watched.group.limit,
            hold_restored_until=watched.hold_restored_until,
            query_offset_seconds=watched.group.query_offset_seconds,
        )
        watched.alerts = result.alerts
        window.append(result.samples)
        if result.problem and not isinstance(evaluation, Failed):  # that was said already
            self._faults.add(f"rule.{rule.name}", f"the rule {rule.name}: {result.problem}")
        elif not isinstance(evaluation, Failed):
            self._faults.clear(f"rule.{rule.name}")
        return result.transitions

    def _record(
        self, watched: WatchedRule, rule: RecordingRule, evaluation: Evaluation | Failed, window: Window, at: float
    ) -> None:
        if isinstance(evaluation, Failed):
            return
        values = {
            element.labels.with_labels({**rule.labels, METRIC_NAME: rule.name}): element.value
            for element in evaluation.vector
        }
        if watched.group.limit and len(values) > watched.group.limit:
            limit = watched.group.limit
            self._faults.add(f"rule.{rule.name}", f"the rule {rule.name} records {len(values)} series, limit {limit}")
            values = {}
        else:
            self._faults.clear(f"rule.{rule.name}")
        ended = [Sample(labels=labels, at=at, value=STALE) for labels in watched.recorded - values.keys()]
        window.append([*(Sample(labels=labels, at=at, value=value) for labels, value in values.items()), *ended])
        watched.recorded = frozenset(values)

    def process(self, name: str, value: float, context: Mapping[str, str], at: float) -> RuleResults:
        """Put a value through a rule's alert by hand."""
        watched = self._alerting[name]
        if watched.condition is None or not isinstance(watched.rule, AlertingRule):
            return RuleResults()
        result = manual_step(
            watched.rule,
            watched.alerts,
            value=value,
            condition=watched.condition,
            expand=_expand,
            context=context,
            at=_instant(at),
        )
        watched.alerts = result.alerts
        return RuleResults(transitions=result.transitions, alerts={name: watched.alerts})

    def expire_manual(self, at: float) -> RuleResults:
        """Resolve what was put in by hand and not renewed."""
        transitions: list[Transition] = []
        changed: dict[str, Alerts] = {}
        for name, watched in self._alerting.items():
            result = expire(watched.alerts, at=_instant(at))
            if result.transitions:
                watched.alerts = changed[name] = result.alerts
                transitions += result.transitions
        return RuleResults(transitions=tuple(transitions), alerts=changed)

    def shift(self, seconds: float) -> None:
        """The wall clock jumped: move what is remembered of time by as much."""
        self._due_at = {name: at + seconds for name, at in self._due_at.items()}
        for watched in self._alerting.values():
            watched.alerts = shift(watched.alerts, seconds)
            if watched.hold_restored_until is not None:
                watched.hold_restored_until += timedelta(seconds=seconds)


def _watch(rule: Rule, group: Group) -> WatchedRule:
    return WatchedRule(rule=rule, group=group, query=Query(rule.text), condition=condition(rule.expr))


def _expand(text: str, labels: Labels, value: float) -> str:
    expanded = expand(text, labels, value)
    return f"{text} (template: {expanded.error})" if expanded.error else expanded.text


def _instant(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
