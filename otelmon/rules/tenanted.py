"""A rule as it is for one tenant: evaluated over that tenant's series alone, as if they had a server of their own.

Its alerts and recorded series have the label ``tenant``. A rule that names a tenant, in its labels or in a matcher of
one of its selectors, is there for the tenants only that it can mean.
"""

from __future__ import annotations

from dataclasses import replace

from otelmon.promql.analyze import selectors
from otelmon.promql.ast import Expr
from otelmon.rules.model import AlertingRule, Rule
from otelmon.tenants import TENANT


def of_tenant(rule: Rule, tenant: str) -> Rule | None:
    """The rule of a tenant, or of what has none (""); None where it is not meant for that one."""
    named = rule.labels.get(TENANT)
    if named not in (None, tenant) or not all(_may_mean(expr, tenant) for expr in _expressions(rule)):
        return None
    return replace(rule, labels=rule.labels.with_label(TENANT, tenant))


def _expressions(rule: Rule) -> tuple[Expr, ...]:
    wanted = rule.resolve_when if isinstance(rule, AlertingRule) else None
    return (rule.expr,) if wanted is None or wanted.expr is None else (rule.expr, wanted.expr)


def _may_mean(expr: Expr, tenant: str) -> bool:
    return all(
        matcher.matches(tenant)
        for selector in selectors(expr)
        for matcher in selector.matchers
        if matcher.name == TENANT
    )
