"""Context: what a function needs to know of the evaluation around it."""

from __future__ import annotations

from typing import Protocol

from otelmon.labels import Labels
from otelmon.promql.ast import Expr, Node
from otelmon.promql.vector import EvaluationError, Matrix, Vector

Value = float | str | Vector


class Context(Protocol):
    """One evaluation of one expression.

    ``start``, ``end`` and ``step`` are those of a range query in unix seconds; at an instant all of it is that
    instant, and the step 0.
    """

    start: float
    end: float
    step: float

    def evaluate(self, node: Expr, at: float) -> Value:
        """The value of an expression at an instant."""
        ...

    def matrix(self, node: Expr, at: float) -> Matrix:
        """The value of a range vector expression at an instant."""
        ...

    def sample_times(self, node: Expr, at: float) -> Vector | None:
        """The instants of a selector's samples as a vector; None where the expression is no selector."""
        ...

    def warn(self, message: str, node: Node) -> None:
        """Tell of something that is probably a mistake (Prometheus: a warning), with its place."""
        ...

    def info(self, message: str, node: Node) -> None:
        """Tell of something worth knowing (Prometheus: an info), with its place."""
        ...


def vector_of(context: Context, node: Expr, at: float) -> Vector:
    """The value of an expression whose type is a vector."""
    value = context.evaluate(node, at)
    if not isinstance(value, Vector):
        raise EvaluationError("an instant vector is needed here")
    return value


def scalar_of(context: Context, node: Expr, at: float) -> float:
    """The value of an expression whose type is a scalar."""
    value = context.evaluate(node, at)
    if isinstance(value, Vector | str):
        raise EvaluationError("a scalar is needed here")
    return value


def string_of(context: Context, node: Expr, at: float) -> str:
    """The value of an expression whose type is a string."""
    value = context.evaluate(node, at)
    if not isinstance(value, str):
        raise EvaluationError("a string is needed here")
    return value


def for_metric(labels: Labels) -> str:
    """`` for metric name "x"``, or nothing where there is no name."""
    return f' for metric name "{labels.metric_name}"' if labels.metric_name else ""
