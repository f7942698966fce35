"""The syntax tree of a PromQL expression. Every node knows its place in the text."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from otelmon.matching import Matcher, MatchOperator

__all__ = [
    "Aggregate",
    "Binary",
    "Call",
    "Cardinality",
    "Duration",
    "DurationBinary",
    "DurationCall",
    "DurationUnary",
    "Expr",
    "MatchOperator",
    "Matcher",
    "Matching",
    "MatrixSelector",
    "Node",
    "Number",
    "Paren",
    "String",
    "Subquery",
    "Unary",
    "ValueType",
    "VectorSelector",
]


class Cardinality(StrEnum):
    """How the two sides of a vector binary operation pair up."""

    ONE_TO_ONE = "one-to-one"
    MANY_TO_ONE = "many-to-one"
    ONE_TO_MANY = "one-to-many"
    MANY_TO_MANY = "many-to-many"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """``start`` and ``end`` are character offsets of the node in the expression's text.

    They take no part in comparison and hashing: nodes are equal that mean the same, wherever they stand.
    """

    start: int = field(compare=False)
    end: int = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(Node):
    """A number, or a duration used as one (``5m`` is 300; then ``is_duration``)."""

    value: float
    is_duration: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class String(Node):
    """A string literal, unescaped."""

    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DurationUnary(Node):
    """A sign in front of what is no number, in a duration expression."""

    operator: str
    operand: Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class DurationBinary(Node):
    """``+ - * / % ^`` in a duration expression (experimental in Prometheus 3)."""

    operator: str
    left: Duration
    right: Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class DurationCall(Node):
    """``step``, ``range``, ``min`` or ``max`` in a duration expression.

    The last two are written ``min_of(a, b)`` and ``max_of(a, b)`` since Prometheus 3.14, ``min`` and ``max`` before.
    """

    function: str
    arguments: tuple[Duration, ...] = ()


# Seconds as a Number, or an expression whose value is seconds.
Duration = Number | DurationUnary | DurationBinary | DurationCall


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorSelector(Node):
    """``name{matchers} offset 5m @ 0``. A metric name is also the first of the matchers, as ``__name__``.

    ``name`` is what is written before the braces or, quoted, alone within them (``{"my.metric"}``); it is empty for
    ``{__name__="a"}``. ``offset`` is negative for ``offset -5m``. ``at`` is unix seconds, or ``"start"`` / ``"end"``.
    ``range_modifier`` is ``"anchored"``, ``"smoothed"`` or empty.
    """

    name: str
    matchers: tuple[Matcher, ...]
    offset: Duration | None = None
    at: float | str | None = None
    range_modifier: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixSelector(Node):
    """``selector[range]``."""

    selector: VectorSelector
    range: Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Subquery(Node):
    """``expr[range:step]``; ``step`` is None for the default (the evaluation interval)."""

    expr: Expr
    range: Duration
    step: Duration | None = None
    offset: Duration | None = None
    at: float | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unary(Node):
    """``-expr`` or ``+expr``."""

    operator: str
    expr: Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class Paren(Node):
    """``(expr)``."""

    expr: Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """``on / ignoring (labels)`` with ``group_left / group_right (include)`` and fill values (Prometheus 3.9)."""

    cardinality: Cardinality = Cardinality.ONE_TO_ONE
    on: bool = False
    labels: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    fill_left: float | None = None
    fill_right: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary(Node):
    """``left operator right``. ``matching`` is set when both sides are vectors; ``returns_bool`` for ``== bool``."""

    operator: str
    left: Expr
    right: Expr
    returns_bool: bool = False
    matching: Matching | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Node):
    """``function(arguments)``."""

    function: str
    arguments: tuple[Expr, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate(Node):
    """``operator by|without (grouping) (parameter, expr)``."""

    operator: str
    expr: Expr
    parameter: Expr | None = None
    grouping: tuple[str, ...] = ()
    without: bool = False


Expr = Number | String | VectorSelector | MatrixSelector | Subquery | Unary | Paren | Binary | Call | Aggregate


class ValueType(StrEnum):
    """What an expression evaluates to."""

    SCALAR = "scalar"
    STRING = "string"
    VECTOR = "vector"
    MATRIX = "matrix"
