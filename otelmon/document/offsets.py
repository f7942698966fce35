"""From a character of a scalar's text back to where it stands in the file.

An expression may be written plain, quoted, or as a literal or folded block, with indentation, escapes and folded
lines between its characters. The text and its source are walked side by side (YAML 1.2, chapters 7 and 8): what is in
the source only (indentation, quotes, folds) is passed over.
"""

from __future__ import annotations

from enum import StrEnum


class Style(StrEnum):
    """How a scalar is written."""

    PLAIN = ""
    SINGLE_QUOTED = "'"
    DOUBLE_QUOTED = '"'
    LITERAL = "|"
    FOLDED = ">"


_ESCAPE_LENGTHS = {"x": 4, "u": 6, "U": 10}


def source_offset(source: str, *, start: int, end: int, style: Style, text: str, offset: int) -> int:
    """The offset in ``source`` of the character at ``offset`` of a scalar's ``text``.

    ``start`` and ``end`` bound the scalar in the source, quotes or block indicator included. An offset at the end of
    the text is placed after its last character that is not white space.
    """
    position = _content_start(source, start, end, style)
    wanted = min(offset, len(text.rstrip()))
    after_last = position
    for index, character in enumerate(text):
        position = _pass_over(source, position, end, style, character)
        if index == wanted:
            return position
        if position >= end:
            return after_last
        position += _width(source, position, style)
        after_last = position
    return after_last


def _content_start(source: str, start: int, end: int, style: Style) -> int:
    if style in (Style.SINGLE_QUOTED, Style.DOUBLE_QUOTED):
        return start + 1
    if style in (Style.LITERAL, Style.FOLDED):
        return source.find("\n", start, end) + 1 or end
    return start


def _pass_over(source: str, position: int, end: int, style: Style, character: str) -> int:
    """The next position at which ``character`` can stand: white space that YAML dropped is skipped."""
    while position < end:
        here = source[position]
        if style is Style.DOUBLE_QUOTED and source.startswith("\\\n", position):
            position += 2
            while position < end and source[position] in " \t":
                position += 1
            continue
        folded = here == "\n" and character in " \n"
        if here == character or folded or not here.isspace():
            return position
        position += 1
    return end


def _width(source: str, position: int, style: Style) -> int:
    """How many characters of the source stand for one character of the text."""
    if style is Style.DOUBLE_QUOTED and source[position] == "\\":
        return _ESCAPE_LENGTHS.get(source[position + 1 : position + 2], 2)
    if style is Style.SINGLE_QUOTED and source.startswith("''", position):
        return 2
    return 1
