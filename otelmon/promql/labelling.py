"""Functions that make or change labels: label_replace, label_join, absent."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from otelmon.labels import METRIC_NAME, Labels
from otelmon.matching import MatchOperator
from otelmon.promql.ast import Call, Expr, MatrixSelector, VectorSelector
from otelmon.promql.context import Context, string_of, vector_of
from otelmon.promql.plan import Shape
from otelmon.promql.vector import EvaluationError, Vector, empty_vector
from otelmon.re2 import Found, RegexError, find_groups


def _check_label(name: str) -> None:
    if not name or any(0xD800 <= ord(char) <= 0xDFFF for char in name):
        raise EvaluationError(f"invalid destination label name in label_replace(): {name!a}")


_REFERENCE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})")


def _expanded(template: str, found: Found) -> str:
    """A template with ``$1``, ``${1}`` and ``${name}`` replaced (Go: Regexp.Expand); an unknown group is empty."""

    def group(reference: re.Match[str]) -> str:
        name = reference.group(1) or reference.group(2)
        return "$" if name is None else found.text(name)

    return _REFERENCE.sub(group, template)


def label_replace(context: Context, node: Call, at: float) -> Vector:
    """Set a label to a template where another matches a regular expression as a whole."""
    vector = vector_of(context, node.arguments[0], at)
    target, template, source, pattern = (string_of(context, argument, at) for argument in node.arguments[1:])
    _check_label(target)
    try:
        find = find_groups(pattern)
    except RegexError as error:
        raise EvaluationError(f"invalid regular expression in label_replace(): {pattern}: {error}") from error

    def change(labels: Labels) -> Labels | None:
        found = find(labels.get(source, ""))
        return None if found is None else labels.with_label(target, _expanded(template, found))

    return _relabelled(vector, ("label_replace", target, template, source, pattern), target, change)


def _relabelled(vector: Vector, key: tuple[str, ...], target: str, change: Callable[[Labels], Labels | None]) -> Vector:
    """The elements with labels changed (None: they stay as they are). A name that is given is not dropped again."""
    shape = vector.shape
    renames = target == METRIC_NAME and shape.named is not shape

    def changed(labels: Labels) -> Labels:
        found = change(labels)
        if found is not None:
            return found
        return labels.without((METRIC_NAME,)) if renames else labels

    return vector.at(shape.named.changed(("rename", *key), changed) if renames else shape.changed(key, changed))


def label_join(context: Context, node: Call, at: float) -> Vector:
    """Set a label to other labels' values, joined."""
    vector = vector_of(context, node.arguments[0], at)
    target, separator, *sources = (string_of(context, argument, at) for argument in node.arguments[1:])
    _check_label(target)

    def change(labels: Labels) -> Labels:
        return labels.with_label(target, separator.join(labels.get(source, "") for source in sources))

    return _relabelled(vector, ("label_join", target, separator, *sources), target, change)


def absent_labels(node: Expr) -> Labels:
    """What a missing series would surely be labelled: the selector's equality matchers, where a label has only one."""
    selector = node.selector if isinstance(node, MatrixSelector) else node
    if not isinstance(selector, VectorSelector):
        return Labels()
    values: dict[str, str] = {}
    seen: set[str] = set()
    for matcher in selector.matchers:
        if matcher.name == METRIC_NAME:
            continue
        if matcher.operator is MatchOperator.EQUAL and matcher.name not in seen:
            values[matcher.name] = matcher.value
            seen.add(matcher.name)
        else:
            values.pop(matcher.name, None)
    return Labels(values)


def _one(labels: Labels) -> Vector:
    return Vector(Shape([labels]), np.ones(1), np.ones(1, dtype=np.bool_))


def absent(context: Context, node: Call, at: float) -> Vector:
    """1 where the vector is empty."""
    if vector_of(context, node.arguments[0], at).present.any():
        return empty_vector()
    return _one(absent_labels(node.arguments[0]))


def absent_over_time(context: Context, node: Call, at: float) -> Vector:
    """1 where no series has a sample in the range."""
    matrix = context.matrix(node.arguments[0], at)
    if (matrix.float_count + matrix.histogram_count).any():
        return empty_vector()
    return _one(absent_labels(node.arguments[0]))
