"""Breakdowns: expressions of a rule that say what its alert is made of, such as the errors of each route.

annotations:
  otelmon_breakdown: |
    # Routes: share of the errors
    sum by (job, http_route) (increase(errors_total[5m] anchored))

    # Mounts: percent
    sort_desc(100 * disk_used_ratio)

An empty line parts them. The comment that heads one is its title; after a colon it says what the values are: a
``share of`` something (then the page shows each element's part of the whole, and what it was in the window before), a
unit (ratio, percent, milliseconds, seconds, bytes; with ``state`` only names are shown), or a word that is written
behind them. The largest come first, with ``sort`` or ``bottomk`` at the top the smallest. Only elements that agree with
the alert's labels count; a label that ``label_replace`` gives another name is not compared, which shows all siblings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from otelmon.document.fields import Problems
from otelmon.document.model import Scalar
from otelmon.errors import PromQLError
from otelmon.promql.analyze import lookback_seconds, walk
from otelmon.promql.ast import Aggregate, Binary, Call, Expr, MatrixSelector, Number, Paren, ValueType
from otelmon.promql.check import value_type
from otelmon.promql.durations import duration_seconds
from otelmon.promql.parse import parse
from otelmon.promql.supported import check_supported
from otelmon.rules.model import Breakdown, Unit
from otelmon.rules.spelling import prometheus_spelling
from otelmon.rules.tune import Tuning, quantiles_of, tuned

BREAKDOWN_ANNOTATION = "otelmon_breakdown"

_DEFAULT_TITLE = "Breakdown"
_MOST = 6
_PART = re.compile(r"[^\n]*\S[^\n]*(?:\n[^\n]*\S[^\n]*)*")
_HEADING = re.compile(r"[ \t]*#[ \t]*(?P<title>[^:\n]*?)[ \t]*(?::[ \t]*(?P<values>[^\n]*?))?[ \t]*(?:\n|$)")
_SHARE = "share of "


def read_breakdown(value: Scalar, problems: Problems, *, key: str, any_spelling: bool = False) -> tuple[Breakdown, ...]:
    """The breakdowns in a text; what is wrong is noted with its place. ``any_spelling`` takes OTel's names too."""
    found: list[Breakdown] = []
    for start, part in _parts(value.text):
        try:
            found.append(_read(part, any_spelling=any_spelling))
        except PromQLError as error:
            problems.add(value, error.message, key=key, place=value.place_at(start + error.start))
    if not found and not any(_parts(value.text)):
        problems.add(
            value, "no expression is written here", key=key, hint="write PromQL, headed by # Title: share of …"
        )
    if len(found) > _MOST:
        problems.add(value, f"{len(found)} breakdowns, at most {_MOST} are shown", key=key, hint="leave some out")
    return tuple(found)


def breakdown_text(breakdowns: Sequence[Breakdown]) -> str:
    """The breakdowns as the annotation has them."""
    return "\n\n".join(each.text for each in breakdowns) + "\n"


def adjusted(breakdowns: Sequence[Breakdown], tuning: Tuning, *, bound: float | None) -> tuple[Breakdown, ...]:
    """The breakdowns with a tuning of their rule: its windows, its quantile, and its limit wherever one compares with
    ``bound``, the limit that the rule had.
    """
    return tuple(_adjusted(each, tuning, bound) for each in breakdowns)


def smallest_first(expr: Expr) -> bool:
    """Whether an expression asks for its smallest values."""
    while isinstance(expr, Paren):
        expr = expr.expr
    return (isinstance(expr, Call) and expr.function == "sort") or (
        isinstance(expr, Aggregate) and expr.operator == "bottomk"
    )


def before_seconds(breakdown: Breakdown) -> float:
    """How much earlier it is asked what a share was before: its longest range; 0 where it shows no shares."""
    if not breakdown.share_of:
        return 0.0
    ranges = [duration_seconds(node.range) for node in walk(breakdown.expr) if isinstance(node, MatrixSelector)]
    return max(ranges, default=lookback_seconds(breakdown.expr))


def _parts(text: str) -> Iterator[tuple[int, str]]:
    """What stands between empty lines, and where it begins."""
    return ((match.start(), match.group()) for match in _PART.finditer(text))


def _read(text: str, *, any_spelling: bool) -> Breakdown:
    text = text.rstrip()
    expr = parse(text)
    check_supported(expr, text)
    if value_type(expr) not in (ValueType.VECTOR, ValueType.SCALAR):
        raise PromQLError("a breakdown needs a value a series", text=text, start=expr.start, end=expr.end)
    if any_spelling:
        spelled = prometheus_spelling(text)
        text, expr = spelled, parse(spelled)
    heading = _HEADING.match(text)
    title = heading["title"] if heading else ""
    values = (heading["values"] or "") if heading else ""
    made = Breakdown(title=title or _DEFAULT_TITLE, text=text, expr=expr)
    if values.startswith(_SHARE):
        return replace(made, share_of=values.removeprefix(_SHARE).strip() or "all")
    if values in set(Unit):
        return replace(made, unit=Unit(values))
    return replace(made, noun=values)


def _adjusted(breakdown: Breakdown, tuning: Tuning, bound: float | None) -> Breakdown:
    percentile = tuning.percentile if quantiles_of(breakdown.expr) else None
    wanted = Tuning(window_seconds=tuning.window_seconds, percentile=percentile)
    text = tuned(breakdown.text, breakdown.expr, wanted)
    expr = parse(text)
    if tuning.threshold is not None and bound is not None:
        for limit in sorted(_limits(expr, bound), key=lambda node: node.start, reverse=True):
            text = f"{text[: limit.start]}{tuning.threshold:.12g}{text[limit.end :]}"
        expr = parse(text)
    return replace(breakdown, text=text, expr=expr)


def _limits(expr: Expr, bound: float) -> list[Number]:
    """The numbers that something is compared with and that are the rule's limit."""
    compared = [
        node.right for node in walk(expr) if isinstance(node, Binary) and node.operator in (">", ">=", "<", "<=")
    ]
    return [node for node in compared if isinstance(node, Number) and node.value == bound]
