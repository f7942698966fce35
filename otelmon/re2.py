r"""RE2 regular expressions, as Prometheus means them, by way of Python's ``re``.

Prometheus compiles ``^(?s:PATTERN)$`` with Go's ``regexp`` (RE2): the whole value must match, a dot also matches a
newline, classes such as ``\d`` are ASCII, and there are neither backreferences nor lookarounds. Here the pattern is
read by Go's grammar (re2_reader.py), and written anew for ``re``. Where only whether the whole text matches is asked,
captures and greediness are dropped. RE2 takes linear time; ``re`` backtracks, so that ``(a+)+b`` could hang it.
Patterns that may take it long are matched by an automaton of our own (automaton.py), which cannot, and their groups
are found by another (captures.py).

Two deliberate limits: script classes (``\p{Greek}``) are refused, because Python's Unicode tables have no scripts,
and groups nest at most 100 deep (Go: 1000).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from otelmon.automaton import Automaton, Between, Choice, Group, One, Piece, Repeat, Sequence, takes_long
from otelmon.captures import Captures
from otelmon.re2_reader import RegexError, read_pattern

__all__ = ["Found", "RegexError", "compiled", "find_groups", "full_match", "read", "translate"]

_LITERAL_ALTERNATIVES = re.compile(r"[\w \-/:,%@=&;<>!~#'\"|]+")


@dataclass(frozen=True, slots=True)
class Found:
    """What the groups of a pattern matched, by number (0: all of it); None for one that took no part."""

    texts: tuple[str | None, ...]
    names: Mapping[str, int]

    def text(self, group: str) -> str:
        """The text of a group by its number or name; empty where there is no such group, or it took no part."""
        number = int(group) if group.isdecimal() else self.names.get(group, len(self.texts))
        return (self.texts[number] or "") if number < len(self.texts) else ""


@lru_cache(maxsize=4096)
def full_match(pattern: str) -> Callable[[str], bool]:
    """A test whether the whole of a text matches an RE2 pattern.

    Raises RegexError for what RE2 refuses (lookarounds, backreferences, possessive quantifiers, ...).
    """
    if _LITERAL_ALTERNATIVES.fullmatch(pattern):
        return frozenset(pattern.split("|")).__contains__
    piece = read(pattern)
    if pattern == ".*":
        return lambda _text: True
    if pattern == ".+":
        return bool
    if takes_long(piece):
        return Automaton(piece).matches
    compiled = re.compile(translate(pattern))
    return lambda text: compiled.fullmatch(text) is not None


def translate(pattern: str) -> str:
    """The pattern for ``re.fullmatch`` that accepts the texts which an anchored RE2 pattern accepts."""
    return _text(read(pattern))


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> re.Pattern[str]:
    """An RE2 pattern as Go's ``regexp.Compile`` takes it, for searching: with its groups, and a dot that is no newline.

    Raises RegexError for what RE2 refuses.
    """
    return re.compile(_text(read_pattern(pattern, dot_all=False, captures=True)))


@lru_cache(maxsize=1024)
def find_groups(pattern: str) -> Callable[[str], Found | None]:
    """What finds the groups of an RE2 pattern in a text that it matches as a whole, as label_replace() asks for them.

    Raises RegexError for what RE2 refuses.
    """
    piece = read_pattern(pattern, captures=True)
    if takes_long(piece):
        captures = Captures(piece)

        def slowly(text: str) -> Found | None:
            texts = captures.match(text)
            return None if texts is None else Found(texts, captures.names)

        return slowly
    expression = re.compile(_text(piece))

    def quickly(text: str) -> Found | None:
        found = expression.fullmatch(text)
        return None if found is None else Found((found.group(), *found.groups()), expression.groupindex)

    return quickly


def read(pattern: str) -> Piece:
    """The pieces of an RE2 pattern, without its groups. Raises RegexError."""
    return read_pattern(pattern)


def _text(piece: Piece) -> str:
    """A piece as a pattern of ``re``."""
    match piece:
        case One(text=text) | Between(text=text):
            return text
        case Sequence(pieces=pieces):
            return "".join(_text(inner) for inner in pieces)
        case Choice(pieces=pieces):
            return f"(?:{'|'.join(_text(inner) for inner in pieces)})"
        case Repeat(piece=inner, least=least, most=most, lazy=lazy):
            return f"(?:{_text(inner)}){{{least},{'' if most is None else most}}}{'?' if lazy else ''}"
        case Group(piece=inner, name=name):
            return f"(?P<{name}>{_text(inner)})" if name else f"({_text(inner)})"
