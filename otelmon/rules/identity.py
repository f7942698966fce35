"""Which rule is which, over a restart and a reload."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from otelmon.rules.model import AlertingRule, Group


def rule_keys(groups: Iterable[Group]) -> tuple[tuple[str, ...], ...]:
    """A key for each rule of each group, under which its state is kept.

    It is made of what Prometheus finds a rule again by (rules/group.go, CopyState): its name and its labels as they
    are written, so that a new bound or another group leaves its alerts alone. Rules that are the same in both are told
    apart by their order: the first has the plain key, the second ``#2``.
    """
    seen: Counter[str] = Counter()
    keys = []
    for group in groups:
        of_group = []
        for rule in group.rules:
            key = f"{'' if isinstance(rule, AlertingRule) else 'record '}{rule.name}{rule.labels}"
            seen[key] += 1
            of_group.append(key if seen[key] == 1 else f"{key}#{seen[key]}")
        keys.append(tuple(of_group))
    return tuple(keys)
