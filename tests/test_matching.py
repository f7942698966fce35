"""Matchers, and the RE2 expressions they compile: what matches, what is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelmon.matching import Matcher, MatchOperator
from otelmon.re2 import RegexError, full_match


def _matches(pattern, value):
    return Matcher(name="label", operator=MatchOperator.REGEX, value=pattern).matches(value)


@pytest.mark.parametrize(
    ("operator", "expected", "value", "met"),
    [
        ("=", "a", "a", True),
        ("=", "a", "b", False),
        ("=", "", "", True),
        ("!=", "a", "b", True),
        ("!=", "a", "a", False),
        ("!=", "a", "", True),
        ("=~", "a|b", "b", True),
        ("=~", "a|b", "ab", False),
        ("=~", "", "", True),
        ("!~", "a|b", "ab", True),
        ("!~", "a.*", "ab", False),
    ],
)
def test_a_matcher_compares_the_whole_value_of_a_label(operator, expected, value, met):
    assert Matcher(name="x", operator=MatchOperator(operator), value=expected).matches(value) is met


@pytest.mark.parametrize(
    ("pattern", "matching", "not_matching"),
    [
        ("5..", ["500", "5\n0"], ["50", "5000", "x500"]),
        ("(?-s)a.b", ["axb"], ["a\nb"]),
        (".*", ["", "a\nb"], []),
        (".+", ["x", "\n"], [""]),
        ("a||b", ["a", "", "b"], ["ab"]),
        ("GET|/api/v1", ["GET", "/api/v1"], ["GET|/api/v1"]),
        ("(?i)get|Post", ["GET", "post"], ["put"]),
        ("a(?i)b|c", ["aB", "C"], ["AB"]),
        ("(?i:a)b", ["Ab"], ["AB"]),
        ("(?i)k", ["k", "K", "\u212a"], ["x"]),
        ("(?i)[^k]", ["x"], ["K", "k"]),
        ("(?i)[a-c]x", ["BX"], ["DX"]),
        (r"\d+", ["12"], ["٣", "a"]),
        (r"\w\W\S\s\D", ["a-b c"], ["é-b c"]),
        (r"\s", ["\t", "\f"], ["\v", "\u00a0"]),
        (r"\pL+", ["äβж"], ["a1"]),
        (r"\p{Lu}\P{Lu}\p{^Lu}", ["Aab"], ["aab"]),
        (r"[\pN_]+", ["1_٣"], ["a"]),
        ("[[:alpha:][:digit:]]+", ["a1"], ["a_", "é"]),
        ("[[:^space:]]", ["a"], [" "]),
        (r"[^\d\-]", ["a"], ["1", "-"]),
        ("[]a]+", ["]a"], ["[", "b"]),
        ("[a-]", ["-", "a"], ["b"]),
        (r"[\]\^\\]+", ["]^\\"], ["a"]),
        (r"\Aab\z", ["ab"], ["ab\n"]),
        ("^ab$", ["ab"], ["ab\n", "xab"]),
        ("(?m)a$\n^b", ["a\nb"], ["ab"]),
        (r"a\b.\bb", ["a b"], ["axb"]),
        (r"\B", [""], ["a"]),
        ("a{2}", ["aa"], ["a", "aaa"]),
        ("a{2,}?b", ["aab", "aaaab"], ["ab"]),
        ("a{1,2}", ["a", "aa"], ["aaa", ""]),
        ("a{,2}", ["a{,2}"], ["a", "aa"]),
        ("a{x}", ["a{x}"], ["a"]),
        ("(?:ab)+", ["abab"], ["aba"]),
        ("(?P<name>a)(?<other>b)", ["ab"], ["a"]),
        (r"\Qa.b*\E+", ["a.b*", "a.b**"], ["axb"]),
        (r"\Qa.b", ["a.b"], ["axb"]),
        (r"\x41\x{1F600}\101\n\t\.", ["A😀A\n\t."], ["A"]),
        (r"\_\-\/", ["_-/"], []),
        ("(a|b)*?c", ["ababc"], ["ab"]),
        ("()", [""], ["a"]),
        ("a{0}b", ["b"], ["ab"]),
        (r"api\.example\.com:(80|443)", ["api.example.com:443"], ["apiXexample.com:443"]),
        ("münchen|北京", ["münchen", "北京"], ["munchen"]),
    ],
)
def test_patterns_mean_what_re2_means(pattern, matching, not_matching):
    for value in matching:
        assert _matches(pattern, value), value
    for value in not_matching:
        assert not _matches(pattern, value), value


@pytest.mark.parametrize(
    ("pattern", "position", "words"),
    [
        ("a(?=b)", 1, "no lookaround"),
        ("(?<!a)b", 0, "no lookaround"),
        ("(a)\\1", 3, "no backreferences"),
        ("(?P=a)", 0, "no backreferences"),
        ("(?>a)", 0, "no atomic groups"),
        ("(?#a)", 0, "no comments"),
        ("(?x)a", 0, "unsupported group syntax"),
        ("a++", 1, "possessive"),
        ("a**", 1, "nested repetition"),
        ("a{2}{3}", 1, "nested repetition"),
        ("*a", 0, "nothing before *"),
        ("a|+", 2, "nothing before +"),
        ("({2})", 1, "nothing before {"),
        ("(a", 0, "missing closing )"),
        ("a)", 1, "unexpected )"),
        ("[a", 0, "missing closing ]"),
        ("[]", 0, "missing closing ]"),
        ("[z-a]", 1, "invalid character class range z-a"),
        ("[[:nope:]]", 1, "unknown character class"),
        ("a{1001}", 1, "at most 1000"),
        ("a{2,1}", 1, "bad repetition"),
        ("(a{100}){100}", 8, "more than 1000"),
        ("\\", 0, "trailing backslash"),
        ("\\8", 0, "no backreferences"),
        ("\\Z", 0, "invalid escape sequence"),
        ("\\é", 0, "invalid escape sequence"),
        ("\\x{110000}", 0, "beyond 10FFFF"),
        ("\\p{Greek}", 0, "scripts are not"),
        ("\\p", 0, "incomplete Unicode class"),
        ("(?P<1 a>b)", 0, "invalid group name"),
        ("(?P<a>b)(?P<a>c)", 8, "duplicate group name"),
        ("(" * 200 + ")" * 200, 101, "nest more than"),
    ],
)
def test_what_re2_refuses_is_refused_with_its_place(pattern, position, words):
    with pytest.raises(RegexError) as caught:
        Matcher(name="label", operator=MatchOperator.NOT_REGEX, value=pattern)
    assert words in caught.value.message
    assert caught.value.position == position


def test_matchers_are_values():
    one, other = (Matcher(name="a", operator=MatchOperator.REGEX, value="b.*") for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert str(one) == 'a=~"b.*"'
    assert one != Matcher(name="a", operator=MatchOperator.NOT_REGEX, value="b.*")


@settings(max_examples=300, deadline=None)
@given(
    st.text(alphabet="ab|()[]{}*+?.^$\\-,:dQEpPLxizsm<>=!0123", max_size=14), st.text(alphabet="ab1|(\n", max_size=5)
)
def test_any_pattern_gives_an_answer_or_a_placed_error(pattern, value):
    place = _refused_at(pattern)
    if place is None:
        assert full_match(pattern)(value) in {True, False}
    else:
        assert 0 <= place <= len(pattern)


def _refused_at(pattern):
    try:
        full_match(pattern)
    except RegexError as error:
        return error.position
    return None
