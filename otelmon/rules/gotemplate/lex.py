"""The text of a template into text and actions, and an action into tokens (Go, text/template/parse/lex.go)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from otelmon.rules.gotemplate.values import TemplateError

_SPACES = " \t\r\n"
_LEFT_TRIM = re.compile(r"-[ \t\r\n]")
_NUMBER = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO]?[0-7_]*(?![0-9.eE])|[0-9_]*\.?[0-9_]*(?:[eE][+-]?[0-9_]+)?)"
)
_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"',
}  # fmt: skip
_CODED = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3}))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A word of an action.

    ``kind`` is one of: field variable word string character number pipe open close declare assign comma. ``spaced``:
    white space, or the action's beginning, stands before it.
    """

    kind: str
    text: str
    offset: int
    spaced: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Text, or the tokens of one action."""

    text: str = ""
    tokens: tuple[Token, ...] | None = None
    offset: int


def pieces(text: str) -> Iterator[Piece]:
    """Text and actions in turn, comments left out and white space trimmed as marked. Raises TemplateError."""
    position = 0
    trim_next = False
    while True:
        opening = text.find("{{", position)
        literal = text[position:] if opening < 0 else text[position:opening]
        if trim_next:
            literal = literal.lstrip(_SPACES)
        begin = opening + 2
        if opening >= 0 and _LEFT_TRIM.match(text, begin):
            literal = literal.rstrip(_SPACES)
            begin += 2
        if literal:
            yield Piece(text=literal, offset=position)
        if opening < 0:
            return
        if text.startswith("/*", begin):
            position, trim_next = _comment_end(text, begin, opening)
            continue
        tokens, position, trim_next = _action(text, begin, opening)
        yield Piece(tokens=tokens, offset=opening)


def _comment_end(text: str, begin: int, opening: int) -> tuple[int, bool]:
    closing = text.find("*/", begin + 2)
    if closing >= 0:
        if text.startswith("}}", closing + 2):
            return closing + 4, False
        if text[closing + 2 : closing + 3] in tuple(_SPACES) and text.startswith("-}}", closing + 3):
            return closing + 6, True
    raise TemplateError("a comment that is not closed by */}}", opening)


def _action(text: str, begin: int, opening: int) -> tuple[tuple[Token, ...], int, bool]:
    """The tokens up to ``}}``, the position after it, and whether it trims what follows."""
    tokens: list[Token] = []
    position = begin
    spaced = True
    while position < len(text):
        if text.startswith("}}", position):
            return tuple(tokens), position + 2, False
        if spaced and text.startswith("-}}", position) and text[position - 1] in _SPACES:
            return tuple(tokens), position + 3, True
        if text[position] in _SPACES:
            position += 1
            spaced = True
            continue
        token, position = _token(text, position, spaced=spaced)
        tokens.append(token)
        spaced = False
    raise TemplateError("{{ is not closed by }}", opening)


def _token(text: str, position: int, *, spaced: bool) -> tuple[Token, int]:
    def made(kind: str, end: int, value: str | None = None) -> tuple[Token, int]:
        written = text[position:end] if value is None else value
        return Token(kind=kind, text=written, offset=position, spaced=spaced), end

    character = text[position]
    if text.startswith(":=", position):
        return made("declare", position + 2)
    simple = {"|": "pipe", "(": "open", ")": "close", "=": "assign", ",": "comma"}.get(character)
    if simple is not None:
        return made(simple, position + 1)
    if character == "`":
        closing = text.find("`", position + 1)
        if closing < 0:
            raise TemplateError("a string that is not closed", position)
        return made("string", closing + 1, text[position + 1 : closing])
    if character in "\"'":
        value, end = _quoted(text, position)
        if character == "'" and len(value) != 1:
            raise TemplateError("a character, between single quotes, is one; write texts between double ones", position)
        return made("string" if character == '"' else "character", end, value)
    following = text[position + 1 : position + 2]
    if (
        character.isdecimal()
        or (character in "+-." and following.isdecimal())
        or (character in "+-" and following == "." and text[position + 2 : position + 3].isdecimal())
    ):
        found = _NUMBER.match(text, position)
        end = position + 1 if found is None else found.end()
        if _is_name(text[end : end + 1]):
            while _is_name(text[end : end + 1]):
                end += 1
            raise TemplateError(f"{text[position:end]!r} is no number", position)
        return made("number", end)
    if character in "$." or _is_name(character):
        end = position + 1
        while _is_name(text[end : end + 1]):
            end += 1
        kind = "variable" if character == "$" else "field" if character == "." else "word"
        return made(kind, end)
    raise TemplateError(f"{character!r} cannot stand here", position)


def _is_name(character: str) -> bool:
    return character == "_" or character.isalnum()


def _quoted(text: str, position: int) -> tuple[str, int]:
    quote = text[position]
    characters: list[str] = []
    index = position + 1
    while index < len(text) and text[index] not in (quote, "\n"):
        if text[index] != "\\":
            characters.append(text[index])
            index += 1
            continue
        escaped = text[index + 1 : index + 2]
        coded = _CODED.match(text, index)
        if coded:
            code = int(coded[4], 8) if coded[4] else int(coded[1] or coded[2] or coded[3], 16)
            if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
                raise TemplateError(f"the escape {coded[0]} is no character", index)
            characters.append(chr(code))
            index = coded.end()
        elif escaped in _ESCAPES and escaped != ("'" if quote == '"' else '"'):
            characters.append(_ESCAPES[escaped])
            index += 2
        else:
            raise TemplateError(f"the escape \\{escaped} is not known", index)
    if text[index : index + 1] != quote:
        raise TemplateError("a string that is not closed", position)
    return "".join(characters), index + 1
