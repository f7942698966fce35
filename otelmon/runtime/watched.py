"""Watched rules: each rule as it is evaluated, once for each tenant, with its compiled query and what it has now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from otelmon.alerts.model import Alert
from otelmon.labels import Labels
from otelmon.promql.analyze import condition
from otelmon.promql.evaluation import Condition
from otelmon.promql.query import Query
from otelmon.rules.identity import rule_keys
from otelmon.rules.model import AlertingRule, Group, Rule
from otelmon.runtime.course import Course
from otelmon.runtime.tenanted import parts
from otelmon.tenants import Tenants
from otelmon.window.view import Readable

Alerts = Mapping[Labels, Alert]


@dataclass(slots=True, kw_only=True)
class WatchedRule:
    """A rule with its compiled query and the alerts (or recorded series) that it has now.

    ``tenant`` is over whose series it is evaluated, "" for those that nobody has, None for all.
    """

    key: str
    rule: Rule
    group: Group
    query: Query
    condition: Condition | None
    resolve_when: Query | None = None
    hold_restored_until: datetime | None = None
    alerts: Alerts = field(default_factory=dict)
    recorded: frozenset[Labels] = frozenset()
    since: float | None = None  # unix seconds of the first evaluation of this expression
    last: LastEvaluation | None = None
    course: Course = field(default_factory=Course)
    tenant: str | None = None

    @property
    def fault(self) -> str:
        """What its faults are counted by."""
        return f"rule.{self.rule.name}" + (f".{self.tenant}" if self.tenant else "")

    def is_of_others(self, part: Readable) -> bool:
        """Whether it has nothing to do with the server's own series: that these lack what tenants send says nothing."""
        return self.tenant == "" and not self.alerts and not self.recorded and not self.query.selects(part)


@dataclass(frozen=True, slots=True, kw_only=True)
class LastEvaluation:
    """How a rule fared when it was last evaluated, at unix second ``at``; ``problem`` is empty where all went well."""

    at: float
    took_seconds: float
    selected_series: int
    problem: str


def watch_all(
    groups: tuple[Group, ...], before: Mapping[str, WatchedRule], tenants: Tenants
) -> tuple[tuple[Group, tuple[WatchedRule, ...]], ...]:
    """Each group with its rules, which take up the state of the rule that had their key."""
    return tuple(
        (
            group,
            tuple(
                _watch(part_key, part, group, before.get(part_key), tenant)
                for key, rule in zip(keys, group.rules, strict=True)
                for part_key, part, tenant in parts(key, rule, tenants)
            ),
        )
        for group, keys in zip(groups, rule_keys(groups), strict=True)
    )


def _watch(key: str, rule: Rule, group: Group, before: WatchedRule | None, tenant: str | None) -> WatchedRule:
    watched = _compiled(key, rule, group, tenant)
    if before is not None:
        if before.rule.text == rule.text:
            watched.query, watched.since = before.query, before.since  # the query with its plans
            watched.course = before.course
        watched.alerts, watched.recorded, watched.last = before.alerts, before.recorded, before.last
        watched.hold_restored_until = before.hold_restored_until
    return watched


def _compiled(key: str, rule: Rule, group: Group, tenant: str | None) -> WatchedRule:
    wanted = rule.resolve_when if isinstance(rule, AlertingRule) else None
    return WatchedRule(
        key=key,
        rule=rule,
        group=group,
        query=Query(rule.text),
        condition=condition(rule.expr),
        resolve_when=None if wanted is None or wanted.expr is None else Query(wanted.text),
        tenant=tenant,
    )
