"""The grammar of Prometheus 3, one story at a time."""

import math

import pytest

from otelmon.errors import PromQLError
from otelmon.promql.ast import (
    Aggregate,
    Binary,
    Call,
    Cardinality,
    DurationBinary,
    DurationCall,
    DurationUnary,
    MatrixSelector,
    Number,
    Paren,
    String,
    Subquery,
    Unary,
    ValueType,
    VectorSelector,
)
from otelmon.promql.check import value_type
from otelmon.promql.lex import MAX_DEPTH
from otelmon.promql.literals import string_text
from otelmon.promql.parse import MAX_HEIGHT, parse
from otelmon.promql.render import render
from otelmon.promql.signatures import AGGREGATIONS, FUNCTIONS


def grouped(expr):
    """The text with a parenthesis around every operator, so that precedence shows."""
    match expr:
        case Binary():
            return f"({grouped(expr.left)} {expr.operator} {grouped(expr.right)})"
        case Unary():
            return f"({expr.operator}{grouped(expr.expr)})"
        case _:
            return render(expr)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("a + b * c", "(a + (b * c))"),
        ("a - b - c", "((a - b) - c)"),
        ("a ^ b ^ c", "(a ^ (b ^ c))"),
        ("a * b / c % d atan2 e", "((((a * b) / c) % d) atan2 e)"),
        ("a or b and c unless d", "(a or ((b and c) unless d))"),
        ("a and b > c", "(a and (b > c))"),
        ("a > b + c", "(a > (b + c))"),
        ("a >/ b </ c + d", "((a >/ b) </ (c + d))"),
        ("-a ^ b", "(-(a ^ b))"),
        ("-a * b", "((-a) * b)"),
        ("a ^ -b * c", "((a ^ (-b)) * c)"),
        ("a ^ -b ^ c", "(a ^ (-(b ^ c)))"),
        ("- - a", "(-(-a))"),
        ("a == bool b == c", "((a == b) == c)"),
        ("a + b offset 5m", "(a + b offset 5m)"),
    ],
)
def test_operators_bind_as_in_prometheus(text, meant):
    assert grouped(parse(text)) == meant


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0),
        ("-1", -1.0),
        ("+-+1", -1.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e3", 1000.0),
        ("1_000.5_0", 1000.5),
        ("0x1f", 31.0),
        ("0X_1F", 31.0),
        ("017", 15.0),
        ("08", 8.0),
        ("Inf", math.inf),
        ("-inF", -math.inf),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1s1ms", 1.001),
        ("1001ms", 1.001),
        ("1y", 31536000.0),
    ],
)
def test_numbers_are_decimal_hexadecimal_octal_or_durations(text, value):
    number = parse(text)
    assert isinstance(number, Number)
    assert number.value == value


def test_nan_is_a_number():
    assert math.isnan(parse("nan").value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"double"', "double"),
        ("'single \"x\"'", 'single "x"'),
        ("`raw \\n`", "raw \\n"),
        ("`two\nlines`", "two\nlines"),
        (r'"\a\b\f\n\r\t\v\\\""', '\a\b\f\n\r\t\v\\"'),
        (r"'it\'s'", "it's"),
        (r'"\x41\101\u00e4\U0001F600"', "AAä😀"),
        (r'"\xc3\xa4"', "ä"),
        ('"# no comment"', "# no comment"),
    ],
)
def test_strings_know_the_escapes_of_go(text, value):
    assert parse(text) == String(value=value, start=0, end=0)


def test_bytes_that_are_not_utf8_survive_in_a_string():
    expr = parse(r'"\xff"')
    assert expr.value == "\udcff"
    assert string_text(expr.value) == r'"\xff"'


def test_a_selector_has_its_name_first_among_its_matchers():
    selector = parse('http_requests_total{code=~"5..", method!="GET",}')
    assert isinstance(selector, VectorSelector)
    assert selector.name == "http_requests_total"
    assert [str(matcher) for matcher in selector.matchers] == [
        '__name__="http_requests_total"',
        'code=~"5.."',
        'method!="GET"',
    ]


def test_utf8_names_are_written_between_quotes():
    selector = parse('{"http.requests", "service.name"="shop", \'é\'!~`x|y`}')
    assert selector.name == "http.requests"
    assert [(m.name, m.operator.value, m.value) for m in selector.matchers] == [
        ("__name__", "=", "http.requests"),
        ("service.name", "=", "shop"),
        ("é", "!~", "x|y"),
    ]
    assert parse('sum by ("service.name", job) (x)').grouping == ("service.name", "job")


METRIC_WORDS = """
    sum by without and or unless offset start end step range limitk limit_ratio group topk anchored smoothed fill
    fill_left fill_right min max quantile rate time
"""
RESERVED_WORDS = "on ignoring bool group_left group_right atan2 inf nan"
LABEL_WORDS = "by on ignoring bool group_left offset and or sum atan2 start end inf nan"


@pytest.mark.parametrize("word", METRIC_WORDS.split())
def test_keywords_and_functions_may_be_names_of_metrics(word):
    assert parse(word).name == word
    assert parse(f"a + {word}").right.name == word
    assert parse(f'{word}{{a="b"}} > 1').left.name == word


@pytest.mark.parametrize("word", RESERVED_WORDS.split())
def test_the_other_keywords_are_metrics_only_between_quotes(word):
    assert not isinstance(_parsed(word), VectorSelector)
    assert parse(f'{{"{word}"}}').name == word
    assert render(parse(f'{{"{word}"}}')) == f'{{"{word}"}}'


def _parsed(text):
    try:
        return parse(text)
    except PromQLError:
        return None


@pytest.mark.parametrize("word", LABEL_WORDS.split())
def test_keywords_may_be_names_of_labels(word):
    assert parse(f'x{{{word}="1"}}').matchers[1].name == word
    if word not in {"inf", "nan"}:
        assert parse(f"sum by ({word}) (x)").grouping == (word,)


def test_keywords_are_read_in_any_case_and_functions_only_in_theirs():
    assert parse("SUM BY (job) (a) OR b OFFSET 5m") == parse("sum by (job) (a) or b offset 5m")
    with pytest.raises(PromQLError, match="did you mean rate"):
        parse("Rate(a[5m])")


def test_comments_and_line_breaks_are_skipped():
    assert parse("a # the left\n\t+ # the operator\r\n b\n# the end") == parse("a + b")


def test_offset_and_at_stand_in_either_order_on_selectors_ranges_and_subqueries():
    assert parse("a offset 5m @ 100") == parse("a @ 100 offset 5m")
    ranged = parse("a[5m] @ end() offset -1h")
    assert isinstance(ranged, MatrixSelector)
    assert ranged.selector.at == "end"
    assert ranged.selector.offset == Number(value=-3600.0, is_duration=True, start=0, end=0)
    subquery = parse("rate(a[1m])[30m:1m] offset 1h @ start()")
    assert isinstance(subquery, Subquery)
    assert (subquery.range.value, subquery.step.value, subquery.offset.value, subquery.at) == (1800, 60, 3600, "start")


@pytest.mark.parametrize(("text", "at"), [("1609746000", 1609746000.0), ("1.2345", 1.235), ("-2", -2.0), ("1m", 60.0)])
def test_at_takes_unix_seconds_to_the_millisecond(text, at):
    assert parse(f"a @ {text}").at == at


def test_a_subquery_without_a_step_leaves_it_to_the_evaluation_interval():
    assert parse("a[1h:]").step is None


def test_anchored_and_smoothed_follow_the_range():
    assert parse("rate(a[5m] smoothed)").arguments[0].selector.range_modifier == "smoothed"
    assert parse("changes(a[5m] anchored offset 1m)").arguments[0].selector.range_modifier == "anchored"
    assert parse("a smoothed").range_modifier == "smoothed"


def test_durations_may_be_computed_from_the_query():
    duration = parse("a[2 * step() + min_of(range(), 5m)]").range
    assert isinstance(duration, DurationBinary)
    assert isinstance(duration.left, DurationBinary)
    assert duration.right == DurationCall(
        function="min",
        arguments=(
            DurationCall(function="range", start=0, end=0),
            Number(value=300.0, is_duration=True, start=0, end=0),
        ),
        start=0,
        end=0,
    )
    assert parse("a[max(step(), 1m):min(step(), 1m)]").step.function == "min"
    assert parse("a[-(-5m)]") == parse("a[5m]")
    assert isinstance(parse("a offset -step()").offset, DurationUnary)


def test_what_follows_an_offset_without_parentheses_is_not_of_its_duration():
    assert isinstance(parse("a offset 5m * 2"), Binary)
    assert isinstance(parse("a offset (5m * 2)").offset, DurationBinary)


def test_aggregations_take_their_labels_before_or_after():
    before, after = parse("sum by (job, le) (a)"), parse("sum(a) by (job, le,)")
    assert isinstance(before, Aggregate)
    assert before == after
    assert before.grouping == ("job", "le")
    assert parse("max without () (a)").without
    assert parse("topk(3, a)").parameter == Number(value=3.0, start=0, end=0)
    assert parse('count_values("version", build) by (job)').parameter.value == "version"


def test_vector_matching_says_how_the_sides_pair_up():
    matching = parse("a * on (job, instance) group_left (version) b").matching
    assert matching.cardinality is Cardinality.MANY_TO_ONE
    assert (matching.on, matching.labels, matching.include) == (True, ("job", "instance"), ("version",))
    assert parse("a / ignoring(x) group_right b").matching.cardinality is Cardinality.ONE_TO_MANY
    assert parse("a and on() b").matching.cardinality is Cardinality.MANY_TO_MANY
    assert parse("a + b").matching.cardinality is Cardinality.ONE_TO_ONE
    assert parse("a + 1").matching is None
    assert parse("1 + on() a").matching is None


def test_missing_series_can_be_filled_in():
    assert (parse("a + fill(0) b").matching.fill_left, parse("a + fill(0) b").matching.fill_right) == (0.0, 0.0)
    matching = parse("a + on(x) group_left() fill_right(-2) fill_left(1) b").matching
    assert (matching.fill_left, matching.fill_right) == (1.0, -2.0)
    assert parse("a + fill").right.name == "fill"


def test_group_left_takes_the_parentheses_after_it_for_its_labels():
    assert parse("a * on(x) group_left (b) c").matching.include == ("b",)
    assert isinstance(parse("a * on(x) group_left () (b)").right, Paren)


def test_bool_makes_a_comparison_answer_zero_or_one():
    assert parse("1 > bool 2").returns_bool
    assert value_type(parse("1 > bool 2")) is ValueType.SCALAR
    assert value_type(parse("a > bool 2")) is ValueType.VECTOR


def test_every_function_can_be_called_with_as_many_arguments_as_it_takes():
    samples = {ValueType.SCALAR: "1", ValueType.STRING: '"s"', ValueType.VECTOR: "v", ValueType.MATRIX: "v[5m]"}
    for signature in FUNCTIONS.values():
        fewest = [samples[signature.argument_type(index)] for index in range(signature.fewest)]
        full = [samples[kind] for kind in signature.arguments]
        if signature.name == "info":
            full[1] = '{job="x"}'
        for arguments in (fewest, full):
            call = parse(f"{signature.name}({', '.join(arguments)})")
            assert isinstance(call, Call)
            assert value_type(call) is signature.returns
        if signature.most is not None:
            with pytest.raises(PromQLError, match="argument"):
                parse(f"{signature.name}({', '.join(['v'] * (signature.most + 1))})")


def test_every_aggregation_can_be_written():
    parameters = {None: "", ValueType.SCALAR: "0.5, ", ValueType.STRING: '"x", '}
    for name, parameter in AGGREGATIONS.items():
        assert parse(f"{name}({parameters[parameter]}a)").operator == name


def test_the_data_labels_of_info_may_match_everything():
    assert parse('info(a, {k8s_cluster_name=~".*"})').arguments[1].name == ""
    assert parse('info(a, {__name__="build_info"})').arguments[1].matchers[0].value == "build_info"


def test_min_of_and_start_are_functions_where_they_are_called():
    assert parse("min_of(1, step())").function == "min_of"
    assert parse("end() - start()").left.function == "end"
    assert parse("start offset 5m").name == "start"


def test_every_node_knows_its_place_in_the_text():
    text = '  sum by (job) (rate(errors{code=~"5.."}[5m] offset 1m))\n  / -(total) > 0.05 '
    places = {}
    stack = [parse(text)]
    while stack:
        node = stack.pop()
        places[type(node).__name__] = text[node.start : node.end]
        stack += [
            getattr(node, name)
            for name in ("left", "right", "expr", "selector", "parameter")
            if getattr(node, name, None) is not None
        ]
        stack += getattr(node, "arguments", ())
    assert places == {
        "Binary": 'sum by (job) (rate(errors{code=~"5.."}[5m] offset 1m))\n  / -(total)',
        "Number": "0.05",
        "Unary": "-(total)",
        "Paren": "(total)",
        "VectorSelector": 'errors{code=~"5.."}[5m] offset 1m',
        "Aggregate": 'sum by (job) (rate(errors{code=~"5.."}[5m] offset 1m))',
        "Call": 'rate(errors{code=~"5.."}[5m] offset 1m)',
        "MatrixSelector": 'errors{code=~"5.."}[5m] offset 1m',
    }


def test_trees_are_equal_that_mean_the_same_wherever_they_stand():
    assert parse("a+b") == parse("  a  +  b")
    assert hash(parse("rate(a[5m])")) == hash(parse("rate( a[5m] )"))
    assert parse("a + b") != parse("b + a")


def test_deep_and_long_expressions_are_refused_and_never_exhaust_the_stack():
    assert parse("(" * (MAX_DEPTH - 1) + "a" + ")" * (MAX_DEPTH - 1))
    assert render(parse(" + ".join(["a"] * MAX_HEIGHT)))
    for text, words in {
        "(" * 5000 + "a": "nests more than",
        "-" * 5000 + "a": "nests more than",
        "abs(" * 5000 + "a": "nests more than",
        "a[" + "(" * 5000: "nests more than",
        "a offset " + "-" * 5000 + "1m": "nests more than",
        " ^ ".join(["a"] * 5000): "nests more than",
        " + ".join(["a"] * 5000): "levels high",
        "a" + "[1m:]" * 500: "subquery is only allowed on instant vector",
        "a[" + "+".join(["1m"] * 5000) + "]": "levels high",
        'a{b=~"' + "(" * 5000 + '"}': "nest more than",
    }.items():
        with pytest.raises(PromQLError, match=words):
            parse(text)
