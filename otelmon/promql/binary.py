"""Binary operators: arithmetic, comparison and sets, with vector matching."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from otelmon.histogram import Histogram
from otelmon.labels import METRIC_NAME, Labels
from otelmon.promql import estimates, native
from otelmon.promql.ast import Binary, Cardinality, Matching
from otelmon.promql.context import Context
from otelmon.promql.fill import filled
from otelmon.promql.plan import Integers, Pairing, Shape, Table, Union, pairing
from otelmon.promql.vector import EvaluationError, Floats, Histograms, Mask, Objects, Vector, empty_vector

ARITHMETIC: dict[str, Callable[[Floats, Floats], Floats]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
    "^": np.power,
    "atan2": np.arctan2,
}
COMPARISON: dict[str, Callable[[Floats, Floats], Mask]] = {
    "==": np.equal,
    "!=": np.not_equal,
    ">": np.greater,
    "<": np.less,
    ">=": np.greater_equal,
    "<=": np.less_equal,
}
SETS = frozenset({"and", "or", "unless"})
TRIM = frozenset({"</", ">/"})


def scalars(node: Binary, left: float, right: float) -> float:
    """Two scalars; a comparison gives 1 or 0."""
    one, other = np.array([left]), np.array([right])
    if node.operator in COMPARISON:
        return float(COMPARISON[node.operator](one, other)[0])
    return float(ARITHMETIC[node.operator](one, other)[0])


class _Sides:
    """What stands left and right of the operator, aligned: floats, and histograms where there are any."""

    def __init__(
        self, left: Floats, right: Floats, left_objects: Objects | None, right_objects: Objects | None
    ) -> None:
        self.left = left
        self.right = right
        size = left.size
        nothing = np.full(size, None, dtype=object)
        self.objects = left_objects is not None or right_objects is not None
        self.left_objects = nothing if left_objects is None else left_objects
        self.right_objects = nothing if right_objects is None else right_objects


class _Outcome:
    """The values of an operation, which of them are kept, and the histograms among them."""

    def __init__(self, values: Floats, keep: Mask) -> None:
        self.values = values
        self.keep = keep
        self.objects: Objects | None = None


def _operate(context: Context, node: Binary, sides: _Sides, kept: Floats | None = None) -> _Outcome:
    """Apply the operator; ``kept`` is what a comparison that filters lets through (else the left side)."""
    if node.operator in COMPARISON:
        holds = COMPARISON[node.operator](sides.left, sides.right)
        if node.returns_bool:
            outcome = _Outcome(holds.astype(np.float64), np.ones_like(holds))
        else:
            outcome = _Outcome(sides.left if kept is None else kept, holds)
    elif node.operator in TRIM:
        outcome = _Outcome(sides.left, np.zeros(sides.left.size, dtype=np.bool_))
        if any(one is None for one in sides.left_objects):
            _info_types(context, node, "float", "float")
    else:
        values = ARITHMETIC[node.operator](sides.left, sides.right)
        outcome = _Outcome(values, np.ones(values.size, dtype=np.bool_))
    if sides.objects:
        _operate_on_histograms(context, node, sides, outcome)
    return outcome


def _operate_on_histograms(context: Context, node: Binary, sides: _Sides, outcome: _Outcome) -> None:
    outcome.values = outcome.values.copy()
    outcome.objects = np.full(outcome.values.size, None, dtype=object)
    for index in range(outcome.values.size):
        left, right = sides.left_objects[index], sides.right_objects[index]
        if left is None and right is None:
            continue
        result = _one(
            context,
            node,
            float(sides.left[index]) if left is None else left,
            float(sides.right[index]) if right is None else right,
        )
        outcome.keep[index] = result is not None
        if isinstance(result, Histogram):
            outcome.objects[index] = result
        elif result is not None:
            outcome.values[index] = result


def _one(context: Context, node: Binary, left: float | Histogram, right: float | Histogram) -> float | Histogram | None:
    """The operation on one pair of which at least one is a histogram; None where there is no result."""
    operator = node.operator
    if isinstance(left, Histogram) and isinstance(right, Histogram):
        if operator in ("==", "!="):
            holds = _same(left, right) == (operator == "==")
            if node.returns_bool:
                return float(holds)
            return left if holds else None
        if operator in ("+", "-"):
            return _added(context, node, left, right)
    elif isinstance(left, Histogram) and isinstance(right, float):
        if operator == "*":
            return native.scaled(left, right)
        if operator == "/":
            return native.divided(left, right)
        if operator in TRIM:
            return estimates.trimmed(left, right, below=operator == "</")
    elif isinstance(right, Histogram) and isinstance(left, float) and operator == "*":
        return native.scaled(right, left)
    kinds = ["histogram" if isinstance(side, Histogram) else "float" for side in (left, right)]
    _info_types(context, node, *kinds)
    return None


def _info_types(context: Context, node: Binary, left: str, right: str) -> None:
    context.info(
        f'incompatible sample types encountered for binary operator "{node.operator}": {left} {node.operator} {right}',
        node,
    )


def _added(context: Context, node: Binary, left: Histogram, right: Histogram) -> Histogram | None:
    try:
        if node.operator == "+":
            result, reconciled = native.total([left, right])
        else:
            result, reconciled = native.difference(left, right)
    except native.IncompatibleError:
        context.warn("vector contains a mix of histograms with exponential and custom buckets schemas", node)
        return None
    if reconciled:
        what = "addition" if node.operator == "+" else "subtraction"
        context.info(f"mismatched custom buckets were reconciled during {what}", node)
    return result


def _same(left: Histogram, right: Histogram) -> bool:
    same = (left.count, left.sum, left.scale, left.zero_count, left.bounds, left.positive, left.negative)
    return same == (right.count, right.sum, right.scale, right.zero_count, right.bounds, right.positive, right.negative)


def _objects(vector: Vector, positions: Integers) -> Objects | None:
    if vector.histograms is None or not vector.histograms.mask[positions].any():
        return None
    found: Objects = vector.histograms.objects()[positions]
    return found


def _vector(shape: Shape, size: int, positions: Integers, outcome: _Outcome) -> Vector:
    values = np.full(size, np.nan)
    present = np.zeros(size, dtype=np.bool_)
    # Only what is kept is written: several pairs may lead to one position, all but one of them filtered out.
    positions = positions[outcome.keep]
    values[positions] = outcome.values[outcome.keep]
    present[positions] = True
    histograms = None
    if outcome.objects is not None:
        objects = np.full(size, None, dtype=object)
        objects[positions] = outcome.objects[outcome.keep]
        mask = np.array([item is not None for item in objects]) & present
        histograms = Histograms(mask, objects=objects) if mask.any() else None
    return Vector(shape, values, present, histograms)


def _drops_name(node: Binary) -> bool:
    return node.operator in ARITHMETIC or node.returns_bool


def vector_scalar(context: Context, node: Binary, vector: Vector, scalar: float, *, scalar_left: bool) -> Vector:
    """A vector and a scalar, on whichever side."""
    shape = vector.shape.without_name() if _drops_name(node) else vector.shape
    if _drops_name(node):
        vector.at(shape)
    if vector.histograms is None and node.operator not in TRIM:
        number = np.float64(scalar)
        left, right = (number, vector.values) if scalar_left else (vector.values, number)
        if node.operator in ARITHMETIC:
            return Vector(shape, ARITHMETIC[node.operator](left, right), vector.present)  # type: ignore[arg-type]
        holds = COMPARISON[node.operator](left, right)  # type: ignore[arg-type]
        if node.returns_bool:
            return Vector(shape, holds.astype(np.float64), vector.present)
        return Vector(shape, vector.values, vector.present & holds, None, vector.order)
    positions = np.nonzero(vector.present)[0]
    floats, objects = vector.values[positions], _objects(vector, positions)
    number_array = np.full(positions.size, scalar)
    sides = _Sides(number_array, floats, None, objects) if scalar_left else _Sides(floats, number_array, objects, None)
    return _vector(shape, len(shape), positions, _operate(context, node, sides, kept=floats))


def vectors(context: Context, node: Binary, left: Vector, right: Vector) -> Vector:
    """Two vectors."""
    matching = node.matching or Matching()
    if node.operator in SETS:
        return _set(node.operator, matching, left, right)
    if matching.fill_left is not None or matching.fill_right is not None:
        left, right = filled(left, right, matching)
    if not left.present.any() or not right.present.any():
        return empty_vector()
    swapped = matching.cardinality is Cardinality.ONE_TO_MANY
    many, one = (right, left) if swapped else (left, right)
    pairs = pairing(many.shape, one.shape, matching.labels, on=matching.on)
    many_at, one_at = _match(pairs, many, one, matching, swapped=swapped)
    out, shape = _result_labels(node, many.shape, one.shape, many_at, one_at)
    if swapped:
        sides = _Sides(one.values[one_at], many.values[many_at], _objects(one, one_at), _objects(many, many_at))
    else:
        sides = _Sides(many.values[many_at], one.values[one_at], _objects(many, many_at), _objects(one, one_at))
    outcome = _operate(context, node, sides)
    if matching.cardinality is not Cardinality.ONE_TO_ONE:
        _refuse_collisions(out[outcome.keep], shape)
    return _vector(shape, len(shape), out, outcome)


def _refuse_collisions(out: Integers, shape: Shape) -> None:
    """Two results with the same labels are an error; what a comparison filtered out collides with nothing."""
    same = shape.same()
    if int(np.bincount(out if same is None else same[out]).max(initial=0)) > 1:
        raise EvaluationError("multiple matches for labels: grouping labels must ensure unique matches")


def _match(
    pairs: Pairing, many: Vector, one: Vector, matching: Matching, *, swapped: bool
) -> tuple[Integers, Integers]:
    """The pairs of positions that match."""
    many_groups, one_groups, one_of = pairs.left.ids, pairs.right.ids, pairs.right_of
    one_present = np.nonzero(one.present)[0]
    groups = one_groups[one_present]
    number = int(one_groups.max(initial=-1)) + 1
    times = np.bincount(groups, minlength=number)
    if int(times.max(initial=0)) > 1:
        _refuse_duplicates(one, one_present[groups == int(np.argmax(times > 1))], matching, swapped=swapped)
    holder = np.full(number + 1, -1, dtype=np.intp)  # the last one is for "no such group", index -1
    holder[groups] = one_present
    many_at = np.nonzero(many.present)[0]
    one_at = holder[one_of[many_groups[many_at]]]
    matched = one_at >= 0
    many_at, one_at = many_at[matched], one_at[matched]
    # Refused also where a comparison filters all but one away (2.42 did not see that).
    if matching.cardinality is Cardinality.ONE_TO_ONE and int(np.bincount(many_groups[many_at]).max(initial=0)) > 1:
        raise EvaluationError(
            "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
        )
    return many_at, one_at


def _refuse_duplicates(one: Vector, positions: Integers, matching: Matching, *, swapped: bool) -> None:
    found = sorted(_braces(one.shape.label(int(position))) for position in positions[:2])
    labels = one.shape.label(int(positions[0]))
    group = labels.only(matching.labels) if matching.on else labels.without((*matching.labels, METRIC_NAME))
    side = "left" if swapped else "right"
    raise EvaluationError(
        f"found duplicate series for the match group {_braces(group)} on the {side} hand-side of the operation: "
        f"[{', '.join(found)}];many-to-many matching not allowed: matching labels must be unique on one side"
    )


def _braces(labels: Labels) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels.pairs) + "}"


def _result_labels(
    node: Binary, many: Shape, one: Shape, many_at: Integers, one_at: Integers
) -> tuple[Integers, Shape]:
    """Where each pair's result goes, and the shape it goes in."""
    matching = node.matching or Matching()
    shape = many
    if matching.cardinality is Cardinality.ONE_TO_ONE:
        if matching.on or _drops_name(node):
            groups = shape.grouping(matching.labels, without=not matching.on)
            return groups.ids[many_at], groups.shape
        if not matching.labels:
            return many_at, shape
        ignored = tuple(sorted(matching.labels))
        return many_at, shape.changed(("less", ignored), lambda labels: labels.without(ignored))
    if _drops_name(node):
        shape = shape.without_name()
    if not matching.include:
        out = many_at
    else:
        included = tuple(sorted(matching.include))
        key = ("include", one, included)
        joined: _Joined = shape.remember(key, lambda: _Joined(shape, one, included))
        out = joined.positions(many_at, one_at)
        shape = joined.shape
    return out, shape


class _Joined:
    """The labels of pairs: the many side's, with some of the one side's."""

    def __init__(self, many: Shape, one: Shape, included: Sequence[str]) -> None:
        self.shape = Table()
        self._many, self._one, self._included = many, one, included
        self._known: dict[tuple[int, int], int] = {}

    def positions(self, many_at: Integers, one_at: Integers) -> Integers:
        """Where the results of these pairs go."""
        found = []
        for pair in zip(many_at.tolist(), one_at.tolist(), strict=True):
            position = self._known.get(pair)
            if position is None:
                one = self._one.label(pair[1])
                labels = self._many.label(pair[0]).with_labels({name: one.get(name, "") for name in self._included})
                position = self._known[pair] = self.shape.position(labels)
            found.append(position)
        return np.array(found, dtype=np.intp)


def _set(operator: str, matching: Matching, left: Vector, right: Vector) -> Vector:
    pairs = pairing(left.shape, right.shape, matching.labels, on=matching.on)
    if operator == "or":
        return _either(pairs, left, right)
    number = int(pairs.right.ids.max(initial=-1)) + 1
    there = np.zeros(number + 1, dtype=np.bool_)
    there[pairs.right.ids[right.present]] = True
    there[number] = False
    matched = there[pairs.right_of[pairs.left.ids]]
    return left.kept(matched if operator == "and" else ~matched)


def _either(pairs: Pairing, left: Vector, right: Vector) -> Vector:
    left_groups, right_groups, right_of = pairs.left.ids, pairs.right.ids, pairs.right_of
    number = int(right_groups.max(initial=-1)) + 1
    covered = np.zeros(number + 1, dtype=np.bool_)
    covered[right_of[left_groups[left.present]]] = True
    right = right.kept(~covered[right_groups])
    union: Union = left.shape.remember(("union", right.shape), lambda: Union(left.shape, right.shape))
    union.follow()
    size = len(union)
    values = np.full(size, np.nan)
    present = np.zeros(size, dtype=np.bool_)
    objects: Objects | None = None
    for vector, places in ((left, union.left), (right, union.right)):
        values[places] = vector.values
        present[places] = vector.present
        if vector.histograms is not None:
            objects = np.full(size, None, dtype=object) if objects is None else objects
            objects[places] = vector.histograms.objects()
    if objects is None:
        return Vector(union, values, present)
    mask = np.array([item is not None for item in objects]) & present
    return Vector(union, values, present, Histograms(mask, objects=objects))
