"""From the text of an expression to its syntax tree, the whole grammar of Prometheus 3.

A hand-written precedence-climbing parser over the tokens of ``lex``; ``selectors`` and ``durations`` read their parts,
``check`` builds the typed nodes. Features that Prometheus keeps behind flags (duration expressions, ``anchored`` and
``smoothed``, fill modifiers, experimental functions) are part of the language here.
"""

from __future__ import annotations

import math
from dataclasses import replace

from otelmon.errors import PromQLError
from otelmon.promql import check
from otelmon.promql.analyze import children
from otelmon.promql.ast import (
    Aggregate,
    Cardinality,
    Expr,
    Matching,
    MatrixSelector,
    Number,
    Paren,
    String,
    Subquery,
    ValueType,
    VectorSelector,
)
from otelmon.promql.durations import read_number, read_offset, read_range
from otelmon.promql.lex import Cursor, Token, TokenKind
from otelmon.promql.operators import POWER, PRECEDENCE, WORD_OPERATORS, right_precedence
from otelmon.promql.selectors import RESERVED_METRIC_NAMES, read_label_names, read_selector, read_string
from otelmon.promql.signatures import AGGREGATIONS

MAX_HEIGHT = 200
"""The height of the tallest tree that is accepted; whoever walks a tree may recurse."""

_MAX_INSTANT_SECONDS = 2**63 / 1000
_NO_FUNCTIONS = frozenset(
    {"and", "or", "unless", "by", "without", "offset", "anchored", "smoothed", "fill", "fill_left", "fill_right"}
)


def parse(text: str) -> Expr:
    """The syntax tree of an expression, its types checked.

    Raises PromQLError, with the exact place, for whatever Prometheus refuses, and for an expression that nests more
    than ``lex.MAX_DEPTH`` deep or whose tree is higher than ``MAX_HEIGHT``.
    """
    cursor = Cursor(text)
    if cursor.ended:
        raise cursor.error("no expression found in input; write one such as up == 0", 0, len(text))
    expr = _read_expr(cursor, 0)
    if not cursor.ended:
        raise _left_over(cursor)
    _check_height(cursor, expr)
    return expr


def _check_height(cursor: Cursor, expr: Expr) -> None:
    level: list[Expr] = [expr]
    for _ in range(MAX_HEIGHT):
        level = [child for node in level for child in children(node)]
        if not level:
            return
    raise cursor.error(
        f"expression is more than {MAX_HEIGHT} levels high; split it into recording rules", 0, len(cursor.text)
    )


def _left_over(cursor: Cursor) -> PromQLError:
    token = cursor.peek
    if token.text == "=" and token.kind is TokenKind.SIGN:
        return cursor.unexpected("equality is written ==")
    if token.text in {"=~", "!~"} and token.kind is TokenKind.SIGN:
        return cursor.unexpected('a regular expression stands in braces, such as metric{label=~"a|b"}')
    if token.word in {"by", "without"}:
        return cursor.unexpected("it belongs to an aggregation, such as sum by (job) (...)")
    if token.word in {"on", "ignoring", "group_left", "group_right", "bool"}:
        return cursor.unexpected(f"{token.word} stands right after a binary operator")
    return cursor.unexpected("expected an operator or the end of the expression")


def _read_expr(cursor: Cursor, lowest: int) -> Expr:
    """An expression of operators that bind at least as strongly as ``lowest``."""
    cursor.enter()
    left = _read_unary(cursor)
    left_type = check.value_type(left)
    while True:
        operator = cursor.peek
        precedence = _precedence(operator)
        if precedence is None or precedence < lowest:
            break
        cursor.take()
        returns_bool, matching = _read_binary_modifiers(cursor)
        right = _read_expr(cursor, right_precedence(operator.word or operator.text))
        types = left_type, check.value_type(right)
        left = check.checked_binary(
            cursor, left, operator, right, types=types, returns_bool=returns_bool, matching=matching
        )
        # Kept, not asked of the tree again: reading a long chain stays linear.
        left_type = ValueType.VECTOR if ValueType.VECTOR in types else ValueType.SCALAR
    cursor.leave()
    return left


def _precedence(token: Token) -> int | None:
    if token.kind is TokenKind.SIGN:
        return PRECEDENCE.get(token.text)
    return PRECEDENCE[token.word] if token.word in WORD_OPERATORS else None


def _read_unary(cursor: Cursor) -> Expr:
    if cursor.at_sign("-") or cursor.at_sign("+"):
        operator = cursor.take()
        return check.checked_unary(cursor, operator, _read_expr(cursor, POWER))
    return _read_modified(cursor, _read_primary(cursor))


def _read_primary(cursor: Cursor) -> Expr:
    token = cursor.peek
    if token.kind in {TokenKind.NUMBER, TokenKind.DURATION} or token.word in {"inf", "nan"}:
        return read_number(cursor)
    if token.kind is TokenKind.STRING:
        value = read_string(cursor)
        return String(value=value, start=token.start, end=token.end)
    if cursor.at_sign("("):
        return _read_paren(cursor)
    if cursor.at_sign("{"):
        return read_selector(cursor)
    if token.kind is TokenKind.WORD:
        return _read_named(cursor, token)
    raise cursor.unexpected("expected an expression, such as a metric's name, a number or a function call")


def _read_named(cursor: Cursor, token: Token) -> Expr:
    following = cursor.following
    opens = following.text == "(" and following.kind is TokenKind.SIGN
    if token.word in AGGREGATIONS and (opens or following.word in {"by", "without"}):
        return _read_aggregate(cursor)
    if token.word in RESERVED_METRIC_NAMES:
        raise cursor.unexpected(f'expected an expression; a metric of this name is written {{"{token.text}"}}')
    if opens and token.word not in _NO_FUNCTIONS:
        return _read_call(cursor)
    return read_selector(cursor)


def _read_paren(cursor: Cursor) -> Paren:
    start = cursor.take().start
    inner = _read_expr(cursor, 0)
    end = _close(cursor, start).end
    return Paren(expr=inner, start=start, end=end)


def _close(cursor: Cursor, opened_at: int) -> Token:
    if cursor.ended:
        raise cursor.error("unclosed left parenthesis; write ) where it ends", opened_at, opened_at + 1)
    return cursor.expect_sign(")", where="or an operator")


def _read_call(cursor: Cursor) -> Expr:
    name = cursor.take()
    signature = check.function_of(cursor, name)
    arguments = _read_arguments(cursor, data_selector_second=name.text == "info")
    return check.checked_call(cursor, signature, arguments, name.start, cursor.last_end)


def _read_arguments(cursor: Cursor, *, data_selector_second: bool = False) -> tuple[Expr, ...]:
    """Expressions in parentheses; the second argument of info() is a selector that may match every series."""
    opening = cursor.expect_sign("(", where="before the arguments")
    arguments: list[Expr] = []
    if cursor.skip_sign(")"):
        return ()
    while True:
        if data_selector_second and len(arguments) == 1 and cursor.at_sign("{"):
            arguments.append(_read_modified(cursor, read_selector(cursor, may_match_all=True)))
        else:
            arguments.append(_read_expr(cursor, 0))
        comma = cursor.peek
        if not cursor.skip_sign(","):
            break
        if cursor.at_sign(")"):
            raise cursor.error(
                "trailing commas not allowed in function call args; leave it out", comma.start, comma.end
            )
    _close(cursor, opening.start)
    return tuple(arguments)


def _read_aggregate(cursor: Cursor) -> Aggregate:
    operator = cursor.take()
    grouping = _read_grouping(cursor)
    if not cursor.at_sign("("):
        raise cursor.unexpected(f"expected ( with what {operator.word} aggregates")
    arguments = _read_arguments(cursor)
    if grouping is None:
        grouping = _read_grouping(cursor)
    elif cursor.peek.word in {"by", "without"}:
        raise cursor.unexpected("the labels of an aggregation are given once")
    without, labels = grouping or (False, ())
    return check.checked_aggregate(cursor, operator, arguments, labels, without=without, end=cursor.last_end)


def _read_grouping(cursor: Cursor) -> tuple[bool, tuple[str, ...]] | None:
    if cursor.peek.word not in {"by", "without"}:
        return None
    word = cursor.take().word
    return word == "without", read_label_names(cursor, after=word)


def _read_binary_modifiers(cursor: Cursor) -> tuple[bool, Matching | None]:
    """``bool``, ``on`` or ``ignoring``, ``group_left`` or ``group_right``, fill values: each may be left out."""
    returns_bool = cursor.peek.word == "bool"
    if returns_bool:
        cursor.take()
    matching: Matching | None = None
    if cursor.peek.word in {"on", "ignoring"}:
        word = cursor.take().word
        matching = Matching(on=word == "on", labels=read_label_names(cursor, after=word))
        if cursor.peek.word in {"group_left", "group_right"}:
            word = cursor.take().word
            cardinality = Cardinality.MANY_TO_ONE if word == "group_left" else Cardinality.ONE_TO_MANY
            include = read_label_names(cursor, after=word) if cursor.at_sign("(") else ()
            matching = replace(matching, cardinality=cardinality, include=include)
    elif cursor.peek.word in {"group_left", "group_right"}:
        raise cursor.unexpected(f"expected on(...) or ignoring(...) before {cursor.peek.word}")
    return returns_bool, _read_fills(cursor, matching)


def _read_fills(cursor: Cursor, matching: Matching | None) -> Matching | None:
    left: float | None = None
    right: float | None = None
    while cursor.peek.word in {"fill", "fill_left", "fill_right"} and cursor.following.text == "(":
        word = cursor.peek
        if (left is not None and word.word != "fill_right") or (right is not None and word.word != "fill_left"):
            raise cursor.error(
                f"unexpected {word.text}: missing series are filled in once on each side", word.start, word.end
            )
        cursor.take()
        cursor.take()
        value = _read_signed_number(cursor, expectation=f"expected a number in {word.word}(...)").value
        cursor.expect_sign(")", where=f"after the number of {word.word}")
        left = value if word.word != "fill_right" else left
        right = value if word.word != "fill_left" else right
    if left is None and right is None:
        return matching
    return replace(matching or Matching(), fill_left=left, fill_right=right)


def _read_signed_number(cursor: Cursor, *, expectation: str) -> Number:
    start = cursor.peek.start
    sign = cursor.take().text if cursor.at_sign("-") or cursor.at_sign("+") else "+"
    token = cursor.peek
    if token.kind not in {TokenKind.NUMBER, TokenKind.DURATION} and token.word not in {"inf", "nan"}:
        raise cursor.unexpected(expectation)
    number = read_number(cursor)
    return replace(number, value=-number.value if sign == "-" else number.value, start=start)


def _read_modified(cursor: Cursor, expr: Expr) -> Expr:
    """The expression with whatever follows it directly: a range, offset, @, anchored or smoothed."""
    while True:
        if cursor.at_sign("["):
            expr = _read_range(cursor, expr)
        elif cursor.at_sign("@"):
            expr = _read_at(cursor, expr)
        elif cursor.peek.word == "offset":
            expr = _read_offset(cursor, expr)
        elif cursor.peek.word in {"anchored", "smoothed"}:
            expr = _read_range_modifier(cursor, expr)
        else:
            return expr


def _read_range(cursor: Cursor, expr: Expr) -> Expr:
    bracket = cursor.take()
    length = read_range(cursor, what="range")
    if cursor.skip_sign(":"):
        step = None if cursor.at_sign("]") else read_range(cursor, what="subquery step")
        end = cursor.expect_sign("]", where="after the step").end
        if (found := check.value_type(expr)) is not ValueType.VECTOR:
            words = check.TYPE_WORDS[found]
            raise cursor.error(f"subquery is only allowed on instant vector, got {words} instead", expr.start, expr.end)
        return Subquery(expr=expr, range=length, step=step, start=expr.start, end=end)
    end = cursor.expect_sign("]", where="or : after the range").end
    if not isinstance(expr, VectorSelector):
        hint = "; write a subquery, [5m:]" if check.value_type(expr) is ValueType.VECTOR else ""
        raise cursor.error(f"ranges only allowed for vector selectors{hint}", bracket.start, end)
    if expr.range_modifier:
        raise cursor.error(
            f"no {expr.range_modifier} modifier allowed before range; write it after", bracket.start, end
        )
    if expr.offset is not None:
        raise cursor.error(
            "no offset modifiers allowed before range; write the range before offset", bracket.start, end
        )
    if expr.at is not None:
        raise cursor.error("no @ modifiers allowed before range; write the range before @", bracket.start, end)
    return MatrixSelector(selector=expr, range=length, start=expr.start, end=end)


def _read_offset(cursor: Cursor, expr: Expr) -> Expr:
    word = cursor.take()
    offset = read_offset(cursor)
    target = _modified(cursor, expr, word)
    if target.offset is not None:
        raise cursor.error("offset may not be set multiple times", word.start, offset.end)
    return _with(expr, replace(target, offset=offset, end=cursor.last_end))


def _read_at(cursor: Cursor, expr: Expr) -> Expr:
    sign = cursor.take()
    at: float | str
    if cursor.peek.word in {"start", "end"}:
        at = cursor.take().word
        cursor.expect_sign("(", where=f"after @ {at}")
        cursor.expect_sign(")", where=f"after @ {at}(")
    else:
        number = _read_signed_number(cursor, expectation="expected unix seconds, start() or end() after @")
        if not math.isfinite(number.value) or abs(number.value) >= _MAX_INSTANT_SECONDS:
            raise cursor.error("timestamp out of bounds for @ modifier; write unix seconds", number.start, number.end)
        at = math.copysign(math.floor(abs(number.value) * 1000 + 0.5) / 1000, number.value)
    target = _modified(cursor, expr, sign)
    if target.at is not None:
        raise cursor.error("@ <timestamp> may not be set multiple times", sign.start, cursor.last_end)
    return _with(expr, replace(target, at=at, end=cursor.last_end))


def _read_range_modifier(cursor: Cursor, expr: Expr) -> Expr:
    word = cursor.take()
    if isinstance(expr, Subquery):
        raise cursor.error(f"{word.word} modifier is not supported for subqueries", word.start, word.end)
    target = _modified(cursor, expr, word)
    if isinstance(target, Subquery):
        raise TypeError("a subquery was refused above")
    if target.range_modifier:
        problem = (
            f"{word.word} may not be set multiple times"
            if target.range_modifier == word.word
            else "anchored and smoothed modifiers cannot be used together"
        )
        raise cursor.error(problem, word.start, word.end)
    return _with(expr, replace(target, range_modifier=word.word, end=cursor.last_end))


def _modified(cursor: Cursor, expr: Expr, modifier: Token) -> VectorSelector | Subquery:
    """The node that carries a modifier: a selector, that of a range, or a subquery."""
    if isinstance(expr, MatrixSelector):
        return expr.selector
    if isinstance(expr, VectorSelector | Subquery):
        return expr
    name = "offset" if modifier.word == "offset" else modifier.text
    raise cursor.error(
        f"{name} modifier must be preceded by an instant vector selector or range vector selector or a subquery; "
        "write it inside, right after the selector",
        modifier.start,
        modifier.end,
    )


def _with(expr: Expr, target: VectorSelector | Subquery) -> Expr:
    """The expression whose modified node is now ``target``."""
    if isinstance(expr, MatrixSelector) and isinstance(target, VectorSelector):
        return MatrixSelector(selector=target, range=expr.range, start=expr.start, end=target.end)
    return target
