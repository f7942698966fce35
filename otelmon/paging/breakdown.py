"""What a breakdown found, in the words of a page: "POST /pay: 82 % of the errors, was 3 %"."""

from __future__ import annotations

import math
from collections.abc import Mapping

from otelmon.alerts.model import Alert
from otelmon.incidents.model import Finding
from otelmon.labels import METRIC_NAME, Labels
from otelmon.paging.values import format_value
from otelmon.promql.evaluation import Evaluation
from otelmon.rules.breakdown import smallest_first
from otelmon.rules.model import Breakdown, Unit

MOST_LINES = 5
"""How many elements of a breakdown are named."""

# Said elsewhere in the page.
_SAID_ELSEWHERE = frozenset({METRIC_NAME, "job", "instance"})
_NAME_LIMIT = 120


def breakdown_finding(
    breakdown: Breakdown, alert: Alert, now: Evaluation, before: Evaluation | None = None
) -> Finding | None:
    """What a breakdown says of an alert; None where it has no element that agrees with the alert's labels.

    ``before`` is the same expression a window earlier: what was a share then is said beside what it is now.
    """
    values = _values(now, alert)
    if breakdown.share_of:
        values = {labels: value for labels, value in values.items() if value > 0}
    if not values:
        return None
    sign = 1 if smallest_first(breakdown.expr) else -1
    ordered = sorted(values, key=lambda labels: (sign * values[labels], labels.pairs))
    was = {} if before is None else _shares(_values(before, alert))
    shares = _shares(values)
    lines = []
    for labels in ordered[:MOST_LINES]:
        said = (
            _share(breakdown, shares[labels], was, labels) if breakdown.share_of else _worth(breakdown, values[labels])
        )
        lines.append(": ".join(filter(None, (_name(labels, alert), said))) or breakdown.title)
    if len(ordered) > MOST_LINES:
        lines.append(f"and {len(ordered) - MOST_LINES} more")
    return Finding(name=breakdown.title, text="\n".join(lines))


def _values(evaluation: Evaluation, alert: Alert) -> dict[Labels, float]:
    """The values that are there, of the elements whose labels the alert does not contradict."""
    return {
        element.labels: element.value
        for element in evaluation.vector
        if isinstance(element.value, float)
        and math.isfinite(element.value)
        and all(alert.series.get(name, value) == value for name, value in element.labels.items() if name != METRIC_NAME)
    }


def _shares(values: Mapping[Labels, float]) -> dict[Labels, float]:
    total = sum(value for value in values.values() if value > 0)
    return {labels: max(0.0, value) / total for labels, value in values.items()} if total else {}


def _share(breakdown: Breakdown, share: float, was: Mapping[Labels, float], labels: Labels) -> str:
    text = f"{_percent(share)} of {breakdown.share_of}"
    # Where there was nothing at all before, nothing had a share of it.
    return f"{text}, was {_percent(was.get(labels, 0.0))}" if was else text


def _percent(share: float) -> str:
    return format_value(share, Unit.RATIO)


def _worth(breakdown: Breakdown, value: float) -> str:
    if breakdown.unit is Unit.STATE:
        return ""
    text = format_value(value, breakdown.unit)
    return f"{text} {breakdown.noun}" if breakdown.noun else text


def _name(labels: Labels, alert: Alert) -> str:
    """What tells an element from its siblings: the values of its labels, less those that the alert has too."""
    told = (value for name, value in labels.items() if name not in _SAID_ELSEWHERE and name not in alert.series)
    return " ".join(value for value in told if value)[:_NAME_LIMIT]
