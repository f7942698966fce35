"""Functions of one element at a time: mathematics, clamping, dates; and those that order a vector."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from otelmon.promql.ast import Call
from otelmon.promql.context import Context, scalar_of, string_of, vector_of
from otelmon.promql.numbers import greater, lesser
from otelmon.promql.vector import Floats, Vector, single

Function = Callable[[Context, Call, float], Vector]

MATHEMATICS: dict[str, Callable[[Floats], Floats]] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "floor": np.floor,
    "exp": np.exp,
    "ln": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "sqrt": np.sqrt,
    "sgn": np.sign,
    "acos": np.arccos,
    "acosh": np.arccosh,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "cos": np.cos,
    "cosh": np.cosh,
    "sin": np.sin,
    "sinh": np.sinh,
    "tan": np.tan,
    "tanh": np.tanh,
    "deg": np.degrees,
    "rad": np.radians,
}


def of_floats(vector: Vector, change: Callable[[Floats], Floats]) -> Vector:
    """The floats changed, without metric names; histograms go."""
    return Vector(vector.shape, change(vector.values), vector.floats).at(vector.shape.without_name())


def _mathematics(change: Callable[[Floats], Floats]) -> Function:
    return lambda context, node, at: of_floats(vector_of(context, node.arguments[0], at), change)


def _round(context: Context, node: Call, at: float) -> Vector:
    nearest = scalar_of(context, node.arguments[1], at) if len(node.arguments) > 1 else 1.0
    # Invert as functions.go does: dividing by 0.1 is less exact than multiplying by 10.
    inverse = 1.0 / np.float64(nearest)
    vector = vector_of(context, node.arguments[0], at)
    return of_floats(vector, lambda values: np.floor(values * inverse + 0.5) / inverse)


def _clamp(context: Context, node: Call, at: float) -> Vector:
    vector = vector_of(context, node.arguments[0], at)
    low, high = (scalar_of(context, argument, at) for argument in node.arguments[1:])
    if low > high:
        return of_floats(vector, lambda values: values).kept(np.zeros_like(vector.present))
    return of_floats(vector, lambda values: greater(low, lesser(high, values)))


def _clamp_one(pick: Callable[[float, Floats], Floats]) -> Function:
    def function(context: Context, node: Call, at: float) -> Vector:
        limit = scalar_of(context, node.arguments[1], at)
        return of_floats(vector_of(context, node.arguments[0], at), lambda values: pick(limit, values))

    return function


def _sorted(*, descending: bool) -> Function:
    def function(context: Context, node: Call, at: float) -> Vector:
        vector = vector_of(context, node.arguments[0], at)
        positions = np.nonzero(vector.floats)[0]
        values = vector.values[positions]
        order = positions[np.argsort(-values if descending else values, kind="stable")]
        return Vector(vector.shape, vector.values, vector.floats, None, order)

    return function


_DIGITS = re.compile(r"(\d+)")


def natural(text: str) -> list[tuple[int, int, str]]:
    """A key by which ``a2`` comes before ``a10``."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in _DIGITS.split(text) if part]


def _sorted_by_label(*, descending: bool) -> Function:
    def function(context: Context, node: Call, at: float) -> Vector:
        vector = vector_of(context, node.arguments[0], at)
        names = [string_of(context, argument, at) for argument in node.arguments[1:]]

        def key(position: int) -> tuple[object, ...]:
            labels = vector.shape.label(position)
            return (*(natural(labels.get(name, "")) for name in names), labels.pairs)

        order = sorted(np.nonzero(vector.present)[0].tolist(), key=key, reverse=descending)
        return Vector(vector.shape, vector.values, vector.present, vector.histograms, np.array(order, dtype=np.intp))

    return function


def _date(read: Callable[[np.ndarray[tuple[int], np.dtype[np.datetime64]]], Floats]) -> Function:
    """A part of a UTC date; without an argument, of the instant of evaluation."""

    def change(values: Floats) -> Floats:
        usable = np.isfinite(values) & (np.abs(values) < _LAST_SECOND)
        seconds = np.where(usable, np.trunc(values), 0.0).astype("int64").astype("datetime64[s]")
        return np.where(usable, read(seconds), np.nan)

    def function(context: Context, node: Call, at: float) -> Vector:
        return of_floats(vector_of(context, node.arguments[0], at) if node.arguments else single(at), change)

    return function


_LAST_SECOND = 2.5e11  # about the year 9900
_DAY, _HOUR = 86_400, 3_600


def _since(times: np.ndarray[tuple[int], np.dtype[np.datetime64]], unit: str) -> Floats:
    """Days since the start of the year or month."""
    start = times.astype(f"datetime64[{unit}]")
    return np.asarray((times.astype("datetime64[D]") - start.astype("datetime64[D]")).astype(np.float64))


def _days_in_month(times: np.ndarray[tuple[int], np.dtype[np.datetime64]]) -> Floats:
    month = times.astype("datetime64[M]")
    return np.asarray(((month + 1).astype("datetime64[D]") - month.astype("datetime64[D]")).astype(np.float64))


ELEMENTWISE: dict[str, Function] = {
    **{name: _mathematics(change) for name, change in MATHEMATICS.items()},
    "round": _round,
    "clamp": _clamp,
    "clamp_min": _clamp_one(greater),
    "clamp_max": _clamp_one(lesser),
    "sort": _sorted(descending=False),
    "sort_desc": _sorted(descending=True),
    "sort_by_label": _sorted_by_label(descending=False),
    "sort_by_label_desc": _sorted_by_label(descending=True),
    "year": _date(lambda times: times.astype("datetime64[Y]").astype(np.float64) + 1970),
    "month": _date(lambda times: np.mod(times.astype("datetime64[M]").astype(np.float64), 12) + 1),
    "day_of_month": _date(lambda times: _since(times, "M") + 1),
    "day_of_year": _date(lambda times: _since(times, "Y") + 1),
    "day_of_week": _date(lambda times: np.mod(times.astype("datetime64[D]").astype(np.float64) + 4, 7)),
    "days_in_month": _date(_days_in_month),
    "hour": _date(lambda times: np.floor(np.mod(times.astype(np.float64), _DAY) / _HOUR)),
    "minute": _date(lambda times: np.floor(np.mod(times.astype(np.float64), _HOUR) / 60)),
}
