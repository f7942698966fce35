"""Against promql-parser, a Rust parser of Prometheus's language: whatever it accepts, we read as the same tree."""

import re

import promql_parser
import pytest

from otelmon.errors import PromQLError
from otelmon.promql.parse import parse
from tests.promql.conformance import promqltest_expressions
from tests.promql.generated import Expressions
from tests.promql.oracle import our_tree, their_tree

# What promql-parser accepts and we refuse, by our words, each because Prometheus refuses it too (promql/parser/parse.go
# checkAST; Go's regexp), or because promql-parser's language is wider.
REFUSED_ON_PURPOSE = {
    "filling in missing series": "promql-parser does not check fill values beside scalars or set operators",
    "unary expression only allowed": "promql-parser drops a plus sign unseen: +x[5m] and +'a' pass",
    "matchers are joined by commas only": "`or` between matchers is MetricsQL",
    "after the label": "`or` between matchers is MetricsQL: {'name' or a='b'}",
    "bad regular expression": "promql-parser compiles with Rust's regex, which knows (?x) and more",
    "invalid label name": "an empty quoted label name passes promql-parser",
    "invalid name": "an empty quoted metric name passes promql-parser",
    "expected label selectors only": "promql-parser lets any vector be the second argument of info()",
}

# What promql-parser reads otherwise: an escaped byte above 127 as a character (in Go it is a byte, part of UTF-8 or
# not), and an instant before 1970, at which its Python side panics.
READ_OTHERWISE = re.compile(r"\\(x[89a-fA-F]|[23][0-7][0-7])|@\s*-")


def _compared(text):
    """(their tree, our tree or the error), None where they refuse."""
    try:
        theirs = their_tree(promql_parser.parse(text))
    except ValueError:
        theirs = None
    try:
        ours = our_tree(parse(text)) if theirs is not None else parse(text) and None
    except PromQLError as error:
        ours = error
    return theirs, ours


def test_five_thousand_generated_and_mutated_expressions_read_as_promql_parser_reads_them():
    expressions = Expressions(seed=20)
    accepted = excused = 0
    for index in range(5000):
        text = expressions.any()
        if index % 2:
            text = expressions.mutated(text)
        if READ_OTHERWISE.search(text):
            continue
        theirs, ours = _compared(text)
        if isinstance(ours, PromQLError):
            assert ours.line >= 1
            assert ours.column >= 1
            assert 0 <= ours.start <= ours.end <= len(text), text
        if theirs is None:
            continue
        accepted += 1
        if isinstance(ours, PromQLError) and any(words in ours.message for words in REFUSED_ON_PURPOSE):
            excused += 1
        else:
            assert ours == theirs, text
    assert accepted > 3000, "the generator has drifted: too little of it is accepted to say anything"
    assert excused < accepted / 100


@pytest.mark.parametrize("text", ["{a=~`\\d+`, b='c'}", "1_000", "a offset step()", "a[5m] smoothed"])
def test_what_promql_parser_cannot_read_we_read(text):
    # It knows escapes between backticks, and lacks what Prometheus 3.4 and later added.
    theirs, ours = _compared(text)
    assert not isinstance(ours, PromQLError)
    assert theirs is None or theirs != ours


def test_every_expression_of_prometheus_own_tests_parses():
    for place, text in promqltest_expressions():
        try:
            parse(text)
        except PromQLError as error:
            pytest.fail(f"{place}: {text}: {error}")


def test_the_expressions_of_prometheus_own_tests_read_as_promql_parser_reads_them():
    compared = 0
    for place, text in promqltest_expressions():
        if READ_OTHERWISE.search(text):
            continue
        theirs, ours = _compared(text)
        if theirs is not None:
            compared += 1
            assert ours == theirs, f"{place}: {text}"
    assert compared > 1000
