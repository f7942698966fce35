"""The evaluator: an expression at an instant, by walking its tree."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np

from otelmon.promql import aggregation, binary, labelling, native, ranking
from otelmon.promql.analyze import LOOKBACK_DELTA_SECONDS, info_selector, selectors
from otelmon.promql.ast import (
    Aggregate,
    Binary,
    Call,
    Expr,
    MatrixSelector,
    Node,
    Number,
    Paren,
    String,
    Subquery,
    Unary,
    VectorSelector,
)
from otelmon.promql.context import Context, Value, scalar_of, string_of, vector_of
from otelmon.promql.distributions import DISTRIBUTIONS
from otelmon.promql.durations import duration_seconds
from otelmon.promql.elementwise import ELEMENTWISE
from otelmon.promql.extended import extended, smoothed_instant
from otelmon.promql.information import with_info
from otelmon.promql.numbers import greater, lesser
from otelmon.promql.over_time import OVER_TIME, quantile_over_time
from otelmon.promql.rates import RATES, predict_linear, smoothed
from otelmon.promql.reading import instant, ranged
from otelmon.promql.resets import OF_TOTALS, warn_of_conflicts
from otelmon.promql.subquery import stepped
from otelmon.promql.vector import EvaluationError, Histograms, Matrix, Vector, single
from otelmon.window.selection import Selection
from otelmon.window.view import Readable

SUBQUERY_STEP_SECONDS = 60.0
"""The step of a subquery that gives none (Prometheus: the global evaluation interval)."""

MOST_SAMPLES = 50_000_000
"""How many samples one evaluation may look at (Prometheus: query.max-samples)."""

_MOST_RESULTS = 2048

_OF_MATRIX: Mapping[str, Callable[[Context, Call, Matrix], Vector]] = {**RATES, **OVER_TIME}
_OF_VECTOR: Mapping[str, Callable[[Context, Call, float], Vector]] = {
    **ELEMENTWISE,
    **DISTRIBUTIONS,
    "label_replace": labelling.label_replace,
    "label_join": labelling.label_join,
    "absent": labelling.absent,
    "absent_over_time": labelling.absent_over_time,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What is known of a node before evaluation: ``key`` is equal for nodes that mean the same, and ``selectors`` are
    those within it. ``shared``: worth remembering for other rules of the same tick.
    """

    key: Hashable
    selectors: tuple[VectorSelector, ...]
    shared: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """A value, and what it holds for: instants, and versions of the families it was worked out from."""

    state: tuple[object, ...]
    value: Value


class Evaluator:
    """One evaluation of one expression over a window (a Context)."""

    def __init__(
        self,
        window: Readable,
        parts: Mapping[int, Part],
        *,
        start: float,
        end: float,
        step: float = 0.0,
        most_samples: int = MOST_SAMPLES,
        subquery_step: float = SUBQUERY_STEP_SECONDS,
    ) -> None:
        self.start = start
        self.end = end
        self.step = step
        self.notes: dict[tuple[str, str, int], None] = {}
        self._window = window
        self._parts = parts
        self._most_samples = most_samples
        self._subquery_step = subquery_step
        self._samples = 0
        self._selections: dict[int, Selection] = {}

    def selection(self, node: VectorSelector) -> Selection:
        """The series of a selector, looked up once an evaluation."""
        found = self._selections.get(id(node))
        if found is None:
            found = self._selections[id(node)] = self._window.selection(node.matchers)
        return found

    def warn(self, message: str, node: Node) -> None:
        """Note a warning."""
        self.notes[("warning", message, node.start)] = None

    def info(self, message: str, node: Node) -> None:
        """Note an info."""
        self.notes[("info", message, node.start)] = None

    def evaluate(self, node: Expr, at: float) -> Value:
        """The value of an expression at an instant."""
        part = self._parts.get(id(node))
        if part is None or not part.shared:
            return self._evaluate(node, at)
        # What several rules of a tick share is worked out once: the same expression over unchanged series.
        versions = tuple(self.selection(selector).version for selector in part.selectors)
        key = (part.key, self.start == self.end, self.step)
        state = (at, self.start, self.end, versions)
        results = self._window.results
        found = results.get(key)
        if isinstance(found, _Result) and found.state == state:
            return found.value
        noted = len(self.notes)
        value = self._evaluate(node, at)
        if len(self.notes) == noted:
            if len(results) >= _MOST_RESULTS:
                results.clear()
            # One result an expression: that of an earlier tick goes when this one's is kept.
            results[key] = _Result(state=state, value=value)
        return value

    def _evaluate(self, node: Expr, at: float) -> Value:
        match node:
            case VectorSelector():
                return self._instant(node, at)[0]
            case Number() | String():
                return node.value
            case Paren():
                return self.evaluate(node.expr, at)
            case Aggregate():
                return self._aggregate(node, at)
            case Binary():
                return self._binary(node, at)
            case Call():
                return self._call(node, at)
            case Unary():
                return self._unary(node, at)
        raise EvaluationError("a range vector is not a value; wrap it in a function such as rate()")

    def _count(self, samples: int) -> None:
        self._samples += samples
        if self._samples > self._most_samples:
            raise EvaluationError(f"the expression selects more than {self._most_samples} samples")

    def _moved(self, node: VectorSelector | Subquery, at: float) -> float:
        """The instant at which a selector looks, by its ``@`` and offset."""
        if node.at == "start":
            at = self.start
        elif node.at == "end":
            at = self.end
        elif node.at is not None:
            at = float(node.at)
        if node.offset is not None:
            at = round(at - self._seconds(node.offset), 3)
        return at

    def _seconds(self, duration: Number | Node) -> float:
        if isinstance(duration, Number):
            return duration.value
        return duration_seconds(duration, step_seconds=self.step, range_seconds=self.end - self.start)  # type: ignore[arg-type]

    def _instant(self, node: VectorSelector, at: float) -> tuple[Vector, Vector]:
        if node.range_modifier:
            # Only smoothed gets here: check_supported refuses anchored without a range.
            moment = self._moved(node, at)
            start, end = moment - LOOKBACK_DELTA_SECONDS, moment + LOOKBACK_DELTA_SECONDS
            matrix = ranged(self.selection(node), start, end)
            self._count(int(matrix.float_count.sum()))
            vector = smoothed_instant(matrix, moment)
            return vector, Vector(vector.shape, np.full(vector.present.size, at), vector.present)
        vector, times = instant(self.selection(node), self._moved(node, at), LOOKBACK_DELTA_SECONDS)
        self._count(len(vector.shape))
        return vector, Vector(vector.shape, times, vector.present)

    def sample_times(self, node: Expr, at: float) -> Vector | None:
        """The instants of a selector's samples."""
        while isinstance(node, Paren):
            node = node.expr
        return self._instant(node, at)[1] if isinstance(node, VectorSelector) else None

    def matrix(self, node: Expr, at: float) -> Matrix:
        """The value of a range vector expression at an instant."""
        while isinstance(node, Paren):
            node = node.expr
        if isinstance(node, MatrixSelector):
            matrix = ranged(self.selection(node.selector), *self._span(node, at))
            self._count(int(matrix.float_count.sum()) + int(matrix.histogram_count.sum()))
            return matrix
        if isinstance(node, Subquery):
            return self._subquery(node, at)
        raise EvaluationError("a range vector is needed here")

    def _span(self, node: MatrixSelector | Subquery, at: float) -> tuple[float, float]:
        """Start and end of a range; to the millisecond, as Prometheus keeps instants, else 4 - 1.001 < 2.999."""
        end = self._moved(node.selector if isinstance(node, MatrixSelector) else node, at)
        return round(end - self._positive(node.range), 3), end

    def _positive(self, duration: Number | Node) -> float:
        seconds = self._seconds(duration)
        if not seconds > 0:
            raise EvaluationError("duration must be greater than 0")
        return seconds

    def _subquery(self, node: Subquery, at: float) -> Matrix:
        start, end = self._span(node, at)
        step = self._subquery_step if node.step is None else self._positive(node.step)
        first = int(start // step)
        self._count(int(end // step) - first)
        instants = []
        for number in range(first, int(end // step) + 2):
            moment = round(number * step, 3)
            if start < moment <= end:
                instants.append(moment)
        steps = []
        for moment in instants:
            value = self.evaluate(node.expr, moment)
            vector = value if isinstance(value, Vector) else single(float(value))
            self._count(int(np.count_nonzero(vector.present)))
            steps.append(vector)
        return stepped(instants, steps, start, end)

    def _aggregate(self, node: Aggregate, at: float) -> Value:
        if node.operator == "count_values" and node.parameter is not None:
            label = string_of(self, node.parameter, at)
            return ranking.count_values(node, vector_of(self, node.expr, at), label)
        if node.parameter is None:
            return aggregation.aggregate(self, node, vector_of(self, node.expr, at))
        parameter = scalar_of(self, node.parameter, at)
        vector = vector_of(self, node.expr, at)
        if node.operator in ("topk", "bottomk"):
            return ranking.top(self, node, vector, parameter)
        if node.operator == "limitk":
            return ranking.limit(node, vector, parameter)
        if node.operator == "limit_ratio":
            return ranking.limit_ratio(self, node, vector, parameter)
        return ranking.quantile(self, node, vector, parameter)

    def _binary(self, node: Binary, at: float) -> Value:
        left, right = self.evaluate(node.left, at), self.evaluate(node.right, at)
        if isinstance(left, str) or isinstance(right, str):
            raise EvaluationError("strings have no operators")
        if isinstance(left, Vector):
            if isinstance(right, Vector):
                return binary.vectors(self, node, left, right)
            return binary.vector_scalar(self, node, left, right, scalar_left=False)
        if isinstance(right, Vector):
            return binary.vector_scalar(self, node, right, left, scalar_left=True)
        return binary.scalars(node, left, right)

    def _unary(self, node: Unary, at: float) -> Value:
        value = self.evaluate(node.expr, at)
        if isinstance(value, str):
            raise EvaluationError("strings have no sign")
        if node.operator == "+":
            return value
        if not isinstance(value, Vector):
            return -value
        histograms = None
        if value.histograms is not None:
            objects = np.full(value.present.size, None, dtype=object)
            for position, histogram in enumerate(value.histograms.objects()):
                objects[position] = None if histogram is None else native.scaled(histogram, -1.0)
            histograms = Histograms(value.histograms.mask, objects=objects)
        return Vector(value.shape, -value.values, value.present, histograms).at(value.shape.without_name())

    def _call(self, node: Call, at: float) -> Value:
        name = node.function
        of_matrix = _OF_MATRIX.get(name)
        if of_matrix is not None:
            modified = node.arguments[0]
            if isinstance(modified, MatrixSelector) and modified.selector.range_modifier:
                return self._extended(node, modified, at)
            return of_matrix(self, node, self.matrix(node.arguments[0], at))
        of_vector = _OF_VECTOR.get(name)
        if of_vector is not None:
            if name in OF_TOTALS:
                warn_of_conflicts(self, node, at)
            return of_vector(self, node, at)
        scalar = self._scalar_call(node, at)
        if scalar is not None:
            return scalar
        if name == "vector":
            return single(scalar_of(self, node.arguments[0], at))
        if name == "timestamp":
            return self._timestamp(node, at)
        if name == "info":
            return self._info(node, at)
        if name == "quantile_over_time":
            q = scalar_of(self, node.arguments[0], at)
            return quantile_over_time(self, node, self.matrix(node.arguments[1], at), q)
        if name == "predict_linear":
            seconds = scalar_of(self, node.arguments[1], at)
            return predict_linear(self, node, self.matrix(node.arguments[0], at), at, seconds)
        if name == "double_exponential_smoothing":
            factors = [scalar_of(self, argument, at) for argument in node.arguments[1:]]
            for what, factor in zip(("smoothing", "trend"), factors, strict=True):
                if not 0 < factor < 1:
                    raise EvaluationError(f"invalid {what} factor: it must lie between 0 and 1, got {factor:g}")
            return smoothed(self, node, self.matrix(node.arguments[0], at), *factors)
        raise EvaluationError(f"{name}() is not evaluated")

    def _extended(self, node: Call, modified: MatrixSelector, at: float) -> Vector:
        start, end = self._span(modified, at)
        smooth = modified.selector.range_modifier == "smoothed"
        until = end + LOOKBACK_DELTA_SECONDS if smooth else end
        matrix = ranged(self.selection(modified.selector), start - LOOKBACK_DELTA_SECONDS, until)
        self._count(int(matrix.float_count.sum()))
        return extended(node, matrix, start, end, smoothed=smooth)

    def _info(self, node: Call, at: float) -> Vector:
        vector = vector_of(self, node.arguments[0], at)
        selector = info_selector(node)
        # The info metrics are asked as of the instant at which the series are, by their @ and offset.
        first = next(iter(selectors(node.arguments[0])), selector)
        selection = self._window.selection(selector.matchers)
        infos, times = instant(selection, self._moved(first, at), LOOKBACK_DELTA_SECONDS)
        self._count(len(infos.shape))
        return with_info(selector, vector, infos, Vector(infos.shape, times, infos.present))

    def _scalar_call(self, node: Call, at: float) -> float | None:
        match node.function:
            case "time":
                return at
            case "pi":
                return float(np.pi)
            case "start":
                return self.start
            case "end":
                return self.end
            case "step":
                return self.step
            case "range":
                return self.end - self.start
            case "scalar":
                vector = vector_of(self, node.arguments[0], at)
                values = vector.values[vector.floats]
                return float(values[0]) if values.size == 1 else float("nan")
            case "min_of" | "max_of":
                pick = lesser if node.function == "min_of" else greater
                arguments = [scalar_of(self, argument, at) for argument in node.arguments]
                return reduce(lambda one, other: float(pick(one, other)), arguments)
        return None

    def _timestamp(self, node: Call, at: float) -> Vector:
        times = self.sample_times(node.arguments[0], at)
        if times is None:
            vector = vector_of(self, node.arguments[0], at)
            times = Vector(vector.shape, np.full(vector.present.size, at), vector.present)
        return times.at(times.shape.without_name())
