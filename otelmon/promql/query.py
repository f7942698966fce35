"""Query: an expression, compiled once and evaluated each tick."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, ValuesView
from dataclasses import fields, is_dataclass

import numpy as np

from otelmon.labels import Labels
from otelmon.promql.analyze import condition, selectors, walk
from otelmon.promql.ast import Aggregate, Binary, Call, Expr, MatrixSelector, Subquery, Unary, VectorSelector
from otelmon.promql.context import Value
from otelmon.promql.evaluate import MOST_SAMPLES, SUBQUERY_STEP_SECONDS, Evaluator, Part
from otelmon.promql.evaluation import Element, Evaluation, Failed
from otelmon.promql.parse import parse
from otelmon.promql.vector import EvaluationError, Vector, check_result, single
from otelmon.window.view import Readable


class Query:
    """One expression; ``evaluate`` at any instant.

    What of the work depends on labels alone (selection, groups, pairs) is kept with the window's selections and
    extended as series appear; see plan.py.
    """

    def __init__(
        self,
        expr: Expr | str,
        *,
        most_samples: int = MOST_SAMPLES,
        subquery_step_seconds: float = SUBQUERY_STEP_SECONDS,
    ) -> None:
        """Compile an expression; ``subquery_step_seconds`` is the step of a subquery that gives none.

        Raises PromQLError for a text that does not parse.
        """
        self.text = expr if isinstance(expr, str) else None
        self.expr: Expr = parse(expr) if isinstance(expr, str) else expr
        self.condition = condition(self.expr)
        self.most_samples = most_samples
        self.subquery_step_seconds = subquery_step_seconds
        self._parts = {id(node): _part(node) for node in walk(self.expr)}
        self._selectors = selectors(self.expr)

    def evaluate(self, window: Readable, at: float) -> Evaluation | Failed:
        """The value at an instant in unix seconds; a scalar is one element without labels."""
        evaluator = self.evaluator(window, start=at, end=at)
        try:
            value = self.value(evaluator, at)
            if isinstance(value, str):
                return Failed(reason="the expression is a string; a rule needs a number")
            vector = value if isinstance(value, Vector) else single(value)
            measured = None if self.condition is None else self._measured(evaluator, at)
            # An expression that looks at no series (vector(1), time() > 5) is not one that found none.
            selected = sum(evaluator.selection(selector).series_count for selector in self._selectors)
            return Evaluation(
                vector=tuple(
                    Element(labels=vector.shape.label(position), value=vector.element(position))
                    for position in vector.listed().tolist()
                ),
                selected_series=selected,
                warnings=self.annotations(evaluator),
                measured=measured,
            )
        except EvaluationError as error:
            return Failed(reason=str(error))
        except RecursionError:
            return Failed(reason="the expression is nested too deeply")

    def selects(self, window: Readable) -> bool:
        """Whether any of its selectors finds a series."""
        return any(window.selection(selector.matchers).series_count for selector in self._selectors)

    def evaluator(self, window: Readable, *, start: float, end: float, step: float = 0.0) -> Evaluator:
        """An evaluator for a range query from ``start`` to ``end``; hand it to ``value`` for each step."""
        return Evaluator(
            window,
            self._parts,
            start=start,
            end=end,
            step=step,
            most_samples=self.most_samples,
            subquery_step=self.subquery_step_seconds,
        )

    def value(self, evaluator: Evaluator, at: float) -> Value:
        """The value at an instant. Raises EvaluationError."""
        with np.errstate(all="ignore"):
            value = evaluator.evaluate(self.expr, at)
        if isinstance(value, Vector):
            check_result(value.shape, value.present)
        return value

    def annotations(self, evaluator: Evaluator) -> tuple[str, ...]:
        """What an evaluation warned of, as Prometheus words it, with line and column."""
        return tuple(f"PromQL {kind}: {message} ({self._place(start)})" for kind, message, start in evaluator.notes)

    def _place(self, start: int) -> str:
        text = self.text or ""
        line = text.count("\n", 0, start) + 1
        return f"{line}:{start - (text.rfind(chr(10), 0, start) + 1) + 1}"

    def _measured(self, evaluator: Evaluator, at: float) -> Mapping[Labels, float] | None:
        assert self.condition is not None  # noqa: S101
        with np.errstate(all="ignore"):
            value = evaluator.evaluate(self.condition.measure, at)
        if isinstance(value, str):
            return None
        return Measured(value if isinstance(value, Vector) else single(value))


class Measured(Mapping[Labels, float]):
    """The floats of a vector by label set, made into a dict only when somebody looks."""

    def __init__(self, vector: Vector) -> None:
        self._vector = vector
        self._made: dict[Labels, float] | None = None

    def _values(self) -> dict[Labels, float]:
        if self._made is None:
            vector = self._vector
            self._made = {
                vector.shape.label(position): float(vector.values[position])
                for position in np.nonzero(vector.floats)[0].tolist()
            }
        return self._made

    def __getitem__(self, labels: Labels) -> float:
        return self._values()[labels]

    def __iter__(self) -> Iterator[Labels]:
        return iter(self._values())

    def values(self) -> ValuesView[float]:
        """The values alone, for which no label set has to be made."""
        return dict(enumerate(self._vector.values[self._vector.floats].tolist())).values()

    def __len__(self) -> int:
        return int(np.count_nonzero(self._vector.floats))


def _part(node: Expr) -> Part:
    return Part(key=repr(_key(node)), selectors=selectors(node), shared=_worth_sharing(node))


def _worth_sharing(node: Expr) -> bool:
    if not isinstance(node, Call | Aggregate | Binary | Unary):
        return False
    # Without a selector there is nothing to save; within a subquery each instant would be kept.
    return any(isinstance(inner, VectorSelector | MatrixSelector | Subquery) for inner in walk(node))


def _key(node: object) -> Hashable:
    """A value that is equal for syntax trees that mean the same, wherever they stand in their texts."""
    if isinstance(node, tuple):
        return tuple(_key(item) for item in node)
    if is_dataclass(node) and not isinstance(node, type):
        inner = tuple(
            _key(getattr(node, field.name)) for field in fields(node) if field.name not in ("start", "end", "_test")
        )
        return (type(node).__name__, inner)
    return repr(node)
