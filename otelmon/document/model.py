"""What a document is made of: scalars, sections and lists, each with its place in the file."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property

from otelmon.document.offsets import Style, source_offset

# What an error shows of a value at most: enough to recognise it, never a page full.
_SHOWN_CHARACTERS = 60
# An address may carry a secret in its path (a webhook's token) or before its host; only its scheme is shown.
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)\S+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A line and a column of a file, both counted from 1."""

    line: int
    column: int


class Source:
    """The text of one file: ``name`` is the path as the user would type it."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text

    @cached_property
    def _line_starts(self) -> list[int]:
        starts = [0]
        starts.extend(index + 1 for index, character in enumerate(self.text) if character == "\n")
        return starts

    def place(self, index: int) -> Place:
        """The place of a character by its offset in the text."""
        bounded = max(0, min(index, len(self.text)))
        line = bisect_right(self._line_starts, bounded)
        return Place(line=line, column=bounded - self._line_starts[line - 1] + 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Node:
    """Part of a document; ``start`` and ``end`` are offsets in the source."""

    source: Source
    start: int
    end: int

    @property
    def place(self) -> Place:
        """Where it begins."""
        return self.source.place(self.start)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Part of a scalar's text after ``${NAME}`` was replaced: where it lies in the result and where it came from."""

    start: int
    written_start: int
    verbatim: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scalar(Node):
    """A single value.

    ``text`` is what was written, without quotes and with ``${NAME}`` replaced; ``value`` is what it stands for by the
    YAML 1.2 core schema (``on``, ``yes`` and ``5:30`` are text there). ``written`` is the text before replacement:
    errors show that one, so that a value from the environment never appears in them.
    """

    text: str
    value: str | int | float | bool | None
    written: str
    style: Style
    spans: tuple[Span, ...] = field(default=())

    @property
    def shown(self) -> str:
        """The value as an error may show it."""
        text = _URL.sub(r"\1...", " ".join(self.written.split()))
        return repr(text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "...")

    @property
    def is_plain(self) -> bool:
        """Whether it was written without quotes and not as a block."""
        return self.style is Style.PLAIN

    def place_at(self, offset: int) -> Place:
        """Where a character of ``text`` was written in the file."""
        written = offset
        for span in self.spans:
            if span.start <= offset:
                written = span.written_start + (offset - span.start if span.verbatim else 0)
        offset_in_source = source_offset(
            self.source.text, start=self.start, end=self.end, style=self.style, text=self.written, offset=written
        )
        return self.source.place(offset_in_source)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entry:
    """A key of a section and what it is set to."""

    key: Scalar
    value: Value


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Section(Node):
    """A mapping: keys, each once, in the order in which they are written."""

    entries: dict[str, Entry]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Listing(Node):
    """A sequence."""

    items: tuple[Value, ...]


Value = Scalar | Section | Listing


def describe(value: Value) -> str:
    """What kind of thing stands here, for an error."""
    match value:
        case Section():
            return "a section of keys"
        case Listing():
            return "a list"
        case Scalar(value=None):
            return "nothing"
        case _:
            return value.shown


def is_empty(value: Value) -> bool:
    """Whether a key was written with nothing after it, or with a variable that is set to nothing."""
    if not isinstance(value, Scalar):
        return False
    return value.value is None or (value.text == "" and value.written != "")
