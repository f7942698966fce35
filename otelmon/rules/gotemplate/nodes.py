"""What a template is made of once it is parsed (Go, text/template/parse). Offsets count characters from 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from otelmon.rules.gotemplate.values import TemplateValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """A string, number, character, boolean or nil."""

    value: TemplateValue
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """``.a.b``, ``$x.a`` or ``(pipeline).a``: names from a value down.

    ``base`` is None for the dot, the variable's name, or the pipeline in parentheses.
    """

    base: str | Pipeline | None
    names: tuple[str, ...]
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionName:
    """A function, as the head of a command or called without arguments."""

    name: str
    offset: int


Operand = Constant | Path | FunctionName


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """An operand, with arguments where it is a function or a method."""

    head: Operand
    arguments: tuple[Operand, ...]
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """Commands, each given the value of the one before; the last value goes to ``variables``, if there are any.

    ``declares`` tells ``:=`` from ``=``.
    """

    commands: tuple[Command, ...]
    variables: tuple[str, ...] = ()
    declares: bool = True
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Text between actions."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A pipeline whose value is printed, unless it sets variables."""

    pipeline: Pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """``if``, ``with`` or ``range``, with what to do otherwise."""

    kind: str
    pipeline: Pipeline
    body: Body
    otherwise: Body
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """``break`` or ``continue``."""

    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """``template "name" pipeline``."""

    name: str
    pipeline: Pipeline | None
    offset: int


Node = Text | Action | Branch | Jump | Call
Body = tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A whole text: its body, and the bodies of the templates that it defines, by name."""

    body: Body
    defined: Mapping[str, Body]
