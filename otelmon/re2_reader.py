"""Reads RE2 patterns by Go's grammar (``regexp/syntax``, flags Perl) into the pieces of automaton.py."""

from __future__ import annotations

import re
from dataclasses import dataclass

from otelmon.automaton import Between, Choice, Group, One, Piece, Repeat, Sequence
from otelmon.characters import LAST, PERL_CLASSES, POSIX_CLASSES, Ranges, complement, general_category, merged

_MAX_REPEAT = 1000
_MAX_DEPTH = 100

_CONTROL = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_NAMED = re.compile(r"\(\?P?<([^>]*)>")


class RegexError(ValueError):
    """A pattern that RE2 refuses; ``position`` is the character offset of the fault in the pattern."""

    def __init__(self, message: str, position: int) -> None:
        self.message = message
        self.position = position
        super().__init__(message)


def read_pattern(pattern: str, *, dot_all: bool = True, captures: bool = False) -> Piece:
    """The pieces of an RE2 pattern, with its groups if asked. Raises RegexError."""
    reader = _Reader(pattern, captures=captures)
    piece = reader.alternatives(_Flags(dot_all=dot_all), depth=0)
    if reader.at < len(pattern):
        raise RegexError("unexpected )", reader.at)
    return piece


@dataclass(frozen=True, slots=True)
class _Flags:
    """Letters i, m, s of Go's ``(?ims)``; ``U`` changes greediness only. Prometheus begins with ``s`` on."""

    fold_case: bool = False
    multi_line: bool = False
    dot_all: bool = True


@dataclass(slots=True)
class _Atom:
    """One piece; ``repeats`` is the product of the bounded repetitions inside it."""

    piece: Piece
    repeats: int = 1


def _sequence(atoms: list[_Atom]) -> Piece:
    return atoms[0].piece if len(atoms) == 1 else Sequence(tuple(atom.piece for atom in atoms))


class _Reader:
    """Reads one pattern from left to right and writes its translation."""

    def __init__(self, pattern: str, *, captures: bool) -> None:
        self.pattern = pattern
        self.captures = captures
        self.at = 0
        self.names: set[str] = set()
        self.repeats = 1

    def alternatives(self, flags: _Flags, *, depth: int) -> Piece:
        """Everything up to the end or to an unread ``)``."""
        if depth > _MAX_DEPTH:
            raise RegexError(f"groups nest more than {_MAX_DEPTH} deep", self.at)
        branches: list[Piece] = []
        pieces: list[_Atom] = []
        most = 1
        while self.at < len(self.pattern) and self.pattern[self.at] != ")":
            if self._skip("|"):
                branches.append(_sequence(pieces))
                most = max([most, *(piece.repeats for piece in pieces)])
                pieces = []
            elif self._looking_at("(?") and (changed := self._flags_to_end(flags)) is not None:
                flags = changed
            elif self._looking_at("\\Q"):
                pieces += [_Atom(One(_literal(char, flags))) for char in self._quoted()]
            else:
                self._repeated_atom(pieces, flags, depth)
        branches.append(_sequence(pieces))
        self.repeats = max([most, *(piece.repeats for piece in pieces)])
        return branches[0] if len(branches) == 1 else Choice(tuple(branches))

    def _looking_at(self, text: str) -> bool:
        return self.pattern.startswith(text, self.at)

    def _skip(self, text: str) -> bool:
        if self._looking_at(text):
            self.at += len(text)
            return True
        return False

    def _quoted(self) -> str:
        start = self.at + 2
        end = self.pattern.find("\\E", start)
        self.at = len(self.pattern) if end < 0 else end + 2
        return self.pattern[start:] if end < 0 else self.pattern[start:end]

    def _flags_to_end(self, flags: _Flags) -> _Flags | None:
        """Flags that hold to the end of the group, ``(?i)``; None, nothing read, where it is something else."""
        found = re.compile(r"\(\?([imsU]*)(?:-([imsU]+))?\)").match(self.pattern, self.at)
        if found is None or not (found[1] or found[2]):
            return None
        self.at = found.end()
        return _changed(flags, found[1], found[2] or "")

    def _repeated_atom(self, pieces: list[_Atom], flags: _Flags, depth: int) -> None:
        start = self.at
        char = self.pattern[start]
        if char in "*+?":
            if not pieces:
                raise RegexError(f"nothing before {char} to repeat; write \\{char} for the character itself", start)
            self._quantify(pieces)
        elif char == "{" and _bounds(self.pattern, start) is not None:
            if not pieces:
                raise RegexError("nothing before { to repeat; write \\{ for the character itself", start)
            self._quantify(pieces)
        else:
            pieces.append(self._atom(flags, depth))

    def _quantify(self, pieces: list[_Atom]) -> None:
        start = self.at
        piece = pieces[-1]
        bounds = _bounds(self.pattern, start)
        lowest: int
        highest: int | None
        if bounds is None:
            lowest, highest = {"*": (0, None), "+": (1, None), "?": (0, 1)}[self.pattern[start]]
            self.at += 1
        else:
            lowest, highest, self.at = bounds
            if lowest > _MAX_REPEAT or (highest is not None and (highest > _MAX_REPEAT or highest < lowest)):
                raise RegexError(f"bad repetition {self.pattern[start : self.at]}; at most {_MAX_REPEAT}", start)
            piece.repeats *= max(lowest, highest or 1, 1)
            if piece.repeats > _MAX_REPEAT:
                raise RegexError(f"nested repetitions amount to more than {_MAX_REPEAT}", start)
        # A lazy quantifier accepts the same texts; it matters for what is found within one.
        lazy = self._skip("?") and self.captures
        rest = self.pattern[self.at : self.at + 1]
        if rest in {"*", "+", "?"} or (rest == "{" and _bounds(self.pattern, self.at) is not None):
            end = self.at + 1
            raise RegexError(
                f"invalid nested repetition operator {self.pattern[start:end]} (RE2 has no possessive quantifiers)",
                start,
            )
        piece.piece = Repeat(piece.piece, lowest, highest, lazy)

    def _atom(self, flags: _Flags, depth: int) -> _Atom:
        char = self.pattern[self.at]
        if char == "(":
            return self._group(flags, depth)
        if char == "[":
            return _Atom(One(self._class(flags)))
        if char == "\\":
            return _Atom(self._escape(flags))
        self.at += 1
        if char == ".":
            return _Atom(One("(?s:.)" if flags.dot_all else "[^\\n]"))
        if char == "^":
            return _Atom(Between("(?m:^)" if flags.multi_line else "\\A"))
        if char == "$":
            return _Atom(Between("(?m:$)" if flags.multi_line else "\\Z"))
        return _Atom(One(_literal(char, flags)))

    def _group(self, flags: _Flags, depth: int) -> _Atom:
        start = self.at
        inner = flags
        captured = self.captures
        named = _NAMED.match(self.pattern, start)
        if self._looking_at("(?"):
            inner = self._group_head(flags)
            captured = captured and named is not None
        else:
            self.at += 1
        inside = self.alternatives(inner, depth=depth + 1)
        if not self._skip(")"):
            raise RegexError("missing closing )", start)
        return _Atom(Group(inside, named[1] if named else "") if captured else inside, self.repeats)

    def _group_head(self, flags: _Flags) -> _Flags:
        start = self.at
        for look in ("(?=", "(?!", "(?<=", "(?<!"):
            if self._looking_at(look):
                raise RegexError(f"RE2 has no lookaround {look}...); match what you want, or use !~", start)
        for absent, what in {
            "(?>": "atomic groups",
            "(?P=": "backreferences",
            "(?#": "comments",
            "(?(": "conditions",
        }.items():
            if self._looking_at(absent):
                raise RegexError(f"RE2 has no {what} {absent}...)", start)
        if named := _NAMED.match(self.pattern, start):
            name = named[1]
            if not re.fullmatch(r"\w+", name, re.ASCII):
                raise RegexError(f"invalid group name {name!r}", start)
            if name in self.names:
                raise RegexError(f"duplicate group name {name!r}", start)
            self.names.add(name)
            self.at = named.end()
            return flags
        if flagged := re.compile(r"\(\?([imsU]*)(?:-([imsU]+))?:").match(self.pattern, start):
            self.at = flagged.end()
            return _changed(flags, flagged[1], flagged[2] or "")
        raise RegexError(
            "invalid or unsupported group syntax (?...; RE2 knows (?:...), (?P<name>...) and (?ims)", start
        )

    def _escape(self, flags: _Flags) -> Piece:
        start = self.at
        char = self.pattern[start + 1 : start + 2]
        if char in {"A", "z", "b", "B"}:
            self.at += 2
            # ``re`` before 3.14 says that \B does not match in an empty text; RE2 says it does.
            return Between({"A": "\\A", "z": "\\Z", "b": "(?a:\\b)", "B": "(?!(?a:\\b))"}[char])
        if (ranges := self._class_escape()) is not None:
            return One(_class_text(ranges, flags))
        return One(_literal(chr(self._character_escape()), flags))

    def _class_escape(self) -> Ranges | None:
        r"""``\d``, ``\pL``, ``\P{Lu}`` and their kin; None, nothing read, where it is no class."""
        char = self.pattern[self.at + 1 : self.at + 2]
        if char in {"d", "s", "w", "D", "S", "W"}:
            self.at += 2
            ranges = PERL_CLASSES[char.lower()]
            return ranges if char.islower() else complement(ranges)
        if char not in {"p", "P"}:
            return None
        found = re.compile(r"\\[pP](?:\{(\^?)([^}]*)\}|(.))", re.DOTALL).match(self.pattern, self.at)
        if found is None:
            raise RegexError("incomplete Unicode class; write \\pL or \\p{Lu}", self.at)
        name = found[2] if found[3] is None else found[3]
        ranges = ((0, LAST),) if name == "Any" else self._category(name)
        self.at = found.end()
        return complement(ranges) if (char == "P") != bool(found[1]) else ranges

    def _category(self, name: str) -> Ranges:
        ranges = general_category(name)
        if ranges is None:
            raise RegexError(
                f"unknown or unsupported Unicode class {name!r}; general categories such as L, Lu or Nd are known, "
                "scripts are not: write a range such as [\\x{370}-\\x{3ff}]",
                self.at,
            )
        return ranges

    def _character_escape(self) -> int:
        """The code point of an escape that stands for one character."""
        start = self.at
        if start + 1 >= len(self.pattern):
            raise RegexError("trailing backslash at end of expression", start)
        char = self.pattern[start + 1]
        for expression, base in ((r"\\x([0-9A-Fa-f]{2})", 16), (r"\\x\{([0-9A-Fa-f]+)\}", 16), (r"\\(0[0-7]{0,2})", 8)):
            if found := re.compile(expression).match(self.pattern, start):
                return self._code_point(int(found[1], base), found.end())
        if found := re.compile(r"\\([1-7][0-7]{1,2})").match(self.pattern, start):
            return self._code_point(int(found[1], 8), found.end())
        if char.isascii() and char.isdigit():
            raise RegexError(f"RE2 has no backreferences \\{char}", start)
        if char in _CONTROL:
            self.at += 2
            return ord(_CONTROL[char])
        if char.isascii() and not char.isalnum():
            self.at += 2
            return ord(char)
        raise RegexError(f"invalid escape sequence \\{char}", start)

    def _code_point(self, value: int, end: int) -> int:
        if value > LAST:
            raise RegexError("character code beyond 10FFFF", self.at)
        self.at = end
        return value

    def _class(self, flags: _Flags) -> str:
        start = self.at
        self.at += 1
        negated = self._skip("^")
        ranges: list[tuple[int, int]] = []
        first = True
        while first or not self._looking_at("]"):
            if self.at >= len(self.pattern):
                raise RegexError("missing closing ]", start)
            ranges += self._class_member()
            first = False
        self.at += 1
        return _class_text(tuple(ranges), flags, negated=negated)

    def _class_member(self) -> Ranges:
        start = self.at
        if (posix := re.compile(r"\[:(\^?)([^:\]]*):\]").match(self.pattern, start)) is not None:
            if posix[2] not in POSIX_CLASSES:
                raise RegexError(f"unknown character class {posix[0]}", start)
            self.at = posix.end()
            return complement(POSIX_CLASSES[posix[2]]) if posix[1] else POSIX_CLASSES[posix[2]]
        if self._looking_at("\\") and (ranges := self._class_escape()) is not None:
            return ranges
        low = self._class_character()
        high = low
        if self._looking_at("-") and self.pattern[self.at + 1 : self.at + 2] not in {"", "]"}:
            self.at += 1
            high = self._class_character()
            if high < low:
                raise RegexError(f"invalid character class range {self.pattern[start : self.at]}", start)
        return ((low, high),)

    def _class_character(self) -> int:
        if self.at >= len(self.pattern):
            raise RegexError("missing closing ]", self.at)
        if self._looking_at("\\"):
            return self._character_escape()
        self.at += 1
        return ord(self.pattern[self.at - 1])


def _changed(flags: _Flags, switched_on: str, switched_off: str) -> _Flags:
    def now(letter: str, before: bool) -> bool:  # noqa: FBT001
        return (before or letter in switched_on) and letter not in switched_off

    return _Flags(now("i", flags.fold_case), now("m", flags.multi_line), now("s", flags.dot_all))


def _bounds(pattern: str, at: int) -> tuple[int, int | None, int] | None:
    """(lowest, highest or None, end) of ``{n}``, ``{n,}`` or ``{n,m}``; anything else is literal text, as in Go."""
    found = re.compile(r"\{(\d+)(?:(,)(\d*))?\}", re.ASCII).match(pattern, at)
    if found is None or any(len(digits) > 1 and digits[0] == "0" for digits in (found[1], found[3] or "")):
        return None
    lowest = int(found[1])
    highest = lowest if found[2] is None else int(found[3]) if found[3] else None
    return lowest, highest, found.end()


def _literal(char: str, flags: _Flags) -> str:
    escaped = re.escape(char)
    return f"(?i:{escaped})" if flags.fold_case and char.lower() != char.upper() else escaped


def _class_text(ranges: Ranges, flags: _Flags, *, negated: bool = False) -> str:
    joined = merged(ranges)
    if not joined:
        return "(?s:.)" if negated else "(?!)"
    if joined == ((0, LAST),):
        return "(?!)" if negated else "(?s:.)"
    inner = "".join(_escaped(low) if low == high else f"{_escaped(low)}-{_escaped(high)}" for low, high in joined)
    text = f"[^{inner}]" if negated else f"[{inner}]"
    return f"(?i:{text})" if flags.fold_case else text


def _escaped(code_point: int) -> str:
    return f"\\U{code_point:08x}"
