"""An expression in a document, read and checked."""

from __future__ import annotations

from otelmon.document.fields import Problems
from otelmon.document.model import Scalar
from otelmon.errors import PromQLError
from otelmon.promql.ast import Expr, ValueType
from otelmon.promql.check import value_type
from otelmon.promql.parse import parse
from otelmon.promql.supported import check_supported


def read_expression(value: Scalar, problems: Problems, *, key: str) -> Expr | None:
    """The expression in a scalar, checked; problems point at their place inside of it."""
    try:
        expr = parse(value.text)
        check_supported(expr, value.text)
    except PromQLError as error:
        problems.add(value, error.message, key=key, place=value.place_at(error.start))
        return None
    kind = value_type(expr)
    if kind is ValueType.MATRIX:
        hint = "put a function around it, such as rate(...) or avg_over_time(...)"
        problems.add(value, "a rule needs a value a series, and this is a range of them", key=key, hint=hint)
        return None
    if kind is ValueType.STRING:
        problems.add(value, "a rule needs a number, and this is a string", key=key, hint="take the inner quotes away")
        return None
    return expr
