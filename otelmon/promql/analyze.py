"""What an expression says without being evaluated: how far it looks back, its condition, what it selects."""

from __future__ import annotations

from collections.abc import Iterator

from otelmon.labels import METRIC_NAME
from otelmon.promql.ast import (
    Aggregate,
    Binary,
    Call,
    Expr,
    Matcher,
    MatchOperator,
    MatrixSelector,
    Number,
    Paren,
    Subquery,
    Unary,
    VectorSelector,
)
from otelmon.promql.durations import arithmetic, duration_seconds
from otelmon.promql.evaluation import Condition
from otelmon.promql.operators import COMPARISONS

LOOKBACK_DELTA_SECONDS = 300.0
"""How old a series' last sample may be for an instant selector to still see it (Prometheus's default)."""

_FLIPPED = {">": "<", ">=": "<=", "<": ">", "<=": ">=", "==": "==", "!=": "!="}
_ARITHMETIC = frozenset("+-*/%^")


def children(expr: Expr) -> tuple[Expr, ...]:
    """The expressions directly within an expression, in the order of the text."""
    if isinstance(expr, Binary):
        return (expr.left, expr.right)
    if isinstance(expr, Paren | Unary | Subquery):
        return (expr.expr,)
    if isinstance(expr, Call):
        return expr.arguments
    if isinstance(expr, Aggregate):
        return (expr.expr,) if expr.parameter is None else (expr.parameter, expr.expr)
    if isinstance(expr, MatrixSelector):
        return (expr.selector,)
    return ()


def walk(expr: Expr) -> Iterator[Expr]:
    """The expression and all expressions within it, outer before inner, in the order of the text."""
    yield expr
    for child in children(expr):
        yield from walk(child)


def selectors(expr: Expr) -> tuple[VectorSelector, ...]:
    """The selectors of an expression, in the order of the text; those of ranges too, and that of info()."""
    if isinstance(expr, VectorSelector):
        return (expr,)
    if isinstance(expr, Call) and expr.function == "info":
        return (*selectors(expr.arguments[0]), info_selector(expr))
    return tuple(selector for child in children(expr) for selector in selectors(child))


def info_selector(node: Call) -> VectorSelector:
    """The info metrics that a call of info() looks at: those that its second argument selects, else target_info."""
    given = node.arguments[1] if len(node.arguments) > 1 else None
    matchers = given.matchers if isinstance(given, VectorSelector) else ()
    if not any(matcher.name == METRIC_NAME for matcher in matchers):
        matchers = (Matcher(name=METRIC_NAME, operator=MatchOperator.EQUAL, value="target_info"), *matchers)
    return VectorSelector(name="", matchers=matchers, start=node.start, end=node.end)


def metric_names(expr: Expr) -> tuple[str, ...]:
    """The metrics that an expression selects by their exact names, each once, in the order of the text."""
    names: dict[str, None] = {}
    for selector in selectors(expr):
        for matcher in selector.matchers:
            if matcher.name == METRIC_NAME and matcher.operator is MatchOperator.EQUAL and matcher.value:
                names[matcher.value] = None
    return tuple(names)


def lookback_seconds(expr: Expr, *, step_seconds: float = 0.0) -> float:
    """How many seconds before the instant of evaluation its selectors reach; 0 where it selects nothing.

    An instant selector reaches ``LOOKBACK_DELTA_SECONDS`` back, a range its length; offsets and subqueries add to it.
    ``@ start()`` and ``@ end()`` are the instant of evaluation itself, also within a subquery. A fixed ``@ 1700000000``
    recedes for ever, so that no retention serves it: it is counted as if it were the instant of evaluation.
    ``step_seconds`` is what ``step()`` stands for in duration expressions.
    """
    return max((seconds for _, seconds in lookbacks(expr, step_seconds=step_seconds)), default=0.0)


def lookbacks(expr: Expr, *, step_seconds: float = 0.0) -> Iterator[tuple[VectorSelector, float]]:
    """Each selector with how many seconds it reaches back, as :func:`lookback_seconds` counts them."""
    for selector, seconds in _reach(expr, 0.0, step_seconds):
        yield selector, max(0.0, seconds)


def _reach(expr: Expr, back: float, step: float) -> Iterator[tuple[VectorSelector, float]]:
    """How far the selectors reach where the expression itself is evaluated ``back`` seconds before the instant."""
    if isinstance(expr, MatrixSelector):
        length = duration_seconds(expr.range, step_seconds=step)
        if expr.selector.range_modifier:
            length += LOOKBACK_DELTA_SECONDS  # they ask for the sample before the range as well
        yield expr.selector, _shifted(expr.selector, back, step) + length
    elif isinstance(expr, VectorSelector):
        yield expr, _shifted(expr, back, step) + LOOKBACK_DELTA_SECONDS
    elif isinstance(expr, Subquery):
        begins = _shifted(expr, back, step) + duration_seconds(expr.range, step_seconds=step)
        yield from _reach(expr.expr, begins, step)
    else:
        for child in children(expr):
            yield from _reach(child, back, step)


def _shifted(node: VectorSelector | Subquery, back: float, step: float) -> float:
    start = back if node.at is None else 0.0
    return start if node.offset is None else start + duration_seconds(node.offset, step_seconds=step)


def condition(expr: Expr) -> Condition | None:
    """The comparison with a constant at the top of an expression, also through parentheses.

    For ``a > 1 and b`` and ``a > 1 unless b`` it is that of the left side; ``1 < a`` reads as ``a > 1``. None for
    ``or``, ``bool``, a bound that is not constant, and whatever is no comparison.
    """
    expr = _bare(expr)
    if not isinstance(expr, Binary):
        return None
    if expr.operator in {"and", "unless"}:
        return condition(expr.left)
    if expr.operator not in COMPARISONS or expr.returns_bool or expr.matching is not None:
        return None
    right = constant(expr.right)
    if right is not None:
        return Condition(measure=_bare(expr.left), operator=expr.operator, bound=right)
    left = constant(expr.left)
    if left is not None:
        return Condition(measure=_bare(expr.right), operator=_FLIPPED[expr.operator], bound=left)
    return None


def constant(expr: Expr) -> float | None:
    """The value of a scalar made of numbers only, such as ``5 * 60``; None for any other expression."""
    expr = _bare(expr)
    if isinstance(expr, Number):
        return expr.value
    if isinstance(expr, Unary):
        value = constant(expr.expr)
        return -value if value is not None and expr.operator == "-" else value
    if isinstance(expr, Binary) and expr.operator in _ARITHMETIC:
        left, right = constant(expr.left), constant(expr.right)
        return None if left is None or right is None else arithmetic(expr.operator, left, right)
    return None


def _bare(expr: Expr) -> Expr:
    while isinstance(expr, Paren):
        expr = expr.expr
    return expr
