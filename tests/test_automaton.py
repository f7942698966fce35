"""The automaton says what ``re`` says, and takes no longer for patterns that would hang ``re``."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelmon.automaton import Automaton, doubles, takes_long
from otelmon.errors import PromQLError
from otelmon.promql.parse import parse
from otelmon.promql.supported import check_supported
from otelmon.re2 import full_match, read, translate

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


def test_label_replace_refuses_a_pattern_whose_groups_could_take_for_ever() -> None:
    text = 'label_replace(up, "to", "$1", "from", "(a+)+b")'
    with pytest.raises(PromQLError, match="nested repetitions"):
        check_supported(parse(text), text)
