"""What can go wrong, as one tree.

    OtelmonError
    ├── ConfigError      otelmon.yaml, a rule file or an environment variable: file, line, key, what to write instead
    ├── PromQLError      an expression: line and column in its text
    ├── StateError       the state directory or its database cannot be used
    │   └── LostLeaseError   another process has taken over what this one was writing for
    └── NotRunningError  a verb of the running monitor was called while none runs

Only the user's own calls (``start``, ``wrap``, the command line) raise these. Whatever happens later, in the
engine's threads or in a request, is counted and logged instead: our failure never reaches the host application.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class OtelmonError(Exception):
    """The base of every exception that otelmon raises on purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One fault in what a user wrote.

    ``file`` is the path as the user would type it (or the name of an environment variable), ``line`` and ``column``
    count from 1, ``key`` is the dotted path in the document, ``message`` says what is wrong and ``hint`` what to
    write instead.
    """

    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    key: str | None = None
    hint: str | None = None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        text = ": ".join(part for part in (place, self.key, self.message) if part)
        return f"{text}; {self.hint}" if self.hint else text


class ConfigError(OtelmonError):
    """The configuration cannot be meant as written; ``problems`` lists every fault found, not only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class PromQLError(OtelmonError):
    """An expression that cannot be parsed, or asks for what is not evaluated.

    ``start`` and ``end`` are character offsets in ``text``; ``line`` and ``column`` count from 1.
    """

    def __init__(self, message: str, *, text: str, start: int, end: int | None = None) -> None:
        self.message = message
        self.text = text
        self.start = start
        self.end = start if end is None else end
        self.line = text.count("\n", 0, start) + 1
        self.column = start - (text.rfind("\n", 0, start) + 1) + 1
        super().__init__(f"{self.line}:{self.column}: {message}")


class StateError(OtelmonError):
    """The state directory or the database in it cannot be used."""


class LostLeaseError(StateError):
    """Another process evaluates and pages by now: nothing that this one decided may be written or sent."""


class NotRunningError(OtelmonError):
    """A verb of the running monitor was called, and none runs in this process."""
