"""What an expression says without being evaluated."""

import math

import pytest

from otelmon.promql.analyze import condition, constant, lookback_seconds, metric_names, selectors, walk
from otelmon.promql.parse import parse
from otelmon.promql.render import render


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1", 0),
        ("vector(time())", 0),
        ("a", 300),
        ("a offset 1h", 3900),
        ("a offset -10m", 0),
        ("a offset -1m", 240),
        ("rate(a[5m])", 300),
        ("rate(a[5m] offset 1h)", 3900),
        ("rate(a[5m] smoothed)", 600),
        ("rate(a[1m]) > a", 300),
        ("rate(a[1h]) / rate(a[10m])", 3600),
        ("topk(scalar(rate(a[2h])), b)", 7200),
        ("max_over_time(rate(a[5m])[1h:1m])", 3900),
        ("max_over_time(a[1h:])", 3900),
        ("max_over_time(rate(a[5m] offset 10m)[1h:1m] offset 1d)", 86400 + 3600 + 600 + 300),
        ("max_over_time(max_over_time(a[1h:])[1d:])", 86400 + 3600 + 300),
        ("a @ end()", 300),
        ("rate(a[5m] @ 1609746000)", 300),
        ("max_over_time((a @ end())[1d:])", 300),
        ("max_over_time(rate(a[5m] @ start() offset 1h)[1d:])", 3900),
        ("max_over_time(a[1h:] @ 100)", 3900),
        ("rate(a[2 * 5m + max_of(1m, 10)])", 660),
        ("rate(a[10 * step() + 1m])", 210),
        ('absent_over_time(a{b="c"}[10m])', 600),
    ],
)
def test_lookback_is_how_far_the_selectors_reach(text, seconds):
    assert lookback_seconds(parse(text), step_seconds=15) == seconds


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("a > 5", ("a", ">", 5.0)),
        ("(a / b) >= 0.05", ("a / b", ">=", 0.05)),
        ("((a != 0))", ("a", "!=", 0.0)),
        ("5 < a", ("a", ">", 5.0)),
        ("5 > a", ("a", "<", 5.0)),
        ("5 >= (a)", ("a", "<=", 5.0)),
        ("5 <= a", ("a", ">=", 5.0)),
        ("0 == a", ("a", "==", 0.0)),
        ("a > 5 * 60", ("a", ">", 300.0)),
        ("a < -(2 ^ 3)", ("a", "<", -8.0)),
        ("a > 5m", ("a", ">", 300.0)),
        ("a > 1 / 0", ("a", ">", math.inf)),
        ("a > 1 and b > 2", ("a", ">", 1.0)),
        ("(a > 1 and on(job) b) unless c", ("a", ">", 1.0)),
        ("time() - a > 600", ("time() - a", ">", 600.0)),
        ("sum by (job) (rate(a[5m])) > 0", ("sum by (job) (rate(a[5m]))", ">", 0.0)),
        ("a > 1 < 5", ("a > 1", "<", 5.0)),
    ],
)
def test_a_comparison_with_a_constant_at_the_top_is_the_condition(text, meaning):
    found = condition(parse(text))
    assert found is not None
    assert (render(found.measure), found.operator, found.bound) == meaning


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "1",
        "a > b",
        "a > bool 1",
        "a > 1 or b > 2",
        "a > scalar(b)",
        "a > time()",
        "sum(a > 1)",
        "-(a > 1)",
        "absent(a)",
        "a and b > 1",
        "a >/ 5",
        "1 > bool 2",
    ],
)
def test_whatever_else_has_no_condition(text):
    assert condition(parse(text)) is None


def test_a_condition_holds_on_the_right_side_of_its_bound():
    found = condition(parse("0.05 < a"))
    assert found.holds(0.06)
    assert not found.holds(0.05)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0 / 0", math.nan),
        ("-1 / 0", -math.inf),
        ("1 / (0 * -1)", -math.inf),
        ("7 % 4", 3.0),
        ("-7 % 4", -3.0),
        ("1 % 0", math.nan),
        ("10 ^ 400", math.inf),
        ("(-10) ^ 401", -math.inf),
        ("0 ^ -1", math.inf),
        ("(-8) ^ 0.5", math.nan),
        ("+(3 - 1)", 2.0),
    ],
)
def test_constants_are_computed_as_ieee_754_says(text, value):
    found = constant(parse(text))
    assert found == value or (math.isnan(found) and math.isnan(value))


def test_metric_names_are_those_selected_by_equality_each_once():
    text = 'a / on() {"my.metric"} + {__name__="c"} + rate(a[5m]) + {__name__=~"d|e", x="y"} + sum_over_time(f[1h:])'
    assert metric_names(parse(text)) == ("a", "my.metric", "c", "f")
    assert metric_names(parse("vector(1)")) == ()


def test_selectors_come_in_the_order_of_the_text():
    assert [render(selector) for selector in selectors(parse("topk(scalar(k), rate(a[5m] offset 1m)) / b{c='d'}"))] == [
        "k",
        "a offset 1m",
        'b{c="d"}',
    ]


def test_walk_meets_every_expression_outer_before_inner():
    assert [type(node).__name__ for node in walk(parse("-sum((a))"))] == [
        "Unary",
        "Aggregate",
        "Paren",
        "VectorSelector",
    ]
