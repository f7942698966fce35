"""Types: what an expression evaluates to, and whether its parts fit (Prometheus, ``parse.go`` checkAST)."""

from __future__ import annotations

import difflib

from otelmon.promql.ast import (
    Aggregate,
    Binary,
    Call,
    Cardinality,
    Expr,
    Matching,
    MatrixSelector,
    Number,
    Paren,
    String,
    Subquery,
    Unary,
    ValueType,
    VectorSelector,
)
from otelmon.promql.lex import Cursor, Token
from otelmon.promql.operators import COMPARISONS, SET_OPERATORS, TRIMS
from otelmon.promql.signatures import AGGREGATIONS, FUNCTIONS, RENAMED, Signature

TYPE_WORDS: dict[ValueType, str] = {
    ValueType.SCALAR: "scalar",
    ValueType.STRING: "string",
    ValueType.VECTOR: "instant vector",
    ValueType.MATRIX: "range vector",
}
"""What Prometheus's documentation calls the types."""

_NUMERIC = frozenset({ValueType.SCALAR, ValueType.VECTOR})
# Prometheus refuses these at evaluation; here the rule is refused when it is loaded.
_RANGE_MODIFIED = {
    "anchored": frozenset({"changes", "delta", "increase", "rate", "resets"}),
    "smoothed": frozenset({"delta", "increase", "rate"}),
}


def value_type(expr: Expr) -> ValueType:
    """What an expression evaluates to."""
    while isinstance(expr, Paren | Unary):
        expr = expr.expr
    if isinstance(expr, Binary):
        return ValueType.SCALAR if expr.matching is None and _all_scalar(expr) else ValueType.VECTOR
    if isinstance(expr, Call):
        return FUNCTIONS[expr.function].returns
    if isinstance(expr, Number):
        return ValueType.SCALAR
    if isinstance(expr, String):
        return ValueType.STRING
    if isinstance(expr, MatrixSelector | Subquery):
        return ValueType.MATRIX
    return ValueType.VECTOR


def _all_scalar(expr: Binary) -> bool:
    # Not by recursion: a tree under construction may be higher than the interpreter's stack.
    open_sides: list[Expr] = [expr]
    while open_sides:
        side = open_sides.pop()
        if isinstance(side, Binary):
            open_sides += (side.left, side.right)
        elif isinstance(side, Paren | Unary):
            open_sides.append(side.expr)
        elif value_type(side) is not ValueType.SCALAR:
            return False
    return True


def checked_unary(cursor: Cursor, operator: Token, operand: Expr) -> Expr:
    """A sign before an expression; before a number it is the number's own."""
    if isinstance(operand, Number):
        value = -operand.value if operator.text == "-" else operand.value
        return Number(value=value, is_duration=operand.is_duration, start=operator.start, end=operand.end)
    found = value_type(operand)
    if found not in _NUMERIC:
        raise cursor.error(
            "unary expression only allowed on expressions of type scalar or instant vector, "
            f"got {TYPE_WORDS[found]}{_instead(found)}",
            operand.start,
            operand.end,
        )
    return Unary(operator=operator.text, expr=operand, start=operator.start, end=operand.end)


def checked_binary(
    cursor: Cursor,
    left: Expr,
    operator: Token,
    right: Expr,
    *,
    types: tuple[ValueType, ValueType],
    returns_bool: bool,
    matching: Matching | None,
) -> Binary:
    """``left operator right`` of these ``types``; ``matching`` is None where nothing was written about it."""
    name = operator.word or operator.text
    place = operator.start, operator.end
    if returns_bool and name not in COMPARISONS:
        raise cursor.error("bool modifier can only be used on comparison operators; leave it out", *place)
    for side, found in zip((left, right), types, strict=True):
        if found not in _NUMERIC:
            raise cursor.error(
                f"binary expression must contain only scalar and instant vector types, got {TYPE_WORDS[found]}"
                f"{_instead(found)}",
                side.start,
                side.end,
            )
    scalars = types.count(ValueType.SCALAR)
    if scalars == 2:
        if name in COMPARISONS and not returns_bool:
            raise cursor.error(f"comparisons between scalars must use BOOL modifier; write {name} bool", *place)
        if name in TRIMS:
            raise cursor.error(
                f"operator {name} not allowed between scalars; it cuts the buckets of a histogram", *place
            )
    if scalars and name in SET_OPERATORS:
        raise cursor.error(
            f"set operator {name} not allowed in binary scalar expression; write vector(...) around the scalar", *place
        )
    if scalars:
        _check_no_matching(cursor, matching, place)
        matching = None
    else:
        matching = _checked_matching(cursor, name, matching or Matching(), place)
    return Binary(
        operator=name,
        left=left,
        right=right,
        returns_bool=returns_bool,
        matching=matching,
        start=left.start,
        end=right.end,
    )


def _check_no_matching(cursor: Cursor, matching: Matching | None, place: tuple[int, int]) -> None:
    # Prometheus lets on() and ignoring() without labels pass, whatever group_left includes, and then forgets them.
    if matching is None:
        return
    if matching.labels:
        raise cursor.error("vector matching only allowed between instant vectors; leave it out", *place)
    if matching.fill_left is not None or matching.fill_right is not None:
        raise cursor.error("filling in missing series only allowed between instant vectors; leave it out", *place)


def _checked_matching(cursor: Cursor, operator: str, matching: Matching, place: tuple[int, int]) -> Matching:
    if matching.on:
        for label in matching.labels:
            if label in matching.include:
                raise cursor.error(f"label {label!r} must not occur in ON and GROUP clause at once", *place)
    if operator not in SET_OPERATORS:
        return matching
    if matching.cardinality is not Cardinality.ONE_TO_ONE:
        raise cursor.error(
            f"no grouping allowed for {operator!r} operation; leave group_left or group_right out", *place
        )
    if matching.fill_left is not None or matching.fill_right is not None:
        raise cursor.error(f"filling in missing series not allowed for {operator!r} operation; leave it out", *place)
    return Matching(cardinality=Cardinality.MANY_TO_MANY, on=matching.on, labels=matching.labels)


def function_of(cursor: Cursor, name: Token) -> Signature:
    """The signature of the function of this name, which must be one."""
    if (found := FUNCTIONS.get(name.text)) is not None:
        return found
    meant = RENAMED.get(name.text) or next(
        iter(difflib.get_close_matches(name.word, [*FUNCTIONS, *AGGREGATIONS], n=1, cutoff=0.75)), None
    )
    hint = f"; did you mean {meant}?" if meant else ""
    raise cursor.error(f"unknown function with name {name.text!r}{hint}", name.start, name.end)


def checked_call(cursor: Cursor, signature: Signature, arguments: tuple[Expr, ...], start: int, end: int) -> Call:
    """A call of a function."""
    name, given = signature.name, len(arguments)
    if signature.variadic == 0 and given != signature.fewest:
        raise cursor.error(f"expected {signature.fewest} argument(s) in call to {name!r}, got {given}", start, end)
    if given < signature.fewest:
        raise cursor.error(
            f"expected at least {signature.fewest} argument(s) in call to {name!r}, got {given}", start, end
        )
    if signature.most is not None and given > signature.most:
        raise cursor.error(
            f"expected at most {signature.most} argument(s) in call to {name!r}, got {given}", start, end
        )
    for index, argument in enumerate(arguments):
        expect_type(cursor, argument, signature.argument_type(index), where=f"call to function {name!r}")
        _check_range_modifier(cursor, name, argument)
    if name == "info" and given == 2:
        _check_data_selector(cursor, arguments[1])
    return Call(function=name, arguments=arguments, start=start, end=end)


def _check_data_selector(cursor: Cursor, selector: Expr) -> None:
    if not isinstance(selector, VectorSelector) or not cursor.text.startswith("{", selector.start):
        raise cursor.error(
            "expected label selectors only as the second argument of 'info', such as {k8s_cluster_name=~\".+\"}; "
            "the metric is selected there by its label __name__",
            selector.start,
            selector.end,
        )


def _check_range_modifier(cursor: Cursor, function: str, argument: Expr) -> None:
    if isinstance(argument, MatrixSelector) and (modifier := argument.selector.range_modifier):
        allowed = _RANGE_MODIFIED[modifier]
        if function not in allowed:
            raise cursor.error(
                f"{modifier} modifier can only be used with: {', '.join(sorted(allowed))} - not with {function}",
                argument.start,
                argument.end,
            )


def checked_aggregate(
    cursor: Cursor, operator: Token, arguments: tuple[Expr, ...], labels: tuple[str, ...], *, without: bool, end: int
) -> Aggregate:
    """An aggregation; its parameter comes first among the arguments."""
    parameter_type = AGGREGATIONS[operator.word]
    expected = 1 if parameter_type is None else 2
    if not arguments:
        raise cursor.error(f"no arguments for aggregate expression {operator.word!r} provided", operator.start, end)
    if len(arguments) != expected:
        raise cursor.error(
            f"wrong number of arguments for aggregate expression {operator.word!r} provided, "
            f"expected {expected}, got {len(arguments)}",
            operator.start,
            end,
        )
    if parameter_type is not None:
        expect_type(cursor, arguments[0], parameter_type, where=f"aggregation parameter of {operator.word!r}")
    expect_type(cursor, arguments[-1], ValueType.VECTOR, where=f"aggregation expression {operator.word!r}")
    return Aggregate(
        operator=operator.word,
        expr=arguments[-1],
        parameter=None if parameter_type is None else arguments[0],
        grouping=labels,
        without=without,
        start=operator.start,
        end=end,
    )


def expect_type(cursor: Cursor, expr: Expr, expected: ValueType, *, where: str) -> None:
    """Refuse an expression that is not of the expected type; ``where`` says what asks for it."""
    found = value_type(expr)
    if found is expected:
        return
    hint = ""
    if expected is ValueType.MATRIX and found is ValueType.VECTOR:
        source = cursor.text[expr.start : expr.end]
        hint = f"; write a range, such as {_short(source)}[5m{'' if isinstance(expr, VectorSelector) else ':'}]"
    elif expected is ValueType.VECTOR and found is ValueType.MATRIX:
        hint = _instead(found)
    elif expected is ValueType.VECTOR and found is ValueType.SCALAR:
        hint = "; write vector(...) around it"
    elif expected is ValueType.SCALAR and found is ValueType.VECTOR:
        hint = "; write a number, or scalar(...) around it"
    elif expected is ValueType.STRING:
        hint = "; write it between quotes"
    raise cursor.error(
        f"expected type {TYPE_WORDS[expected]} in {where}, got {TYPE_WORDS[found]}{hint}", expr.start, expr.end
    )


def _instead(found: ValueType) -> str:
    if found is ValueType.MATRIX:
        return "; make one value of the range, such as rate(...[5m]) or max_over_time(...[5m])"
    return ""


def _short(source: str) -> str:
    return source if len(source) <= 40 else "(...)"
