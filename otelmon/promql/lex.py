"""From the text of an expression to its tokens (Prometheus, ``promql/parser/lex.go``)."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

from otelmon.errors import PromQLError

# How the grammar is read recursively: deeper input is refused, so that no input exhausts the interpreter's stack.
MAX_DEPTH = 80


class TokenKind(StrEnum):
    """What a token is."""

    NUMBER = "number"
    DURATION = "duration"
    STRING = "string"
    WORD = "word"
    SIGN = "sign"
    END = "end"


class Token(NamedTuple):
    """A piece of the text between two character offsets; ``word`` is its lower-case text where it is a word."""

    kind: TokenKind
    text: str
    start: int
    end: int
    word: str = ""


_SKIP = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)+")
_WORD = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_WORD_IN_BRACKETS = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DURATION = re.compile(r"(?:[0-9]+(?:ms|[smhdwy]))+(?![A-Za-z0-9_.])")
_NUMBER = re.compile(
    r"(?:0[xX]_?[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*"
    r"|(?:[0-9]+(?:_[0-9]+)*(?:\.(?:[0-9]+(?:_[0-9]+)*)?)?|\.[0-9]+(?:_[0-9]+)*)(?:[eE][+-]?[0-9]+(?:_[0-9]+)*)?)"
    r"(?![A-Za-z0-9_.])"
)
_NUMBER_START = re.compile(r"\.?[0-9]")
_NUMBER_LIKE = re.compile(r"[A-Za-z0-9_.]+")
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"' + r"|'(?:[^'\\\n]|\\.)*'" + r"|`[^`]*`", re.DOTALL)
_SIGN = re.compile(r"==|=~|!=|!~|<=|>=|</|>/|[-+*/%^<>=(){}\[\],:@]")


def tokens_of(text: str) -> list[Token]:
    """The tokens of an expression, ended by one of kind END.

    Raises PromQLError at the first character that begins no token.
    """
    tokens: list[Token] = []
    at = 0
    in_brackets = False
    while True:
        if skipped := _SKIP.match(text, at):
            at = skipped.end()
        if at >= len(text):
            tokens.append(Token(TokenKind.END, "", at, at))
            return tokens
        token = _token(text, at, in_brackets=in_brackets)
        tokens.append(token)
        at = token.end
        if token.text == "[" and token.kind is TokenKind.SIGN:
            in_brackets = True
        elif token.text == "]" and token.kind is TokenKind.SIGN:
            in_brackets = False


def _token(text: str, at: int, *, in_brackets: bool) -> Token:
    # Between brackets a colon parts range and step, elsewhere it may be part of a metric's name.
    if found := (_WORD_IN_BRACKETS if in_brackets else _WORD).match(text, at):
        return Token(TokenKind.WORD, found[0], at, found.end(), found[0].lower())
    if _NUMBER_START.match(text, at):
        if found := _DURATION.match(text, at):
            return Token(TokenKind.DURATION, found[0], at, found.end())
        if found := _NUMBER.match(text, at):
            return Token(TokenKind.NUMBER, found[0], at, found.end())
        found = _NUMBER_LIKE.match(text, at)
        end = at + 1 if found is None else found.end()
        raise PromQLError(
            f"bad number or duration {text[at:end]!r}; write a number such as 0.05 or a duration such as 5m",
            text=text,
            start=at,
            end=end,
        )
    if found := _SIGN.match(text, at):
        return Token(TokenKind.SIGN, found[0], at, found.end())
    if found := _STRING.match(text, at):
        return Token(TokenKind.STRING, found[0], at, found.end())
    raise _bad_character(text, at)


def _bad_character(text: str, at: int) -> PromQLError:
    char = text[at]
    if char in "\"'`":
        message = f"string is not closed; write {char} at its end"
        if char != "`" and "\n" in text[at:]:
            message += " (on the same line: a string over several lines is written between backticks)"
    elif char in "&|":
        message = f"unexpected character {char!r}; the set operators are written `and`, `or` and `unless`"
    elif char == "!":
        message = "unexpected character '!'; the operators are != and, in a matcher, !~"
    elif char == "$":
        message = "unexpected character '$'; PromQL has no variables, write the value itself"
    elif not char.isascii() and char.isprintable():
        message = f"unexpected character {char!r}; a name that has it is quoted: " + '{"name", "label"="value"}'
    else:
        message = f"unexpected character {char!r}"
    return PromQLError(message, text=text, start=at, end=at + 1)


class Cursor:
    """Where the parser stands among the tokens of one expression."""

    __slots__ = ("_depth", "_tokens", "index", "peek", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = tokens_of(text)
        self._depth = 0
        self.index = 0
        self.peek = self._tokens[0]

    def take(self) -> Token:
        """The token under the cursor; the cursor moves on."""
        token = self.peek
        if token.kind is not TokenKind.END:
            self.index += 1
            self.peek = self._tokens[self.index]
        return token

    @property
    def ended(self) -> bool:
        """Whether no token is left."""
        return self.peek.kind is TokenKind.END

    @property
    def following(self) -> Token:
        """The token after the one under the cursor."""
        return self._tokens[min(self.index + 1, len(self._tokens) - 1)]

    @property
    def last_end(self) -> int:
        """The character offset at which the token before the cursor ends."""
        return self._tokens[self.index - 1].end if self.index else 0

    def at_sign(self, sign: str) -> bool:
        """Whether the token under the cursor is this sign."""
        return self.peek.text == sign and self.peek.kind is TokenKind.SIGN

    def skip_sign(self, sign: str) -> bool:
        """Move over this sign, if it is the token under the cursor."""
        if self.peek.text == sign and self.peek.kind is TokenKind.SIGN:
            self.take()
            return True
        return False

    def expect_sign(self, sign: str, *, where: str) -> Token:
        """The sign under the cursor, which must be this one; ``where`` says of what, such as "after rate"."""
        if self.at_sign(sign):
            return self.take()
        raise self.unexpected(f"expected {sign} {where}")

    def enter(self) -> None:
        """One level deeper in nested input; to be paired with ``leave``."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self.error(f"expression nests more than {MAX_DEPTH} deep")

    def leave(self) -> None:
        """One level up again."""
        self._depth -= 1

    def unexpected(self, expectation: str) -> PromQLError:
        """The error that the token under the cursor is not what is expected."""
        token = self.peek
        if token.kind is TokenKind.END:
            found = "unexpected end of expression"
        elif token.kind is TokenKind.SIGN:
            found = f"unexpected '{token.text}'"
        elif token.kind is TokenKind.STRING:
            found = f"unexpected string {token.text}"
        else:
            found = f"unexpected {token.text!r}"
        return self.error(f"{found}: {expectation}")

    def error(self, message: str, start: int | None = None, end: int | None = None) -> PromQLError:
        """An error at the given place, by default at the token under the cursor."""
        if start is None:
            start, end = self.peek.start, self.peek.end
        return PromQLError(message, text=self.text, start=start, end=end)
