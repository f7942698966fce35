"""Selectors and lists of labels: ``name{label="value"}``, ``by (label, "quoted label")``."""

from __future__ import annotations

from otelmon.errors import PromQLError
from otelmon.labels import METRIC_NAME
from otelmon.promql.ast import Matcher, MatchOperator, VectorSelector
from otelmon.promql.lex import Cursor, TokenKind
from otelmon.promql.literals import EscapeError, is_legacy_label_name, is_utf8_name, string_value
from otelmon.re2 import RegexError

# Words that cannot be a metric's name unless quoted, by what they are read as.
RESERVED_METRIC_NAMES = frozenset(
    {"atan2", "bool", "group_left", "group_right", "ignoring", "inf", "nan", "on"},
)
_OPERATORS = {operator.value: operator for operator in MatchOperator}


def read_selector(cursor: Cursor, *, may_match_all: bool = False) -> VectorSelector:
    """A metric's name, matchers in braces, or both.

    Refused is one that would select every series, unless ``may_match_all`` (info's second argument).
    """
    start = cursor.peek.start
    name = ""
    if cursor.peek.kind is TokenKind.WORD:
        name = cursor.take().text
    matchers: list[Matcher] = []
    names = [name] if name else []
    if cursor.skip_sign("{"):
        _read_matchers(cursor, matchers, names)
    end = cursor.last_end
    others = [*names[1:], *(matcher.value for matcher in matchers if matcher.name == METRIC_NAME)]
    if name and others:
        raise cursor.error(f"metric name must not be set twice: {name!r} or {others[0]!r}", start, end)
    by_name = [Matcher(name=METRIC_NAME, operator=MatchOperator.EQUAL, value=value) for value in names]
    selector = VectorSelector(name=names[0] if names else "", matchers=(*by_name, *matchers), start=start, end=end)
    if not may_match_all and not any(not matcher.matches("") for matcher in selector.matchers):
        raise cursor.error(
            "vector selector must contain at least one non-empty matcher; write a metric's name in front, or a matcher "
            'that an absent label does not meet, such as label="value" or label!=""',
            start,
            end,
        )
    return selector


def _read_matchers(cursor: Cursor, matchers: list[Matcher], names: list[str]) -> None:
    while not cursor.skip_sign("}"):
        label = cursor.peek
        name = _read_name(cursor, what="name", closing="}")
        if label.kind is TokenKind.STRING and (cursor.at_sign(",") or cursor.at_sign("}")):
            names.append(name)
        else:
            matchers.append(_read_matcher(cursor, name))
        if not cursor.at_sign("}") and not cursor.skip_sign(","):
            raise _after_matcher(cursor)


def _after_matcher(cursor: Cursor) -> PromQLError:
    if cursor.peek.word == "or":
        return cursor.unexpected("matchers are joined by commas only; write two selectors joined by `or`")
    return cursor.unexpected("expected , or } after a matcher")


def _read_matcher(cursor: Cursor, name: str) -> Matcher:
    operator = _OPERATORS.get(cursor.peek.text) if cursor.peek.kind is TokenKind.SIGN else None
    if operator is None:
        hint = "; equality is written with one =" if cursor.at_sign("==") else ""
        raise cursor.unexpected(f"expected one of = != =~ !~ after the label {name}{hint}")
    cursor.take()
    token = cursor.peek
    if token.kind is not TokenKind.STRING:
        raise cursor.unexpected(
            f'expected a string after {name}{operator.value}, such as {name}{operator.value}"value"'
        )
    value = read_string(cursor)
    try:
        return Matcher(name=name, operator=operator, value=value)
    except RegexError as error:
        raise cursor.error(
            f"bad regular expression {token.text}: {error.message} (at character {error.position + 1})",
            token.start,
            token.end,
        ) from None


def read_label_names(cursor: Cursor, *, after: str) -> tuple[str, ...]:
    """Labels in parentheses, such as ``(job, "service.name",)``; ``after`` is the word before them."""
    cursor.expect_sign("(", where=f"with the labels after {after}")
    names: list[str] = []
    while not cursor.skip_sign(")"):
        if cursor.peek.word in {"inf", "nan"}:
            raise cursor.unexpected(f'expected a label\'s name; write it quoted, "{cursor.peek.text}"')
        names.append(_read_name(cursor, what="label name", closing=")"))
        if not cursor.at_sign(")") and not cursor.skip_sign(","):
            raise cursor.unexpected("expected , or ) after a label's name")
    return tuple(names)


def _read_name(cursor: Cursor, *, what: str, closing: str) -> str:
    token = cursor.peek
    if token.kind is TokenKind.STRING:
        name = read_string(cursor)
        if not is_utf8_name(name):
            raise cursor.error(
                f"invalid {what} {token.text}; it must not be empty and must be UTF-8", token.start, token.end
            )
        return name
    if token.kind is not TokenKind.WORD:
        raise cursor.unexpected(f"expected a label's name or {closing}")
    name = cursor.take().text
    if not is_legacy_label_name(name):
        raise cursor.error(f'label name {name!r} has a colon; write it quoted, "{name}"', token.start, token.end)
    return name


def read_string(cursor: Cursor) -> str:
    """The string under the cursor, its escapes resolved."""
    token = cursor.take()
    try:
        return string_value(token.text)
    except EscapeError as error:
        at = token.start + error.position
        raise cursor.error(error.message, at, at + 2) from None
