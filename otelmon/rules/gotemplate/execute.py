"""Runs a parsed template on data (Go, text/template/exec.go), with a bound on all that could run away."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from functools import lru_cache

from otelmon.rules.gotemplate.nodes import (
    Action,
    Body,
    Branch,
    Call,
    Command,
    Constant,
    FunctionName,
    Jump,
    Operand,
    Path,
    Pipeline,
    Template,
    Text,
)
from otelmon.rules.gotemplate.values import (
    Arguments,
    Function,
    Object,
    TemplateError,
    TemplateValue,
    go_text,
    go_type,
    is_true,
)

# Annotations are a few lines: these bound what a template that runs away costs.
_MOST_NODES = 100_000
_MOST_CHARACTERS = 1_000_000
_DEEPEST_CALLS = 25

Variables = list[tuple[str, TemplateValue]]


def execute(
    template: Template,
    data: TemplateValue,
    *,
    functions: Mapping[str, Function],
    variables: Mapping[str, TemplateValue],
) -> str:
    """The template's text for these data. Raises TemplateError."""
    run = _Run(template, functions)
    run.body(template.body, data, [("$", data), *variables.items()])
    return "".join(run.parts)


class _Jumped(Exception):  # noqa: N818 (no error: break or continue on its way to its range)
    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class _Run:
    """One execution: what was printed so far, and how much was done."""

    def __init__(self, template: Template, functions: Mapping[str, Function]) -> None:
        self.parts: list[str] = []
        self._template = template
        self._functions = functions
        self._nodes = 0
        self._characters = 0
        self._calls = 0

    def body(self, body: Body, dot: TemplateValue, variables: Variables) -> None:
        """Run nodes; what they declare ends with them."""
        before = len(variables)
        for node in body:
            match node:
                case Text(text=text):
                    self._print(text, 0)
                case Action(pipeline=pipeline):
                    value = self._pipeline(pipeline, dot, variables)
                    if not pipeline.variables:
                        self._print("<no value>" if value is None else go_text(value), pipeline.offset)
                case Branch():
                    self._branch(node, dot, variables)
                case Jump(kind=kind):
                    raise _Jumped(kind)
                case Call():
                    self._call(node, dot, variables)
        del variables[before:]

    def _print(self, text: str, offset: int) -> None:
        self._spend(offset)
        self._characters += len(text)
        if self._characters > _MOST_CHARACTERS:
            raise TemplateError(f"it prints more than {_MOST_CHARACTERS} characters", offset)
        self.parts.append(text)

    def _spend(self, offset: int) -> None:
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise TemplateError(f"it takes more than {_MOST_NODES} steps", offset)

    def _call(self, node: Call, dot: TemplateValue, variables: Variables) -> None:
        body = self._template.defined.get(node.name)
        if body is None:
            raise TemplateError(f"template {node.name!r} is not defined", node.offset)
        given = None if node.pipeline is None else self._pipeline(node.pipeline, dot, variables)
        self._calls += 1
        if self._calls > _DEEPEST_CALLS:
            raise TemplateError(f"templates call each other more than {_DEEPEST_CALLS} deep", node.offset)
        self.body(body, given, [("$", given)])
        self._calls -= 1

    def _branch(self, node: Branch, dot: TemplateValue, variables: Variables) -> None:
        before = len(variables)
        if node.kind == "range":
            self._range(node, dot, variables)
        else:
            value = self._pipeline(node.pipeline, dot, variables)
            if is_true(value):
                self.body(node.body, value if node.kind == "with" else dot, variables)
            else:
                self.body(node.otherwise, dot, variables)
        del variables[before:]

    def _range(self, node: Branch, dot: TemplateValue, variables: Variables) -> None:
        pipeline = node.pipeline
        value = self._commands(pipeline, dot, variables)
        names = pipeline.variables
        before = len(variables)
        ran = False
        for key, item in _items(value, node.offset):
            ran = True
            self._spend(node.offset)
            # One variable takes the item (of a whole number: the number), two the index or key and the item.
            given = (item,) if len(names) == 1 else (key, item)
            for name, content in zip(names, given, strict=False):
                if pipeline.declares:
                    variables.append((name, content))
                else:
                    _assign(variables, name, content)
            try:
                self.body(node.body, item, variables)
            except _Jumped as jump:
                del variables[before:]
                if jump.kind == "break":
                    break
                continue
            del variables[before:]
        if not ran:
            self.body(node.otherwise, dot, variables)

    def _pipeline(self, pipeline: Pipeline, dot: TemplateValue, variables: Variables) -> TemplateValue:
        value = self._commands(pipeline, dot, variables)
        for name in pipeline.variables:
            if pipeline.declares:
                variables.append((name, value))
            else:
                _assign(variables, name, value)
        return value

    def _commands(self, pipeline: Pipeline, dot: TemplateValue, variables: Variables) -> TemplateValue:
        piped: tuple[TemplateValue, ...] = ()
        for command in pipeline.commands:
            self._spend(command.offset)
            piped = (self._command(command, piped, dot, variables),)
        return piped[0]

    def _command(
        self, command: Command, piped: tuple[TemplateValue, ...], dot: TemplateValue, variables: Variables
    ) -> TemplateValue:
        head = command.head
        if isinstance(head, FunctionName):
            if head.name in ("and", "or"):
                return self._lazy(command, head.name, piped, dot, variables)
            arguments = [self._operand(argument, dot, variables) for argument in command.arguments]
            return _called(self._functions[head.name], head.name, (*arguments, *piped), command.offset)
        if isinstance(head, Path) and head.names and (command.arguments or piped):
            owner = self._path(head, dot, variables, until=-1)
            method = owner.methods().get(head.names[-1]) if isinstance(owner, Object) else None
            if method is None:
                raise TemplateError(f".{head.names[-1]} is no function: it takes no arguments", head.offset)
            arguments = [self._operand(argument, dot, variables) for argument in command.arguments]
            return _called(method, head.names[-1], (*arguments, *piped), command.offset)
        if isinstance(head, Constant) and head.value is None:
            raise TemplateError("nil is no command", command.offset)
        return self._operand(head, dot, variables)

    def _lazy(
        self,
        command: Command,
        name: str,
        piped: tuple[TemplateValue, ...],
        dot: TemplateValue,
        variables: Variables,
    ) -> TemplateValue:
        """``and`` and ``or``: the first value that decides; what follows is not evaluated."""
        if not command.arguments and not piped:
            raise TemplateError(f"{name}: wrong number of arguments", command.offset)
        value: TemplateValue = None
        for argument in command.arguments:
            value = self._operand(argument, dot, variables)
            if is_true(value) == (name == "or"):
                return value
        return piped[0] if piped else value

    def _operand(self, operand: Operand, dot: TemplateValue, variables: Variables) -> TemplateValue:
        match operand:
            case Constant(value=value):
                return value
            case Path():
                return self._path(operand, dot, variables)
            case FunctionName(name=name, offset=offset):
                return _called(self._functions[name], name, (), offset)

    def _path(self, path: Path, dot: TemplateValue, variables: Variables, *, until: int | None = None) -> TemplateValue:
        match path.base:
            case None:
                value = dot
            case str(variable):
                value = next(content for name, content in reversed(variables) if name == variable)
            case Pipeline() as pipeline:
                value = self._pipeline(pipeline, dot, variables)
        for name in path.names[:until]:
            value = _field(value, name, path.offset)
        return value


def _assign(variables: Variables, name: str, value: TemplateValue) -> None:
    for index in range(len(variables) - 1, -1, -1):
        if variables[index][0] == name:
            variables[index] = (name, value)
            return


def _field(value: TemplateValue, name: str, offset: int) -> TemplateValue:
    match value:
        case Arguments():
            return value.get(name)
        case dict():
            # A label that the alert does not have is empty (Prometheus sets missingkey=zero).
            return value.get(name, "")
        case Object():
            fields, methods = value.fields(), value.methods()
            if name in fields:
                return fields[name]
            if name in methods:
                return _called(methods[name], name, (), offset)
            known = ", ".join(f".{each}" for each in (*fields, *methods))
            raise TemplateError(f"there is no .{name}; {known} are set", offset)
        case None:
            raise TemplateError(f"there is no .{name} of nothing", offset)
    raise TemplateError(f"there is no .{name} here: this is a {go_type(value)}", offset)


def _items(value: TemplateValue, offset: int) -> Iterator[tuple[TemplateValue, TemplateValue]]:
    match value:
        case None:
            return
        case list():
            yield from enumerate(value)
        case dict():
            for name in sorted(value):
                yield name, value[name]
        case int() if not isinstance(value, bool):
            for number in range(value):
                yield number, number
        case _:
            raise TemplateError(f"range cannot go over {go_text(value)}: {go_type(value)}", offset)


def _called(function: Function, name: str, arguments: tuple[TemplateValue, ...], offset: int) -> TemplateValue:
    low, high = _arity(function)
    if not low <= len(arguments) <= high:
        wanted = f"{low}" if low == high else f"at least {low}" if high > len(arguments) else f"{low} to {high}"
        message = f"{name}: wrong number of arguments: {len(arguments)} in place of {wanted}"
        raise TemplateError(message, offset)
    try:
        return function(*arguments)
    except (ValueError, OverflowError) as error:
        raise TemplateError(f"{name}: {error}", offset) from error


@lru_cache(maxsize=512)
def _arity(function: Function) -> tuple[int, float]:
    parameters = inspect.signature(function).parameters.values()
    fixed = sum(1 for parameter in parameters if parameter.kind is not parameter.VAR_POSITIONAL)
    return fixed, float("inf") if fixed < len(parameters) else fixed
