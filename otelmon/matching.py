"""Matchers: the conditions by which a selector, a silence or a route picks label sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from otelmon.re2 import full_match


class MatchOperator(StrEnum):
    """How a matcher compares a label's value."""

    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """One condition, ``name operator "value"``; regular expressions are RE2 and match the whole value.

    Raises re2.RegexError (a ValueError) for a regular expression that RE2 refuses.
    """

    name: str
    operator: MatchOperator
    value: str
    _test: Callable[[str], bool] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_test", _test(self.operator, self.value))

    def matches(self, value: str) -> bool:
        """Whether a label of this value meets the condition; the value of an absent label is empty."""
        return self._test(value)

    def __str__(self) -> str:
        escaped = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.name}{self.operator}"{escaped}"'


def _test(operator: MatchOperator, expected: str) -> Callable[[str], bool]:
    if operator is MatchOperator.EQUAL:
        return expected.__eq__
    if operator is MatchOperator.NOT_EQUAL:
        return expected.__ne__
    matches = full_match(expected)
    if operator is MatchOperator.REGEX:
        return matches
    return lambda value: not matches(value)
