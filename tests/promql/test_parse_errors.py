"""What cannot be meant is refused: at which line and column, in which words."""

import pytest

from otelmon.errors import PromQLError
from otelmon.promql.parse import parse
from tests.promql.generated import Expressions

# expression, place (line:column), text that is marked, words of the message
REFUSED = [
    # What is no token
    ("", "1:1", "", "no expression found in input"),
    ("# only a comment", "1:1", "# only a comment", "no expression found in input"),
    ("a && b", "1:3", "&", "written `and`, `or` and `unless`"),
    ("a > $limit", "1:5", "$", "no variables"),
    ("a > 5x", "1:5", "5x", "bad number or duration '5x'"),
    ("a > 1__0", "1:5", "1__0", "bad number or duration"),
    ("a > 0o17", "1:5", "0o17", "bad number or duration"),
    ("a > 1.2.3", "1:5", "1.2.3", "bad number or duration"),
    ("a > 1e", "1:5", "1e", "bad number or duration"),
    ("a > 1e999", "1:5", "1e999", "out of range"),
    ("a > 0xffffffffffffffff", "1:5", "0xffffffffffffffff", "64 bits"),
    ("a > 1d1w", "1:5", "1d1w", "units go from large to small"),
    ("a > 0s", "1:5", "0s", "write 0 without a unit"),
    ("a > 999999y", "1:5", "999999y", "out of range"),
    ("a{b='c}", "1:5", "'", "string is not closed"),
    ('a{b="c\nd"}', "1:5", '"', "on the same line"),
    ('a{b="\\q"}', "1:6", "\\q", "unknown escape sequence \\q"),
    ('"\\400"', "1:2", "\\4", "beyond one byte"),
    ('"\\ud800"', "1:2", "\\u", "no Unicode character"),
    ("mémoire", "1:2", "é", "a name that has it is quoted"),
    ("a !b", "1:3", "!", "the operators are != and, in a matcher, !~"),
    # Structure
    ("a b", "1:3", "b", "expected an operator or the end"),
    ("a +", "1:4", "", "unexpected end of expression: expected an expression"),
    ("a + * b", "1:5", "*", "unexpected '*': expected an expression"),
    ("(a", "1:1", "(", "unclosed left parenthesis"),
    ("a)", "1:2", ")", "unexpected ')'"),
    ("()", "1:2", ")", "expected an expression"),
    ("rate(a[5m]", "1:5", "(", "unclosed left parenthesis"),
    ("a = 1", "1:3", "=", "equality is written =="),
    ('a =~ "b"', "1:3", "=~", "stands in braces"),
    ("a by (b)", "1:3", "by", "belongs to an aggregation"),
    ("a on (b) c", "1:3", "on", "right after a binary operator"),
    ("a + bool", "1:9", "", "unexpected end"),
    ("sum(\n  rate(a[5m])\n) / sum(\n  rate(b)\n)", "4:8", "b", "write a range, such as b[5m]"),
    # Selectors
    ("{}", "1:1", "{}", "at least one non-empty matcher"),
    ('{a=~".*"}', "1:1", '{a=~".*"}', "at least one non-empty matcher"),
    ('{a!="b"}', "1:1", '{a!="b"}', "at least one non-empty matcher"),
    ('a{__name__="b"}', "1:1", 'a{__name__="b"}', "metric name must not be set twice: 'a' or 'b'"),
    ('a{"b"}', "1:1", 'a{"b"}', "metric name must not be set twice"),
    ('{""}', "1:2", '""', "must not be empty"),
    ('{"\\xff"}', "1:2", '"\\xff"', "must be UTF-8"),
    ("a{b}", "1:4", "}", "expected one of = != =~ !~ after the label b"),
    ('a{b=="c"}', "1:4", "==", "one ="),
    ("a{b=c}", "1:5", "c", 'such as b="value"'),
    ("a{b=1}", "1:5", "1", "expected a string"),
    ('a{b="c" d="e"}', "1:9", "d", "expected , or }"),
    ('a{b="c" or d="e"}', "1:9", "or", "joined by commas only"),
    ("a{,}", "1:3", ",", "expected a label's name"),
    ('a{b="c"', "1:8", "", "unexpected end"),
    ('a{b:c="d"}', "1:3", "b:c", "has a colon"),
    ('a{b=~"("}', "1:6", '"("', "missing closing )"),
    ('a{b=~"x(?=y)"}', "1:6", '"x(?=y)"', "no lookaround (?=...); match what you want, or use !~ (at character 2)"),
    ('a{b!~"(x)\\\\1"}', "1:6", '"(x)\\\\1"', "no backreferences"),
    ('a{b=~"x++"}', "1:6", '"x++"', "possessive"),
    # Ranges, offsets, @
    ("a[5m", "1:5", "", "expected ] or : after the range"),
    ("a[]", "1:3", "]", "expected a duration, such as 5m"),
    ("a[x]", "1:3", "x", "expected a duration"),
    ("a[0]", "1:3", "0", "range must be greater than 0"),
    ("a[-5m]", "1:3", "-5m", "range must be greater than 0"),
    ("a[5m - 300]", "1:3", "5m - 300", "range must be greater than 0"),
    ("a[5m / 0]", "1:8", "0", "division by zero"),
    ("a[5m % 0]", "1:8", "0", "modulo by zero"),
    ("a[2 ^ 100]", "1:3", "2 ^ 100", "out of range"),
    ("a[5m:0]", "1:6", "0", "subquery step must be greater than 0"),
    ("a[5m:1m:1m]", "1:8", ":", "expected ] after the step"),
    ("a[5m][5m]", "1:6", "[5m]", "ranges only allowed for vector selectors"),
    ("rate(sum(a)[5m])", "1:12", "[5m]", "write a subquery, [5m:]"),
    ("1[5m]", "1:2", "[5m]", "ranges only allowed for vector selectors"),
    ("1[5m:]", "1:1", "1", "subquery is only allowed on instant vector, got scalar"),
    ("a[5m][5m:]", "1:1", "a[5m]", "subquery is only allowed on instant vector, got range vector"),
    ("a offset 5m [5m]", "1:13", "[5m]", "write the range before offset"),
    ("a @ 5 [5m]", "1:7", "[5m]", "write the range before @"),
    ("a offset", "1:9", "", "expected a duration"),
    ("a offset x", "1:10", "x", "expected a duration"),
    ("a offset 5m offset 5m", "1:13", "offset 5m", "offset may not be set multiple times"),
    ("a @ 1 @ 2", "1:7", "@ 2", "may not be set multiple times"),
    ("a @ inf", "1:5", "inf", "timestamp out of bounds"),
    ("a @ 1e300", "1:5", "1e300", "timestamp out of bounds"),
    ("a @ start", "1:10", "", "expected ( after @ start"),
    ("a @ now()", "1:5", "now", "expected unix seconds, start() or end()"),
    ("sum(a) offset 5m", "1:8", "offset", "write it inside, right after the selector"),
    ("(a) @ 5", "1:5", "@", "@ modifier must be preceded by"),
    ("a anchored smoothed", "1:12", "smoothed", "cannot be used together"),
    ("a smoothed smoothed", "1:12", "smoothed", "may not be set multiple times"),
    ("a smoothed [5m]", "1:12", "[5m]", "write it after"),
    ("a[5m:] anchored", "1:8", "anchored", "not supported for subqueries"),
    ("irate(a[5m] smoothed)", "1:7", "a[5m] smoothed", "can only be used with: delta, increase, rate"),
    # Operators
    ("1 > 2", "1:3", ">", "must use BOOL modifier; write > bool"),
    ("a + bool b", "1:3", "+", "bool modifier can only be used on comparison operators"),
    ("a and 1", "1:3", "and", "set operator and not allowed in binary scalar expression"),
    ("1 >/ 2", "1:3", ">/", "not allowed between scalars"),
    ("a[5m] + 1", "1:1", "a[5m]", "got range vector; make one value of the range"),
    ('1 + "a"', "1:5", '"a"', "must contain only scalar and instant vector types, got string"),
    ('-"a"', "1:2", '"a"', "unary expression only allowed on"),
    ("+a[5m]", "1:2", "a[5m]", "unary expression only allowed on"),
    ("a + group_left() b", "1:5", "group_left", "expected on(...) or ignoring(...) before group_left"),
    ("a + on b", "1:8", "b", "expected ( with the labels after on"),
    ("a + on(x) group_left(x) b", "1:3", "+", "label 'x' must not occur in ON and GROUP clause at once"),
    ("a and on(x) group_left() b", "1:3", "and", "no grouping allowed for 'and'"),
    ("a or fill(1) b", "1:3", "or", "filling in missing series not allowed for 'or'"),
    ("a + fill(1) 2", "1:3", "+", "filling in missing series only allowed between instant vectors"),
    ("a + fill(1) fill_left(2) b", "1:13", "fill_left", "once on each side"),
    ("a + fill(b) c", "1:10", "b", "expected a number in fill(...)"),
    ("1 + on(x) b", "1:3", "+", "vector matching only allowed between instant vectors"),
    # Functions and aggregations
    ("rat(a[5m])", "1:1", "rat", "unknown function with name 'rat'; did you mean rate?"),
    ("frobnicate(a)", "1:1", "frobnicate", "unknown function with name 'frobnicate'"),
    ("holt_winters(a[5m], 1, 2)", "1:1", "holt_winters", "did you mean double_exponential_smoothing?"),
    ("rate()", "1:1", "rate()", "expected 1 argument(s) in call to 'rate', got 0"),
    ("round(a, 1, 2)", "1:1", "round(a, 1, 2)", "expected at most 2 argument(s)"),
    ('label_join(a, "b")', "1:1", 'label_join(a, "b")', "expected at least 3 argument(s)"),
    ("rate(a)", "1:6", "a", "expected type range vector in call to function 'rate', got instant vector"),
    ("rate(sum(a))", "1:6", "sum(a)", "such as sum(a)[5m:]"),
    ("abs(a[5m])", "1:5", "a[5m]", "expected type instant vector in call to function 'abs', got range vector"),
    ("abs(1)", "1:5", "1", "write vector(...) around it"),
    ("histogram_quantile(a, 0.9)", "1:20", "a", "expected type scalar"),
    ("label_replace(a, b, '', '', '')", "1:18", "b", "write it between quotes"),
    ("rate(a[5m],)", "1:11", ",", "trailing commas not allowed"),
    ("info(a, b)", "1:9", "b", "expected label selectors only"),
    ("sum()", "1:1", "sum()", "no arguments for aggregate expression 'sum'"),
    ("sum(a, b)", "1:1", "sum(a, b)", "expected 1, got 2"),
    ("topk(a)", "1:1", "topk(a)", "expected 2, got 1"),
    ("topk(a, 5)", "1:6", "a", "expected type scalar in aggregation parameter of 'topk'"),
    ("topk(5, 5)", "1:9", "5", "expected type instant vector in aggregation expression 'topk', got scalar"),
    ("count_values(1, a)", "1:14", "1", "expected type string in aggregation parameter"),
    ("sum(a[5m])", "1:5", "a[5m]", "got range vector"),
    ("sum by job (a)", "1:8", "job", "expected ( with the labels after by"),
    ("sum by (job) a", "1:14", "a", "expected ( with what sum aggregates"),
    ("sum by (a) (b) by (c)", "1:16", "by", "given once"),
    ("sum by (,) (a)", "1:9", ",", "expected a label's name"),
    ("sum by (a b) (c)", "1:11", "b", "expected , or )"),
    ("sum by (inf) (a)", "1:9", "inf", 'write it quoted, "inf"'),
    ("sum by (a:b) (c)", "1:9", "a:b", "has a colon"),
    ("on", "1:1", "on", 'a metric of this name is written {"on"}'),
]  # fmt: skip


@pytest.mark.parametrize(("text", "place", "marked", "words"), REFUSED, ids=[text for text, *_ in REFUSED])
def test_refused_where_the_fault_stands_and_in_words_that_help(text, place, marked, words):
    with pytest.raises(PromQLError) as caught:
        parse(text)
    error = caught.value
    assert (f"{error.line}:{error.column}", text[error.start : error.end]) == (place, marked)
    assert words in error.message
    assert str(error).startswith(f"{place}: ")


def _refusal(text):
    try:
        parse(text)
    except PromQLError as error:
        return error
    return None


def test_whatever_is_typed_gives_a_tree_or_a_placed_error():
    expressions = Expressions(seed=7)
    refusals = 0
    for _ in range(3000):
        text = expressions.any()
        for _ in range(3):
            text = expressions.mutated(text)
        if (error := _refusal(text)) is not None:
            refusals += 1
            assert 0 <= error.start <= error.end <= len(text), text
            assert error.message
    assert refusals > 1000
