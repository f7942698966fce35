"""What of PromQL is evaluated; the rest is refused when a rule is loaded. Imports no numpy."""

from __future__ import annotations

from otelmon.automaton import doubles
from otelmon.errors import PromQLError
from otelmon.promql.analyze import walk
from otelmon.promql.ast import Aggregate, Binary, Call, Expr, Matching, String, VectorSelector
from otelmon.promql.signatures import AGGREGATIONS, FUNCTIONS
from otelmon.re2 import RegexError, read

NOT_EVALUATED = frozenset({"info", "start_timestamp"})
"""Functions of Prometheus 3 that are parsed but not evaluated."""


def check_supported(expr: Expr, text: str) -> None:
    """Raise PromQLError, with the place in ``text``, for the first thing that would not be evaluated."""
    for node in walk(expr):
        problem = _problem(node)
        if problem is not None:
            raise PromQLError(problem, text=text, start=node.start, end=node.end)


def _problem(node: Expr) -> str | None:
    if isinstance(node, Call) and (node.function in NOT_EVALUATED or node.function not in FUNCTIONS):
        return f"{node.function}() is not evaluated by otelmon yet"
    if isinstance(node, Call) and node.function == "label_replace" and _nested(node.arguments[-1]):
        return "the pattern of this label_replace() has nested repetitions; write one, such as a+ for (a+)+"
    if isinstance(node, Aggregate) and node.operator not in AGGREGATIONS:
        return f"{node.operator} is not evaluated by otelmon yet"
    if isinstance(node, VectorSelector) and node.range_modifier:
        return f"the modifier {node.range_modifier} is not evaluated by otelmon yet"
    if isinstance(node, Binary) and node.matching is not None and _fills(node.matching):
        return "fill modifiers are not evaluated by otelmon yet"
    return None


def _nested(pattern: Expr) -> bool:
    """Whether finding the groups of a pattern could take for ever; one that is no pattern is told of elsewhere."""
    try:
        return isinstance(pattern, String) and doubles(read(pattern.value))
    except RegexError:
        return False


def _fills(matching: Matching) -> bool:
    return matching.fill_left is not None or matching.fill_right is not None
