"""The functions that Go's template language itself has (https://pkg.go.dev/text/template#hdr-Functions)."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote_plus

from otelmon.rules.gotemplate.printf import printf
from otelmon.rules.gotemplate.values import (
    Arguments,
    Function,
    FunctionError,
    TemplateValue,
    equal,
    go_text,
    go_type,
    is_true,
    less,
)

_HTML = {"\0": "\ufffd", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;"}
_JS = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D"}


def text_of(value: TemplateValue) -> str:
    """A text, where nothing else will do."""
    if not isinstance(value, str):
        raise FunctionError(f"a string expected, not {go_text(value)}: {go_type(value)}")
    return value


def _index_of(value: TemplateValue, size: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise FunctionError(f"cannot index with {go_text(value)}: {go_type(value)}")
    if not 0 <= value < size:
        raise FunctionError(f"index out of range: {value}")
    return value


def index(value: TemplateValue, *keys: TemplateValue) -> TemplateValue:
    """``index $labels "http.route"``: an item of a map or a list, and of what is in there."""
    for key in keys:
        match value:
            case dict():
                value = value.get(text_of(key), None if isinstance(value, Arguments) else "")
            case list():
                value = value[_index_of(key, len(value))]
            case str():
                data = value.encode()
                value = data[_index_of(key, len(data))]
            case None:
                raise FunctionError("index of untyped nil")
            case _:
                raise FunctionError(f"cannot index {go_text(value)}: {go_type(value)}")
    return value


def slice_(value: TemplateValue, *bounds: TemplateValue) -> TemplateValue:
    """``slice x 1 2`` is ``x[1:2]`` of a text (in bytes) or a list."""
    if not isinstance(value, str | list):
        raise FunctionError(f"cannot slice {go_text(value)}: {go_type(value)}")
    if len(bounds) > (2 if isinstance(value, str) else 3):
        raise FunctionError(f"too many slice indexes: {len(bounds)}")
    content = value.encode() if isinstance(value, str) else value
    numbers = [_index_of(bound, len(content) + 1) for bound in bounds]
    if sorted(numbers) != numbers:
        raise FunctionError(f"invalid slice index: {numbers[0]} > {numbers[-1]}")
    start, end = numbers[0] if numbers else 0, numbers[1] if len(numbers) > 1 else len(content)
    part = content[start:end]
    return part.decode(errors="replace") if isinstance(part, bytes) else list(part)


def length(value: TemplateValue) -> int:
    """How many items, or bytes of a text."""
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, list | dict):
        return len(value)
    raise FunctionError(f"len of {go_text(value)}: {go_type(value)}")


def printed(values: Sequence[TemplateValue]) -> str:
    """Go's Sprint: a space between two values of which neither is a text."""
    parts: list[str] = []
    for position, value in enumerate(values):
        if position and not isinstance(value, str) and not isinstance(values[position - 1], str):
            parts.append(" ")
        parts.append(go_text(value))
    return "".join(parts)


def _joined(values: Sequence[TemplateValue]) -> str:
    return values[0] if len(values) == 1 and isinstance(values[0], str) else printed(values)


def _html(*values: TemplateValue) -> str:
    return "".join(_HTML.get(character, character) for character in _joined(values))


def _js(*values: TemplateValue) -> str:
    return "".join(_js_character(character) for character in _joined(values))


def _js_character(character: str) -> str:
    if character in _JS:
        return _JS[character]
    if character < " " or not character.isprintable():
        return "".join(f"\\u{unit:04X}" for unit in _utf16(character))
    return character


def _utf16(character: str) -> list[int]:
    data = character.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]


def query_escaped(text: str) -> str:
    """Go's url.QueryEscape."""
    return quote_plus(text, errors="replace")


def _eq(first: TemplateValue, *others: TemplateValue) -> bool:
    if not others:
        raise FunctionError("missing argument for comparison")
    return any(equal(first, other) for other in others)


def _decided(first: TemplateValue, *_others: TemplateValue) -> TemplateValue:
    """``and`` and ``or`` have a name and an arity here; execute.py evaluates them, as far as their arguments decide."""
    return first


def _call(function: TemplateValue, *_arguments: TemplateValue) -> TemplateValue:
    raise FunctionError(f"{go_text(function)} is no function; nothing that a template is given is one")


BUILTINS: dict[str, Function] = {
    "and": _decided,
    "or": _decided,
    "not": lambda value: not is_true(value),
    "eq": _eq,
    "ne": lambda one, other: not equal(one, other),
    "lt": less,
    "le": lambda one, other: less(one, other) or equal(one, other),
    # The inverses of le and lt, so that both hold for NaN.
    "gt": lambda one, other: not less(one, other) and not equal(one, other),
    "ge": lambda one, other: not less(one, other),
    "len": length,
    "index": index,
    "slice": slice_,
    "print": lambda *values: printed(values),
    "println": lambda *values: " ".join(go_text(value) for value in values) + "\n",
    "printf": lambda template, *values: printf(text_of(template), values),
    "html": _html,
    "js": _js,
    "urlquery": lambda *values: query_escaped(_joined(values)),
    "call": _call,
}
"""By the name that a template calls them."""
