"""Functions that make or change labels: label_replace, label_join, absent."""

from __future__ import annotations

import re

import numpy as np

from otelmon.automaton import doubles
from otelmon.labels import METRIC_NAME, Labels
from otelmon.matching import MatchOperator
from otelmon.promql.ast import Call, Expr, MatrixSelector, VectorSelector
from otelmon.promql.context import Context, string_of, vector_of
from otelmon.promql.plan import Shape
from otelmon.promql.vector import EvaluationError, Vector, empty_vector
from otelmon.re2 import RegexError, full_match, read


def _check_label(name: str) -> None:
    if not name or any(0xD800 <= ord(char) <= 0xDFFF for char in name):
        raise EvaluationError(f"invalid destination label name in label_replace(): {name!a}")


NESTED = "its nested repetitions may take for ever; write one repetition, such as a+ for (a+)+"
_REFERENCE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})")


def _expanded(template: str, found: re.Match[str]) -> str:
    """A template with ``$1``, ``${1}`` and ``${name}`` replaced (Go: Regexp.Expand); an unknown group is empty."""

    def group(reference: re.Match[str]) -> str:
        name = reference.group(1) or reference.group(2)
        if name is None:
            return "$"
        try:
            return found.group(int(name) if name.isdigit() else name) or ""
        except (IndexError, KeyError):
            return ""

    return _REFERENCE.sub(group, template)


def label_replace(context: Context, node: Call, at: float) -> Vector:
    """Set a label to a template where another matches a regular expression as a whole."""
    vector = vector_of(context, node.arguments[0], at)
    target, template, source, pattern = (string_of(context, argument, at) for argument in node.arguments[1:])
    _check_label(target)
    try:
        matches, backtracks = full_match(pattern), doubles(read(pattern))
        # RE2 decides what is valid; Python's own engine, which agrees on it, finds the groups.
        compiled = re.compile(pattern, re.DOTALL)
    except (RegexError, re.error) as error:
        raise EvaluationError(f"invalid regular expression in label_replace(): {pattern}: {error}") from error

    if backtracks:
        raise EvaluationError(f"label_replace() finds no groups by {pattern}: {NESTED}")

    def change(labels: Labels) -> Labels:
        text = labels.get(source, "")
        # What does not match is what takes backtracking long, so that is asked first.
        found = compiled.fullmatch(text) if matches(text) else None
        return labels if found is None else labels.with_label(target, _expanded(template, found))

    key = ("label_replace", target, template, source, pattern)
    return vector.at(vector.shape.changed(key, change))


def label_join(context: Context, node: Call, at: float) -> Vector:
    """Set a label to other labels' values, joined."""
    vector = vector_of(context, node.arguments[0], at)
    target, separator, *sources = (string_of(context, argument, at) for argument in node.arguments[1:])
    _check_label(target)

    def change(labels: Labels) -> Labels:
        return labels.with_label(target, separator.join(labels.get(source, "") for source in sources))

    return vector.at(vector.shape.changed(("label_join", target, separator, *sources), change))


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
