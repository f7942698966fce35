"""Templates of annotations and labels: the part of Go's template language that rules use most.

Values, fields, pipelines and functions, as Go's text/template and Prometheus's template package define them
(https://pkg.go.dev/text/template, https://prometheus.io/docs/prometheus/latest/configuration/template_reference/).
Control structures (if, range, with, define) and functions that query are refused at expansion, which leaves the raw
text and says why: an alert is never lost for its text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from otelmon.rules.gotext import FUNCTIONS, LATER_FUNCTIONS, TemplateValue, go_text

_KEYWORDS = {"if", "else", "end", "range", "with", "define", "template", "block", "break", "continue"}
_DEEPEST = 30
_SPACES = " \t\r\n"
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "'": "'", "\\": "\\"}
# What Prometheus puts before every template: {{$labels := .Labels}}{{$value := .Value}}...
_VARIABLES = {
    "$labels": "Labels",
    "$value": "Value",
    "$externalLabels": "ExternalLabels",
    "$externalURL": "ExternalURL",
}


class TemplateError(Exception):
    """What is wrong with a template, and at which character (``offset`` from 0) of its text.

    ``later`` marks what is Go's language but not expanded here: no fault of who wrote it.
    """

    def __init__(self, message: str, offset: int, *, later: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.later = later


@dataclass(frozen=True, slots=True, kw_only=True)
class Expanded:
    """A template's result. ``error`` is empty when all went well; otherwise ``text`` is the template as written."""

    text: str
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    kind: str  # one of: field variable word string number pipe open close
    text: str
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Constant:
    value: TemplateValue


@dataclass(frozen=True, slots=True, kw_only=True)
class _Path:
    """``.Labels.x`` or ``$labels.x``: names from the top of the data down."""

    names: tuple[str, ...]
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Command:
    """A function with its arguments; ``function`` is empty for a lone operand, which is the first argument."""

    function: str
    arguments: tuple[_Operand, ...]
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pipeline:
    commands: tuple[_Command, ...]


_Operand = _Constant | _Path | _Pipeline
_Template = tuple[str | _Pipeline, ...]


def expand(text: str, labels: Mapping[str, str], value: float) -> Expanded:
    """The text with its actions replaced, for an alert's labels and value. Never raises."""
    if "{{" not in text:
        return Expanded(text=text)
    data: dict[str, TemplateValue] = {
        "Labels": dict(labels), "Value": float(value), "ExternalLabels": {}, "ExternalURL": ""
    }  # fmt: skip
    try:
        parts = [part if isinstance(part, str) else go_text(_evaluate(part, data)) for part in _parse(text)]
    except TemplateError as error:
        return Expanded(text=text, error=f"at character {error.offset + 1}: {error.message}")
    return Expanded(text="".join(parts))


def template_fault(text: str) -> TemplateError | None:
    """What is wrong with a template, found without expanding it; None if nothing is."""
    if "{{" not in text:
        return None
    try:
        _parse(text)
    except TemplateError as error:
        return None if error.later else error
    return None


@lru_cache(maxsize=2048)
def _parse(text: str) -> _Template:
    """Text and pipelines in turn. Raises TemplateError."""
    parts: list[str | _Pipeline] = []
    position = 0
    trim_next = False
    while True:
        opening = text.find("{{", position)
        literal = text[position:] if opening < 0 else text[position:opening]
        if trim_next:
            literal = literal.lstrip(_SPACES)
        if opening < 0:
            parts.append(literal)
            return tuple(part for part in parts if part != "")
        begin = opening + 2
        if text[begin : begin + 1] == "-" and text[begin + 1 : begin + 2] in tuple(_SPACES):
            literal = literal.rstrip(_SPACES)
            begin += 2
        parts.append(literal)
        tokens, position, trim_next = _scan_action(text, begin, opening)
        if tokens is not None:
            parts.append(_Parser(tokens, opening).whole())


def _scan_action(text: str, begin: int, opening: int) -> tuple[list[_Token] | None, int, bool]:
    """The tokens up to ``}}`` (None for a comment), the position after it, and whether it trims what follows."""
    if text.startswith("/*", begin):
        closing = text.find("*/", begin)
        rest = text[closing + 2 :] if closing >= 0 else ""
        for mark, trims in (("}}", False), (" -}}", True)):
            if rest.startswith(mark):
                return None, closing + 2 + len(mark), trims
        raise TemplateError("a comment that is not closed by */}}", opening)
    tokens: list[_Token] = []
    position = begin
    while position < len(text):
        if text.startswith("}}", position):
            return tokens, position + 2, False
        if text.startswith("-}}", position) and text[position - 1] in _SPACES:
            return tokens, position + 3, True
        if text[position] in _SPACES:
            position += 1
            continue
        token, position = _scan_token(text, position)
        tokens.append(token)
    raise TemplateError("{{ is not closed by }}", opening)


def _scan_token(text: str, position: int) -> tuple[_Token, int]:
    character = text[position]
    simple = {"|": "pipe", "(": "open", ")": "close"}.get(character)
    if simple is not None:
        return _Token(kind=simple, text=character, offset=position), position + 1
    if character in '"`':
        return _scan_string(text, position)
    end = position + 1
    if character in "$." or character.isalpha() or character == "_":
        while end < len(text) and (text[end].isalnum() or text[end] in "_."):
            end += 1
        word = text[position:end]
        kind = "variable" if character == "$" else "field" if character == "." else "word"
        if ".." in word or (word.endswith(".") and word != "."):
            raise TemplateError(f"{word!r} is no name", position)
        return _Token(kind=kind, text=word, offset=position), end
    if character.isdigit() or (character in "+-" and text[end : end + 1].isdigit()):
        while end < len(text) and (
            text[end].isalnum() or text[end] == "." or (text[end] in "+-" and text[end - 1] in "eE")
        ):
            end += 1
        return _Token(kind="number", text=text[position:end], offset=position), end
    raise TemplateError(f"{character!r} cannot stand here", position)


def _scan_string(text: str, position: int) -> tuple[_Token, int]:
    quote = text[position]
    if quote == "`":
        closing = text.find("`", position + 1)
        if closing < 0:
            raise TemplateError("a string that is not closed", position)
        return _Token(kind="string", text=text[position + 1 : closing], offset=position), closing + 1
    characters: list[str] = []
    index = position + 1
    while index < len(text) and text[index] not in '"\n':
        if text[index] == "\\":
            escaped = text[index + 1 : index + 2]
            if escaped not in _ESCAPES:
                raise TemplateError(f"the escape \\{escaped} is not known", index)
            characters.append(_ESCAPES[escaped])
            index += 2
        else:
            characters.append(text[index])
            index += 1
    if text[index : index + 1] != '"':
        raise TemplateError("a string that is not closed", position)
    return _Token(kind="string", text="".join(characters), offset=position), index + 1


class _Parser:
    """One action's tokens into a pipeline."""

    def __init__(self, tokens: list[_Token], opening: int) -> None:
        self._tokens = tokens
        self._next = 0
        self._opening = opening
        self._depth = 0

    def whole(self) -> _Pipeline:
        """The pipeline of the whole action."""
        first = self._peek()
        if first is None:
            raise TemplateError("nothing between {{ and }}", self._opening)
        if first.kind == "word" and first.text in _KEYWORDS:
            raise TemplateError(f"{first.text!r} is not expanded by this version", first.offset, later=True)
        pipeline = self._pipeline()
        rest = self._peek()
        if rest is not None:
            raise TemplateError(f"{rest.text!r} cannot stand here", rest.offset)
        return pipeline

    def _peek(self) -> _Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _pipeline(self) -> _Pipeline:
        commands = [self._command(piped=False)]
        while (token := self._peek()) is not None and token.kind == "pipe":
            self._next += 1
            commands.append(self._command(piped=True))
        return _Pipeline(commands=tuple(commands))

    def _command(self, *, piped: bool) -> _Command:
        first = self._peek()
        if first is None or first.kind in ("pipe", "close"):
            raise TemplateError("a value or a function is missing here", first.offset if first else self._opening)
        if first.kind == "word" and first.text not in ("true", "false"):
            self._next += 1
            if first.text in LATER_FUNCTIONS:
                raise TemplateError(
                    f"the function {first.text!r} is not expanded by this version", first.offset, later=True
                )
            if first.text not in FUNCTIONS:
                raise TemplateError(f"there is no function {first.text!r}", first.offset)
            arguments: list[_Operand] = []
            while (token := self._peek()) is not None and token.kind not in ("pipe", "close"):
                arguments.append(self._operand())
            return _Command(function=first.text, arguments=tuple(arguments), offset=first.offset)
        operand = self._operand()
        if piped:
            raise TemplateError("only a function can stand after |", first.offset)
        return _Command(function="", arguments=(operand,), offset=first.offset)

    def _operand(self) -> _Operand:
        token = self._tokens[self._next]
        self._next += 1
        match token.kind:
            case "string":
                return _Constant(value=token.text)
            case "number":
                return _Constant(value=_number(token))
            case "field":
                return _Path(names=tuple(name for name in token.text.split(".") if name), offset=token.offset)
            case "variable":
                return self._variable(token)
            case "open":
                self._depth += 1
                if self._depth > _DEEPEST:
                    raise TemplateError(f"more than {_DEEPEST} parentheses inside each other", token.offset)
                pipeline = self._pipeline()
                self._depth -= 1
                closing = self._peek()
                if closing is None or closing.kind != "close":
                    raise TemplateError("( is not closed", token.offset)
                self._next += 1
                return pipeline
            case "word" if token.text in ("true", "false"):
                return _Constant(value=token.text == "true")
            case "word" if token.text in FUNCTIONS:
                raise TemplateError(f"put {token.text} and its arguments in parentheses", token.offset)
        raise TemplateError(f"{token.text!r} cannot stand here", token.offset)

    @staticmethod
    def _variable(token: _Token) -> _Path:
        head, *names = token.text.split(".")
        if head == "$":
            return _Path(names=tuple(names), offset=token.offset)
        if head not in _VARIABLES:
            raise TemplateError(f"there is no variable {head}; $labels and $value are set", token.offset)
        return _Path(names=(_VARIABLES[head], *names), offset=token.offset)


def _number(token: _Token) -> int | float:
    try:
        return int(token.text, 0)
    except ValueError:
        pass
    try:
        return float(token.text)
    except ValueError:
        raise TemplateError(f"{token.text!r} is no number", token.offset) from None


def _evaluate(pipeline: _Pipeline, data: dict[str, TemplateValue]) -> TemplateValue:
    piped: list[TemplateValue] = []
    for command in pipeline.commands:
        arguments = [_operand_value(argument, data) for argument in command.arguments] + piped
        if not command.function:
            piped = arguments
            continue
        try:
            piped = [FUNCTIONS[command.function](*arguments)]
        except TypeError as error:
            raise TemplateError(f"{command.function}: wrong number of arguments", command.offset) from error
        except (ValueError, OverflowError) as error:
            raise TemplateError(f"{command.function}: {error}", command.offset) from error
    return piped[0]


def _operand_value(operand: _Operand, data: dict[str, TemplateValue]) -> TemplateValue:
    match operand:
        case _Constant(value=value):
            return value
        case _Pipeline():
            return _evaluate(operand, data)
        case _Path(names=names, offset=offset):
            found: TemplateValue = data
            for depth, name in enumerate(names):
                if not isinstance(found, dict):
                    raise TemplateError(f"there is no .{name} here", offset)
                if depth == 0 and name not in data:
                    raise TemplateError(f"there is no .{name}; .Labels and .Value are set", offset)
                # A label that the alert does not have is empty (Prometheus sets missingkey=zero).
                found = found.get(name, "")
            return found
