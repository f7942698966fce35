"""Templates of annotations and labels: Go's text/template with Prometheus's variables and functions.

https://pkg.go.dev/text/template, https://prometheus.io/docs/prometheus/latest/configuration/template_reference/. An
error leaves the raw text and says why: an alert is never lost for its text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from otelmon.rules.gotemplate.execute import execute
from otelmon.rules.gotemplate.nodes import Action, Branch, Call, Constant, FunctionName, Path, Pipeline, Template
from otelmon.rules.gotemplate.parse import parse
from otelmon.rules.gotemplate.values import Object, TemplateError, TemplateValue
from otelmon.rules.template_functions import FUNCTIONS, WITH_SURROUNDINGS, RunQuery, surrounding_functions

_DIRECTIVE = re.compile(r"%[-+# 0-9.]*([a-zA-Z%])")
_NAMES = frozenset(FUNCTIONS) | frozenset(WITH_SURROUNDINGS)
# What Prometheus puts before every template: {{$labels := .Labels}}{{$value := .Value}}...
_VARIABLES = {
    "$labels": "Labels",
    "$externalLabels": "ExternalLabels",
    "$externalURL": "ExternalURL",
    "$value": "Value",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expanded:
    """A template's result. ``error`` is empty when all went well; otherwise ``text`` is the template as written."""

    text: str
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a template may ask for beside its alert.

    ``query`` evaluates an expression at ``at`` (unix seconds), None where there are no data. ``external_labels`` and
    ``external_url`` say which monitor this is and where it is found.
    """

    query: RunQuery | None = None
    at: float = 0.0
    external_labels: Mapping[str, str] = field(default_factory=dict)
    external_url: str = ""


class _AlertData(Object):
    """The dot of an alert's templates."""

    def __init__(self, fields: Mapping[str, TemplateValue]) -> None:
        self._fields = fields

    def fields(self) -> Mapping[str, TemplateValue]:
        """Labels, ExternalLabels, ExternalURL and Value."""
        return self._fields


def expand(text: str, labels: Mapping[str, str], value: float, surroundings: Surroundings | None = None) -> Expanded:
    """The text with its actions replaced, for an alert's labels and value. Never raises."""
    if "{{" not in text:
        return Expanded(text=text)
    around = surroundings or Surroundings()
    data: dict[str, TemplateValue] = {
        "Labels": dict(labels),
        "ExternalLabels": dict(around.external_labels),
        "ExternalURL": around.external_url,
        "Value": float(value),
    }
    functions = FUNCTIONS | surrounding_functions(query=around.query, at=around.at, external_url=around.external_url)
    variables = {variable: data[name] for variable, name in _VARIABLES.items()}
    try:
        result = execute(_parsed(text), _AlertData(data), functions=functions, variables=variables)
    except TemplateError as error:
        return Expanded(text=text, error=f"at character {error.offset + 1}: {error.message}")
    except RecursionError:
        return Expanded(text=text, error="its parts are nested too deeply")
    return Expanded(text=result)


def queries(text: str) -> tuple[str, ...]:
    """The expressions that a template hands to ``query`` as a constant, or as the constant format of a ``printf``.

    What a format leaves open is filled with a letter, since that is nearly always a label's value. An expression that
    is put together in another way is not seen.
    """
    try:
        template = _parsed(text) if "query" in text else None
    except TemplateError:
        template = None
    return () if template is None else tuple(_queries((template.body, tuple(template.defined.values()))))


def _queries(node: object) -> Iterator[str]:
    """The constants of every pipeline in which ``query`` is called, wherever in the template it stands."""
    if isinstance(node, Pipeline):
        constants = list(_constants(node))
        inner = [operand.base for command in node.commands for operand in (command.head, *command.arguments)
                 if isinstance(operand, Path) and isinstance(operand.base, Pipeline)]  # fmt: skip
        if any(isinstance(command.head, FunctionName) and command.head.name == "query" for command in node.commands):
            formats = [value for pipeline in inner for value in _constants(pipeline)]
            yield from (_DIRECTIVE.sub(_filled, text) for text in (*constants, *formats))
        for pipeline in inner:
            yield from _queries(pipeline)
    elif isinstance(node, tuple):
        for item in node:
            yield from _queries(item)
    elif isinstance(node, Branch):
        yield from _queries((node.pipeline, node.body, node.otherwise))
    elif isinstance(node, Action | Call):
        yield from _queries(node.pipeline)


def _constants(pipeline: Pipeline) -> Iterator[str]:
    for command in pipeline.commands:
        for operand in (command.head, *command.arguments):
            if isinstance(operand, Constant) and isinstance(operand.value, str):
                yield operand.value


def _filled(directive: re.Match[str]) -> str:
    return {"%": "%", "q": '"x"', "d": "1", "f": "1", "g": "1"}.get(directive[1], "x")


def template_fault(text: str) -> TemplateError | None:
    """What is wrong with a template, found without expanding it; None if nothing is."""
    if "{{" not in text:
        return None
    try:
        _parsed(text)
    except TemplateError as error:
        return error
    return None


@lru_cache(maxsize=2048)
def _parsed(text: str) -> Template:
    return parse(text, functions=_NAMES, variables=tuple(_VARIABLES))
