"""One expression for both forms of histograms, made into one for a Prometheus that stores only one of them.

otelmon's own rules ask for either: ``histogram_quantile(.95, sum(rate(x[5m]))) or histogram_quantile(.95, sum by (le)
(rate(x_bucket[5m])))``, and they count by ``x_count``, which a native histogram has in otelmon. In Prometheus a native
histogram is one series, counted by ``histogram_count(rate(x[5m]))``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from enum import StrEnum

from otelmon.labels import METRIC_NAME
from otelmon.promql.analyze import metric_names, walk
from otelmon.promql.ast import Aggregate, Binary, Call, Expr, Matcher, MatrixSelector, VectorSelector

_OWN = (
    "http_server_request_duration_seconds",
    "otelmon_event_stream_duration_seconds",
    "otelmon_websocket_duration_seconds",
)
_OF_HISTOGRAM = {"_count": "histogram_count", "_sum": "histogram_sum"}
# Functions of a range that give a histogram of histograms, of which a count and a sum can be taken.
_KEEPS_HISTOGRAMS = {"rate", "increase", "irate", "delta", "idelta", "avg_over_time", "sum_over_time", "last_over_time"}


class HistogramForm(StrEnum):
    """How a Prometheus stores histograms: ``_bucket`` series, or native ones."""

    CLASSIC = "classic"
    NATIVE = "native"


class NoSuchFormError(ValueError):
    """The expression asks for what histograms of the wanted form do not have; the text says what."""


def histogram_names(exprs: Iterable[Expr]) -> frozenset[str]:
    """The histograms that expressions ask for, known by their ``_bucket`` series or being otelmon's own."""
    asked = {name for expr in exprs for name in metric_names(expr)}
    return frozenset({*_OWN, *(name.removesuffix("_bucket") for name in asked if name.endswith("_bucket"))})


def in_form(expr: Expr, form: HistogramForm, histograms: frozenset[str]) -> Expr:
    """The expression for histograms of one form only. Raises NoSuchFormError."""
    made = _in_form(expr, form, histograms)
    for node in walk(made):
        if isinstance(node, VectorSelector) and _form_of(node, histograms) not in (None, form):
            raise NoSuchFormError(f"it asks for {node.name}, which {form} histograms do not have")
    return made


def _form_of(selector: VectorSelector, histograms: frozenset[str]) -> HistogramForm | None:
    """The form of which a selected series is; None for what is no histogram."""
    if selector.name in histograms:
        return HistogramForm.NATIVE
    base, _, suffix = selector.name.rpartition("_")
    return HistogramForm.CLASSIC if base in histograms and suffix in {"bucket", "count", "sum"} else None


def _in_form(node: Expr, form: HistogramForm, histograms: frozenset[str]) -> Expr:
    match node:
        case Binary(operator="or", left=left, right=right):
            forms = [_forms(side, histograms) for side in (left, right)]
            if forms[0] != forms[1] and all(len(found) == 1 for found in forms):
                # One side a form: the one that fits is all.
                kept = left if forms[0] == {form} else right
                return _in_form(kept, form, histograms)
        case Call(function=function, arguments=arguments) if form is HistogramForm.NATIVE:
            for place, argument in enumerate(arguments):
                if isinstance(argument, MatrixSelector) and function in _KEEPS_HISTOGRAMS:
                    taken = _native(argument.selector, histograms)
                    if taken is not None:
                        selector, of_histogram = taken
                        inner = (*arguments[:place], replace(argument, selector=selector), *arguments[place + 1 :])
                        return _wrapped(replace(node, arguments=inner), of_histogram)
        case Aggregate(grouping=grouping, without=False) if form is HistogramForm.NATIVE and "le" in grouping:
            grouping = tuple(label for label in grouping if label != "le")
            return replace(node, expr=_in_form(node.expr, form, histograms), grouping=grouping)
        case VectorSelector() if form is HistogramForm.NATIVE:
            taken = _native(node, histograms)
            if taken is not None:
                return _wrapped(taken[0], taken[1])
    return _with_children(node, form, histograms)


def _forms(expr: Expr, histograms: frozenset[str]) -> set[HistogramForm]:
    found = {_form_of(node, histograms) for node in walk(expr) if isinstance(node, VectorSelector)}
    return {form for form in found if form is not None}


def _native(selector: VectorSelector, histograms: frozenset[str]) -> tuple[VectorSelector, str] | None:
    """The native histogram in place of a classic series, and the function that takes its count or sum, if any."""
    base, _, suffix = selector.name.rpartition("_")
    if base not in histograms or suffix not in {"bucket", "count", "sum"}:
        return None
    if any(matcher.name == "le" for matcher in selector.matchers):
        raise NoSuchFormError(f"it asks for one bucket of {base} by its le, which native histograms do not have")
    matchers = tuple(
        Matcher(name=METRIC_NAME, operator=matcher.operator, value=base) if matcher.name == METRIC_NAME else matcher
        for matcher in selector.matchers
    )
    return replace(selector, name=base, matchers=matchers), _OF_HISTOGRAM.get(f"_{suffix}", "")


def _wrapped(node: Expr, function: str) -> Expr:
    return Call(function=function, arguments=(node,), start=node.start, end=node.end) if function else node


def _with_children(node: Expr, form: HistogramForm, histograms: frozenset[str]) -> Expr:
    """The node with each expression within it changed."""
    changed: dict[str, object] = {}
    for field in fields(node):
        value = getattr(node, field.name)
        if isinstance(value, tuple):
            changed[field.name] = tuple(_changed(item, form, histograms) for item in value)
        elif isinstance(node, MatrixSelector):
            continue  # its selector is a range's, not a vector's
        else:
            changed[field.name] = _changed(value, form, histograms)
    return node if all(getattr(node, name) == value for name, value in changed.items()) else replace(node, **changed)  # type: ignore[arg-type]


def _changed(value: object, form: HistogramForm, histograms: frozenset[str]) -> object:
    return _in_form(value, form, histograms) if isinstance(value, Expr) else value
