"""Canonical text: short, in one spelling, and read again as the same tree."""

import pytest

from otelmon.errors import PromQLError
from otelmon.promql.ast import Binary, DurationBinary, MatrixSelector, Number, Unary, VectorSelector
from otelmon.promql.parse import parse
from otelmon.promql.render import render
from tests.promql.conformance import promqltest_expressions
from tests.promql.generated import Expressions


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("SUM(a)BY(job)", "sum by (job) (a)"),
        ("sum by () (a)", "sum(a)"),
        ("sum without () (a)", "sum without () (a)"),
        ("a{}", "a"),
        ("{'a', b=`c`}", 'a{b="c"}'),
        ('{"a.b",c="d"}', '{"a.b", c="d"}'),
        ('{__name__="a"}', '{__name__="a"}'),
        ('{"a", __name__="b"}', '{"a", __name__="b"}'),
        ('{"on"}', '{"on"}'),
        ('sum by ("inf", "x") (a)', 'sum by ("inf", x) (a)'),
        ('a{b="\\"\\\\\\n\\x01\\xffé"}', 'a{b="\\"\\\\\\n\\x01\\xffé"}'),
        ("a offset 90m @ 1.50", "a @ 1.5 offset 1h30m"),
        ("rate(a[300])", "rate(a[300])"),
        ("a[5m] smoothed offset -(2*step())", "a[5m] smoothed offset -(2 * step())"),
        ("a[(1m+2m)*3:min(1m,step())]", "a[(1m + 2m) * 3:min_of(1m, step())]"),
        ("a[(-1)^2]", "a[(-1) ^ 2]"),
        ("a[-(2^2)*-1]", "a[-(2 ^ 2) * -1]"),
        ("1e3 + 1e30 + .5 + -inf + nan", "1000 + 1e+30 + 0.5 + -Inf + NaN"),
        ("- - a", "--a"),
        ("a*on(x)group_right(y)b", "a * on (x) group_right (y) b"),
        ("a*on(x)group_left(b)", None),
        ("a/ignoring()b", "a / b"),
        ("a>bool on()b", "a > bool on () b"),
        ("a+fill(1)b", "a + fill (1) b"),
        ("a+fill_right(1)fill_left(-2)b", "a + fill_left (-2) fill_right (1) b"),
        ('info(a, {"b"})', 'info(a, {"b"})'),
        ("topk(2,a)by(x)", "topk by (x) (2, a)"),
        ("(a)[5m:]", "(a)[5m:]"),
    ],
)
def test_each_expression_has_one_canonical_text(text, canonical):
    if canonical is None:
        with pytest.raises(PromQLError):
            parse(text)
        return
    assert render(parse(text)) == canonical
    assert parse(canonical) == parse(text) or "NaN" in canonical  # NaN is equal to nothing


def _reads_the_same_again(text):
    expr = parse(text)
    canonical = render(expr)
    # repr also tells NaN from NaN, which equality does not; without the places, which are others.
    again = parse(canonical)
    assert again == expr or ("NaN" in canonical and render(again) == canonical), f"{text}\n{canonical}"


def test_generated_expressions_read_the_same_from_their_canonical_text():
    expressions = Expressions(seed=3)
    compared = 0
    for index in range(3000):
        text = expressions.any(depth=5)
        if index % 3 == 0:
            text = expressions.mutated(text)
        try:
            parse(text)
        except PromQLError:
            continue
        _reads_the_same_again(text)
        compared += 1
    assert compared > 2000


@pytest.mark.parametrize("sign", ["", "-"])
def test_generated_durations_read_the_same_from_their_canonical_text(sign):
    expressions = Expressions(seed=4)

    def duration(depth):
        if depth == 0 or expressions.chance(0.2):
            return expressions.pick(["5m", "300", "1001ms", "step()", "range()", "1e3", "2"])
        left, right = duration(depth - 1), duration(depth - 1)
        return expressions.pick(
            [f"({left})", f"-{left}", f"{left} {expressions.pick('+-*/%^')} {right}", f"max_of({left}, {right})"]
        )

    compared = 0
    for _ in range(1500):
        for text in (f"a[{duration(3)}]", f"a offset {sign}({duration(3)})", f"a[5m:{duration(2)}]"):
            try:
                parse(text)
            except PromQLError:
                continue
            _reads_the_same_again(text)
            compared += 1
    assert compared > 1500


def test_the_expressions_of_prometheus_own_tests_read_the_same_from_their_canonical_text():
    for _place, text in promqltest_expressions():
        _reads_the_same_again(text)


def test_a_tree_that_was_built_gets_the_parentheses_that_its_meaning_needs():
    a, b, c = (parse(name) for name in "abc")

    def binary(operator, left, right):
        return Binary(operator=operator, left=left, right=right, start=0, end=0)

    assert render(binary("*", binary("+", a, b), c)) == "(a + b) * c"
    assert render(binary("-", a, binary("-", b, c))) == "a - (b - c)"
    assert render(binary("^", binary("^", a, b), c)) == "(a ^ b) ^ c"
    assert render(binary("^", Number(value=-2.0, start=0, end=0), c)) == "(-2) ^ c"
    assert render(Unary(operator="-", expr=binary("*", a, b), start=0, end=0)) == "-(a * b)"
    assert isinstance(a, VectorSelector)
    length = DurationBinary(
        operator="-",
        left=Number(value=600.0, is_duration=True, start=0, end=0),
        right=parse("x[1m - 2]").range,
        start=0,
        end=0,
    )
    assert render(MatrixSelector(selector=a, range=length, start=0, end=0)) == "a[10m - (1m - 2)]"
