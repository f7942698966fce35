"""Text from outside made fit to be read: no invisible characters, cut where a reader would cut."""

from __future__ import annotations

import re
import unicodedata

ELLIPSIS = "…"
"""Ends a text that was cut."""

BLANK = "—"
"""Stands where a text had nothing to see."""

# Controls except newline and tab, zero-width and direction marks, fillers that take no room, variation selectors but
# the one that makes emoji, tags. They could reorder a line, hide words in it, or carry what nobody sees.
_INVISIBLE = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x84\\x86-\\x9f\\xad\\u034f\\u061c\\u070f\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f"
    "\\u200b-\\u200f\\u202a-\\u202e\\u2060-\\u206f\\u3164\\ufe00-\\ufe0e\\ufeff\\uffa0\\ufff0-\\ufffb\\ufffe\\uffff"
    "\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a\\U000e0000-\\U000e0fff]"
)
_LINE_ENDS = re.compile("\\r\\n?|[\\x0b\\x0c\\x85\\u2028\\u2029]")
_LONE_SURROGATE = re.compile("[\\ud800-\\udfff]")
_VISIBLE = re.compile("[^\\s\\u2800\\ufe0f]")
_MARKS_LOOKED_BACK = 8


def clean(text: str) -> str:
    """The text without invisible characters, lone surrogates replaced, line ends as newlines; "" when blank."""
    text = _LINE_ENDS.sub("\n", text)
    text = _INVISIBLE.sub("", text)
    text = _LONE_SURROGATE.sub("\ufffd", text).replace("\t", " ").strip()
    return text if _VISIBLE.search(text) else ""


def whole(text: str) -> str:
    """The text with lone surrogates replaced, which no other language's strings can hold."""
    return _LONE_SURROGATE.sub("\ufffd", text)


def one_line(text: str) -> str:
    """``clean``, with every run of white space as one space."""
    return " ".join(clean(text).split())


def units(text: str) -> int:
    """UTF-16 code units: how Discord (and JavaScript) count the length of a text."""
    return len(text) + sum(character > "\uffff" for character in text)


def clip(tokens: list[str], limit: int) -> str:
    """The joined tokens within ``limit`` UTF-16 units, ending in an ellipsis if any had to go.

    A token (a character, or an escape and what it escapes) is kept whole or not at all; a character is not parted from
    the marks that combine with it.
    """
    fitting, size, cut = 0, 0, 0
    for token in tokens:
        size += units(token)
        if size > limit:
            break
        fitting += 1
        if size <= limit - 1:
            cut = fitting
    if fitting == len(tokens):
        return "".join(tokens)
    if limit < 1:
        return ""
    for back in range(min(_MARKS_LOOKED_BACK, cut)):
        if not unicodedata.category(tokens[cut - back][0]).startswith("M"):
            cut -= back
            break
    return "".join(tokens[:cut]).rstrip() + ELLIPSIS
