"""Values of templates: what is true, what is equal, and what they look like in text, as Go has it.

Go's types by Python's: nil is None, bool, int, float64 is float, string is str, map[string]string is dict,
map[string]interface{} is Arguments, a slice is list. A struct, and a value with methods, is an Object.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TypeAlias

TemplateValue: TypeAlias = (
    "str | int | float | bool | Object | list[TemplateValue] | dict[str, TemplateValue] | dict[str, str] | None"
)
Function = Callable[..., TemplateValue]

# Go, strconv.FormatFloat: the precision that %g takes for this decision when it prints the fewest digits.
_SHORTEST_EXPONENT = 6


class TemplateError(Exception):
    """What is wrong with a template, and at which character (``offset`` from 0) of its text."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


class FunctionError(ValueError):
    """What a function has against its arguments."""


class Arguments(dict[str, TemplateValue]):
    """A map[string]interface{}: a key that it lacks is no value, where a map[string]string has an empty text."""


class Object:
    """A struct, a time or a duration: fields and methods by name, a Go type, and a text."""

    go_type = "struct {}"

    def fields(self) -> Mapping[str, TemplateValue]:
        """Its fields."""
        return {}

    def methods(self) -> Mapping[str, Function]:
        """Its methods."""
        return {}

    def text(self) -> str:
        """As ``%v`` prints it."""
        return "{" + " ".join(go_text(value) for value in self.fields().values()) + "}"


def go_text(value: TemplateValue) -> str:
    """A value as Go's ``%v`` prints it."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case float():
            return shortest(value)
        case dict():
            return "map[" + " ".join(f"{name}:{go_text(value[name])}" for name in sorted(value)) + "]"
        case list():
            return "[" + " ".join(go_text(item) for item in value) + "]"
        case Object():
            return value.text()
    return str(value)


def go_type(value: TemplateValue) -> str:
    """The name of a value's type, as ``%T`` prints it."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "float64"
        case str():
            return "string"
        case Arguments():
            return "map[string]interface {}"
        case dict():
            return "map[string]string"
        case list():
            return "[]" + (go_type(value[0]) if value else "interface {}")
        case Object():
            return value.go_type


def not_finite(value: float) -> str:
    """``NaN``, ``+Inf`` or ``-Inf``."""
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def shortest(value: float) -> str:
    """Go's ``%v`` of a float64: the fewest digits that read back, with an exponent below 1e-4 and from 1e6 on."""
    if not math.isfinite(value):
        return not_finite(value)
    exact = Decimal(repr(value)).normalize()
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    sign, digits, _ = exact.as_tuple()
    if -4 <= exact.adjusted() < _SHORTEST_EXPONENT:
        return format(exact, "f")
    tail = "".join(map(str, digits[1:]))
    return f"{'-' * sign}{digits[0]}{'.' + tail if tail else ''}e{exact.adjusted():+03d}"


def is_true(value: TemplateValue) -> bool:
    """Whether ``if`` takes a value for true: not zero, not empty, not nil."""
    if value is None:
        return False
    if isinstance(value, Object):
        return True
    return bool(value)


def equal(one: TemplateValue, other: TemplateValue) -> bool:
    """Go's ``eq`` of two values; FunctionError where their kinds do not compare (1 and 1.0 do not)."""
    for value in (one, other):
        if isinstance(value, dict | list):
            raise FunctionError(f"non-comparable type {go_text(value)}: {go_type(value)}")
    if one is None or other is None:
        return one is None and other is None
    _same_kind(one, other)
    return one == other


def less(one: TemplateValue, other: TemplateValue) -> bool:
    """Go's ``lt`` of two numbers or two texts."""
    for value in (one, other):
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise FunctionError(f"invalid type for comparison: {go_type(value)}")
    _same_kind(one, other)
    return one < other  # type: ignore[operator]


def _same_kind(one: TemplateValue, other: TemplateValue) -> None:
    if type(one) is not type(other):
        hint = ""
        if {type(one), type(other)} == {int, float}:
            hint = " (a whole number and one with a point do not compare: write 5.0 for a float64)"
        raise FunctionError(f"incompatible types for comparison: {go_type(one)} and {go_type(other)}{hint}")
