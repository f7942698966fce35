"""How long samples are kept: as long as something looks back for them, each metric for itself where it is recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from otelmon.labels import METRIC_NAME
from otelmon.matching import MatchOperator
from otelmon.promql.analyze import LOOKBACK_DELTA_SECONDS, lookbacks
from otelmon.promql.ast import VectorSelector
from otelmon.promql.parse import parse
from otelmon.rules.breakdown import before_seconds
from otelmon.rules.model import AlertingRule, Group, RecordingRule, Rule
from otelmon.runtime.evaluate import rule_lookbacks
from otelmon.runtime.snapshot import view_texts

# Views and snapshots look back five minutes, whatever the rules do.
_LEAST_LOOKBACK_SECONDS = 300.0


def retention(groups: Sequence[Group], interval_seconds: float) -> tuple[float, dict[str, float]]:
    """For how many seconds samples are kept, and by name those metrics that are kept for longer.

    What is collected is kept as far as any rule looks back for it, and two intervals more. What rules record is kept
    for itself: a recorded series has a sample an interval of its group at most, so that thirty days of it take little,
    where thirty days of all that is collected would take gigabytes.
    """
    recorded = {rule.name for group in groups for rule in group.rules if isinstance(rule, RecordingRule)}
    everything, named = _LEAST_LOOKBACK_SECONDS, dict[str, float]()
    looked = [each for group in groups for rule in group.rules for each in rule_lookbacks(rule)]
    looked += [each for group in groups for rule in group.rules for each in _explained(rule)]
    looked += [each for text in view_texts() for each in lookbacks(parse(text))]
    for selector, seconds in looked:
        name = _exact_name(selector)
        if name in recorded:
            named[name] = max(seconds, named.get(name, 0.0))
        else:
            everything = max(everything, seconds)
    margin = 2 * interval_seconds
    return everything + margin, {name: seconds + margin for name, seconds in named.items() if seconds > everything}


def _explained(rule: Rule) -> Iterator[tuple[VectorSelector, float]]:
    """What a rule's breakdowns look at, with the window before, with which they compare their shares."""
    for breakdown in rule.breakdown if isinstance(rule, AlertingRule) else ():
        before = before_seconds(breakdown)
        for selector, seconds in lookbacks(breakdown.expr):
            # The sample before the range is one interval older than it, which the margin covers.
            spared = LOOKBACK_DELTA_SECONDS if selector.range_modifier else 0.0
            yield selector, seconds + before - spared


def _exact_name(selector: VectorSelector) -> str:
    exact = (
        each.value for each in selector.matchers if (each.name, each.operator) == (METRIC_NAME, MatchOperator.EQUAL)
    )
    return next(exact, "")
