"""The automaton says what ``re`` says, and takes no longer for patterns that would hang ``re``."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelmon.automaton import Automaton, doubles, takes_long
from otelmon.captures import Captures
from otelmon.re2 import find_groups, full_match, read, translate
from otelmon.re2_reader import read_pattern

PIECES = st.recursive(
    st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "\\b", "^", "$", "(?i)A", ""]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{0,2}", "{1,}"])).map(
            lambda two: f"(?:{two[0]}){two[1]}"
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(PIECES, st.text("abAB -\n", max_size=7))
def test_it_agrees_with_backtracking(pattern: str, text: str) -> None:
    expected = re.compile(translate(pattern)).fullmatch(text) is not None
    assert Automaton(read(pattern)).matches(text) == expected


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("(a+)+b", "a" * 3000, False),
        ("(a+)+b", "a" * 3000 + "b", True),
        ("(a|a)*b", "a" * 3000, False),
        ("(a*)*", "a" * 3000 + "b", False),
        ("(a?){30}a{30}", "a" * 30, True),
        ("(.*)-(.*)-(.*)-(.*)x", "a-" * 1000, False),
        ("a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?b", "a" * 28, False),
    ],
)
def test_what_would_hang_backtracking_is_answered(pattern: str, text: str, *, matches: bool) -> None:
    before = time.process_time()
    assert full_match(pattern)(text) == matches
    assert time.process_time() - before < 5


def test_ordinary_patterns_are_left_to_re() -> None:
    for pattern in ("5..|", "api-.*", "(.+):\\d+", "[1-5]..|.*Disconnect.*|.*Error", "(?i)get|post", "([^:]+)(:\\d+)?"):
        assert not takes_long(read(pattern)), pattern
    assert not doubles(read("(.*)-(.*)-(.*)-(.*)"))


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a+)+", "aaa"),
        ("(a|ab)(c|bcd)*(d*)", "abcd"),
        ("(?:(\\w+)-?)+", "ab-cd-ef"),
        ("(?P<first>(?:x|y)+?)(?P<rest>.*)", "xyxy"),
        ("((a)|(b))*", "ab"),
        ("(a*?)(a*)(b?)(c?)(d?)(e?)(f?)(g?)(h?)", "aab"),
        ("(.*)-(.*)-(.*)-(.*)", "a-b-c-d-e"),
        ("(\\ba+\\b ?)+(z)?", "aa aaa"),
        ("(a{2,3})+", "aaaaa"),
        ("(no)+", "yes"),
    ],
)
def test_the_groups_found_in_linear_time_are_those_of_a_backtracking_matcher(pattern: str, text: str) -> None:
    found = re.compile(pattern, re.DOTALL | re.ASCII).fullmatch(text)
    captures = Captures(read_pattern(pattern, captures=True))
    expected = None if found is None else (found.group(), *found.groups())
    # Go forgets nothing of an earlier round either, see regexp's own tests.
    assert captures.match(text) == expected
    ours = find_groups(pattern)(text)
    assert (None if ours is None else ours.texts) == expected
    if ours is not None and "first" in ours.names:
        assert ours.text("first") + ours.text("rest") == text
        assert (ours.text("nobody"), ours.text("7")) == ("", "")


def test_groups_are_found_where_backtracking_would_hang() -> None:
    before = time.process_time()
    assert find_groups("(a+)+b")("a" * 200) is None
    found = find_groups("(a+)+b")("a" * 200 + "b")
    assert found is not None
    assert found.texts == ("a" * 200 + "b", "a" * 200)
    assert time.process_time() - before < 5
