"""Durations between brackets and after ``offset``: numbers, or expressions of them (experimental in Prometheus 3)."""

from __future__ import annotations

import math

from otelmon.promql.ast import Duration, DurationBinary, DurationCall, DurationUnary, Number
from otelmon.promql.lex import Cursor, TokenKind
from otelmon.promql.literals import MAX_DURATION_SECONDS, duration_value, number_value
from otelmon.promql.operators import DURATION_OPERATORS, POWER, PRECEDENCE, right_precedence

_FUNCTIONS = {"step": "step", "range": "range", "min": "min", "max": "max", "min_of": "min", "max_of": "max"}
# Whoever computes a duration may recurse.
_MAX_HEIGHT = 50


def read_range(cursor: Cursor, *, what: str) -> Duration:
    """A duration within brackets, such as ``5m`` or ``2 * step()``; it must not be zero or less."""
    duration = _read_binary(cursor, 0)
    _check_height(cursor, duration)
    seconds = constant_seconds(duration)
    if seconds is not None and not 0 < seconds <= MAX_DURATION_SECONDS:
        reason = "must be greater than 0" if not seconds > 0 else "is out of range (at most 292y)"
        raise cursor.error(f"{what} {reason}; write a duration such as 5m", duration.start, duration.end)
    return duration


def read_offset(cursor: Cursor) -> Duration:
    """The duration after ``offset``: a number, a call or parentheses, with or without a sign.

    ``a offset 5m * 2`` multiplies the selector; what is to be computed stands in parentheses.
    """
    duration = _read_signed_primary(cursor)
    _check_height(cursor, duration)
    seconds = constant_seconds(duration)
    if seconds is not None and not abs(seconds) <= MAX_DURATION_SECONDS:
        raise cursor.error("offset is out of range (at most 292y)", duration.start, duration.end)
    return duration


def _check_height(cursor: Cursor, duration: Duration) -> None:
    level: list[Duration] = [duration]
    for _ in range(_MAX_HEIGHT):
        level = [part for node in level for part in _parts(node)]
        if not level:
            return
    raise cursor.error(f"duration is more than {_MAX_HEIGHT} levels high", duration.start, duration.end)


def _parts(duration: Duration) -> tuple[Duration, ...]:
    if isinstance(duration, DurationBinary):
        return (duration.left, duration.right)
    if isinstance(duration, DurationUnary):
        return (duration.operand,)
    return duration.arguments if isinstance(duration, DurationCall) else ()


def duration_seconds(duration: Duration, *, step_seconds: float = 0.0, range_seconds: float = 0.0) -> float:
    """Seconds of a duration; ``step()`` and ``range()`` are those of the query, both 0 for one at an instant."""
    if isinstance(duration, Number):
        return duration.value
    if isinstance(duration, DurationUnary):
        value = duration_seconds(duration.operand, step_seconds=step_seconds, range_seconds=range_seconds)
        return -value if duration.operator == "-" else value
    if isinstance(duration, DurationBinary):
        left = duration_seconds(duration.left, step_seconds=step_seconds, range_seconds=range_seconds)
        right = duration_seconds(duration.right, step_seconds=step_seconds, range_seconds=range_seconds)
        return arithmetic(duration.operator, left, right)
    if duration.function in {"step", "range"}:
        return step_seconds if duration.function == "step" else range_seconds
    values = [
        duration_seconds(argument, step_seconds=step_seconds, range_seconds=range_seconds)
        for argument in duration.arguments
    ]
    return min(values) if duration.function == "min" else max(values)


def constant_seconds(duration: Duration) -> float | None:
    """Seconds of a duration that asks nothing of the query; None where ``step()`` or ``range()`` is in it."""
    return None if _asks_query(duration) else duration_seconds(duration)


def arithmetic(operator: str, left: float, right: float) -> float:
    """``left operator right`` of two numbers, one of ``+ - * / % ^``, by IEEE 754 as Go computes it."""
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            if right == 0:
                return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left) * _sign(right)
            return left / right
        case "%":
            return math.nan if right == 0 or math.isinf(left) else math.fmod(left, right)
        case _:
            return _power(left, right)


def _sign(value: float) -> float:
    return math.copysign(1.0, value)


def _power(base: float, exponent: float) -> float:
    negative = _sign(base) < 0 and exponent.is_integer() and exponent % 2 == 1
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return -math.inf if negative else math.inf
    except ValueError:
        if base == 0:
            return -math.inf if negative else math.inf
        return math.nan


def _asks_query(duration: Duration) -> bool:
    if isinstance(duration, DurationCall) and duration.function in {"step", "range"}:
        return True
    return any(_asks_query(part) for part in _parts(duration))


def _read_binary(cursor: Cursor, lowest: int) -> Duration:
    cursor.enter()
    left = _read_unary(cursor)
    while cursor.peek.kind is TokenKind.SIGN and cursor.peek.text in DURATION_OPERATORS:
        operator = cursor.peek.text
        if PRECEDENCE[operator] < lowest:
            break
        cursor.take()
        right = _read_binary(cursor, right_precedence(operator))
        if operator in "/%" and isinstance(right, Number) and right.value == 0:
            raise cursor.error("division by zero" if operator == "/" else "modulo by zero", right.start, right.end)
        left = DurationBinary(operator=operator, left=left, right=right, start=left.start, end=right.end)
    cursor.leave()
    return left


def _read_unary(cursor: Cursor) -> Duration:
    if cursor.at_sign("-") or cursor.at_sign("+"):
        sign = cursor.take()
        return _signed(sign.text, _read_binary(cursor, POWER), sign.start)
    return _read_primary(cursor)


def _read_signed_primary(cursor: Cursor) -> Duration:
    if cursor.at_sign("-") or cursor.at_sign("+"):
        sign = cursor.take()
        cursor.enter()
        operand = _read_signed_primary(cursor)
        cursor.leave()
        return _signed(sign.text, operand, sign.start)
    return _read_primary(cursor)


def _signed(sign: str, operand: Duration, start: int) -> Duration:
    if isinstance(operand, Number):
        value = -operand.value if sign == "-" else operand.value
        return Number(value=value, is_duration=operand.is_duration, start=start, end=operand.end)
    return DurationUnary(operator=sign, operand=operand, start=start, end=operand.end)


def _read_primary(cursor: Cursor) -> Duration:
    token = cursor.peek
    if token.kind in {TokenKind.NUMBER, TokenKind.DURATION}:
        return read_number(cursor)
    if cursor.skip_sign("("):
        inner = _read_binary(cursor, 0)
        cursor.expect_sign(")", where="after the duration")
        return inner
    if token.kind is TokenKind.WORD and token.word in _FUNCTIONS and cursor.following.text == "(":
        return _read_call(cursor)
    raise cursor.unexpected("expected a duration, such as 5m")


def _read_call(cursor: Cursor) -> DurationCall:
    name = cursor.take()
    function = _FUNCTIONS[name.word]
    cursor.expect_sign("(", where=f"after {name.text}")
    arguments: tuple[Duration, ...] = ()
    if function in {"min", "max"}:
        first = _read_binary(cursor, 0)
        cursor.expect_sign(",", where=f"between the two durations of {name.text}")
        arguments = (first, _read_binary(cursor, 0))
    end = cursor.expect_sign(")", where=f"after the arguments of {name.text}").end
    return DurationCall(function=function, arguments=arguments, start=name.start, end=end)


def read_number(cursor: Cursor) -> Number:
    """The number or the duration under the cursor, or the word Inf or NaN."""
    token = cursor.take()
    is_duration = token.kind is TokenKind.DURATION
    try:
        value = duration_value(token.text) if is_duration else number_value(token.text)
    except ValueError as error:
        raise cursor.error(str(error), token.start, token.end) from None
    return Number(value=value, is_duration=is_duration, start=token.start, end=token.end)
