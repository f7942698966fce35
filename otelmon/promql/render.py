"""From a syntax tree to canonical text, whose tree is the same again.

One line, lower-case keywords, labels before an aggregation's arguments, ``@`` before ``offset``. Parentheses stand
where the tree has them; a tree that was built otherwise gets those that its meaning needs.
"""

from __future__ import annotations

from collections.abc import Iterable

from otelmon.labels import METRIC_NAME
from otelmon.promql.ast import (
    Aggregate,
    Binary,
    Call,
    Cardinality,
    Duration,
    DurationBinary,
    DurationCall,
    DurationUnary,
    Expr,
    Matcher,
    Matching,
    MatchOperator,
    MatrixSelector,
    Number,
    Paren,
    String,
    Subquery,
    Unary,
    VectorSelector,
)
from otelmon.promql.literals import (
    duration_text,
    is_legacy_label_name,
    is_legacy_metric_name,
    number_text,
    string_text,
)
from otelmon.promql.operators import POWER, PRECEDENCE, right_precedence
from otelmon.promql.selectors import RESERVED_METRIC_NAMES

# What binds more strongly than any operator, and what a sign in front binds like.
_TIGHTEST = POWER + 1
_SIGNED = PRECEDENCE["*"]


def render(expr: Expr) -> str:
    """The canonical text of an expression; ``parse(render(expr)) == expr`` for every tree that ``parse`` returned."""
    if isinstance(expr, Number):
        return _number(expr)
    if isinstance(expr, String):
        return string_text(expr.value)
    if isinstance(expr, Paren):
        return f"({render(expr.expr)})"
    if isinstance(expr, Unary):
        signed_again = isinstance(expr.expr, Unary)
        return f"{expr.operator}{render(expr.expr) if signed_again else _at_least(expr.expr, POWER)}"
    if isinstance(expr, Binary):
        return _binary(expr)
    if isinstance(expr, Call):
        return _call(expr)
    if isinstance(expr, Aggregate):
        return _aggregate(expr)
    if isinstance(expr, MatrixSelector):
        return f"{_selector(expr.selector)}[{_duration(expr.range)}]{_modifiers(expr.selector)}"
    if isinstance(expr, VectorSelector):
        return _selector(expr) + _modifiers(expr)
    step = "" if expr.step is None else _duration(expr.step)
    return f"{_at_least(expr.expr, _TIGHTEST)}[{_duration(expr.range)}:{step}]{_modifiers(expr)}"


def _number(number: Number) -> str:
    return duration_text(number.value) if number.is_duration else number_text(number.value)


def _strength(expr: Expr | Duration) -> int:
    """How strongly what an expression is rendered as holds together."""
    if isinstance(expr, Binary | DurationBinary):
        return PRECEDENCE[expr.operator]
    if isinstance(expr, Unary | DurationUnary) or (isinstance(expr, Number) and _number(expr).startswith("-")):
        return _SIGNED
    return _TIGHTEST


def _at_least(expr: Expr, strength: int) -> str:
    return render(expr) if _strength(expr) >= strength else f"({render(expr)})"


def _left_strength(operator: str) -> int:
    """How strongly the left operand must hold together to stand without parentheses."""
    return PRECEDENCE[operator] + (1 if operator == "^" else 0)


def _on_the_right(operator: str, operand: Expr | Duration) -> bool:
    """Whether an operand stands without parentheses to the right of an operator; a sign there is never mistaken."""
    if isinstance(operand, Binary | DurationBinary):
        return PRECEDENCE[operand.operator] >= right_precedence(operator)
    return True


def _call(expr: Call) -> str:
    arguments = [render(argument) for argument in expr.arguments]
    if expr.function == "info" and len(arguments) == 2 and isinstance(expr.arguments[1], VectorSelector):
        # Only here a metric's name must not stand in front of the braces.
        arguments[1] = _selector(expr.arguments[1], in_braces=True) + _modifiers(expr.arguments[1])
    return f"{expr.function}({', '.join(arguments)})"


def _binary(expr: Binary) -> str:
    left, right = render(expr.left), render(expr.right)
    if _strength(expr.left) < _left_strength(expr.operator):
        left = f"({left})"
    if not _on_the_right(expr.operator, expr.right):
        right = f"({right})"
    words = [left, expr.operator]
    if expr.returns_bool:
        words.append("bool")
    if expr.matching is not None:
        words += _matching(expr.matching)
    return " ".join([*words, right])


def _matching(matching: Matching) -> Iterable[str]:
    grouped = matching.cardinality in {Cardinality.MANY_TO_ONE, Cardinality.ONE_TO_MANY}
    if matching.on or matching.labels or grouped:
        yield f"{'on' if matching.on else 'ignoring'} {_labels(matching.labels)}"
    if grouped:
        word = "group_left" if matching.cardinality is Cardinality.MANY_TO_ONE else "group_right"
        yield f"{word} {_labels(matching.include)}"
    left, right = matching.fill_left, matching.fill_right
    if left is not None and right is not None and number_text(left) == number_text(right):
        yield f"fill ({number_text(left)})"
        return
    if left is not None:
        yield f"fill_left ({number_text(left)})"
    if right is not None:
        yield f"fill_right ({number_text(right)})"


def _aggregate(expr: Aggregate) -> str:
    arguments = render(expr.expr) if expr.parameter is None else f"{render(expr.parameter)}, {render(expr.expr)}"
    if not expr.grouping and not expr.without:
        return f"{expr.operator}({arguments})"
    return f"{expr.operator} {'without' if expr.without else 'by'} {_labels(expr.grouping)} ({arguments})"


def _labels(names: tuple[str, ...]) -> str:
    return f"({', '.join(_label(name) for name in names)})"


def _label(name: str) -> str:
    # Inf and NaN are numbers wherever labels are listed, and ``without`` is refused there.
    bare = is_legacy_label_name(name) and name.lower() not in {"inf", "nan", "without", "anchored", "smoothed"}
    return name if bare else string_text(name)


def _selector(selector: VectorSelector, *, in_braces: bool = False) -> str:
    name = selector.name
    matchers = list(selector.matchers)
    if name:
        matchers.remove(Matcher(name=METRIC_NAME, operator=MatchOperator.EQUAL, value=name))
    in_front = (
        not in_braces
        and is_legacy_metric_name(name)
        and name.lower() not in RESERVED_METRIC_NAMES
        and not any(matcher.name == METRIC_NAME for matcher in matchers)
    )
    inner = [f"{_label(matcher.name)}{matcher.operator}{string_text(matcher.value)}" for matcher in matchers]
    if in_front:
        return f"{name}{{{', '.join(inner)}}}" if inner else name
    if name:
        inner.insert(0, string_text(name))
    return f"{{{', '.join(inner)}}}"


def _modifiers(node: VectorSelector | Subquery) -> str:
    text = ""
    if isinstance(node, VectorSelector) and node.range_modifier:
        text += f" {node.range_modifier}"
    if isinstance(node.at, str):
        text += f" @ {node.at}()"
    elif node.at is not None:
        text += f" @ {number_text(node.at)}"
    if node.offset is not None:
        offset = _duration(node.offset)
        text += f" offset ({offset})" if isinstance(node.offset, DurationBinary) else f" offset {offset}"
    return text


def _duration(duration: Duration) -> str:
    if isinstance(duration, Number):
        return _number(duration)
    if isinstance(duration, DurationUnary):
        # After offset a sign takes no operator with it, so what is computed always stands in parentheses.
        operand = _duration(duration.operand)
        return (
            f"{duration.operator}({operand})"
            if isinstance(duration.operand, DurationBinary)
            else (duration.operator + operand)
        )
    if isinstance(duration, DurationCall):
        name = {"min": "min_of", "max": "max_of"}.get(duration.function, duration.function)
        return f"{name}({', '.join(_duration(argument) for argument in duration.arguments)})"
    left, right = _duration(duration.left), _duration(duration.right)
    if _strength(duration.left) < _left_strength(duration.operator):
        left = f"({left})"
    if not _on_the_right(duration.operator, duration.right):
        right = f"({right})"
    return f"{left} {duration.operator} {right}"
