"""What rules ask, told as stories: errors begin, series appear and go, queries fail with a reason."""

from __future__ import annotations

import math

import pytest

from otelmon.errors import PromQLError
from otelmon.labels import Labels
from otelmon.promql.evaluate import _OF_MATRIX, _OF_VECTOR
from otelmon.promql.evaluation import Evaluation, Failed
from otelmon.promql.parse import parse
from otelmon.promql.query import Query
from otelmon.promql.signatures import FUNCTIONS
from otelmon.promql.supported import NOT_EVALUATED, check_supported
from otelmon.sample import STALE, Sample
from otelmon.window.window import Window
from tests.promql.generated import Expressions

START = 1_700_000_000.0


def sample(name: str, at: float, value: float, start_at: float | None = None, **labels: str) -> Sample:
    return Sample(labels=Labels({"__name__": name, **labels}), at=START + at, value=value, start_at=start_at)


def evaluated(query: str | Query, window: Window, at: float) -> Evaluation:
    result = (Query(query) if isinstance(query, str) else query).evaluate(window, START + at)
    assert isinstance(result, Evaluation), result
    return result


def by_label(result: Evaluation, name: str) -> dict[str, object]:
    return {element.labels.get(name, ""): element.value for element in result.vector}


def requests(window: Window, at: float, *, total: float, errors: float | None = None) -> None:
    """A service's requests, of which some fail; the error series exists from its first error on."""
    ok = total - (errors or 0)
    window.append([sample("http_requests_total", at, ok, start_at=START, code="200")])
    if errors:
        window.append([sample("http_requests_total", at, errors, start_at=START + at - 15, code="500")])


ERROR_RATIO = 'sum(rate(http_requests_total{code=~"5.."}[5m])) / sum(rate(http_requests_total[5m])) > 0.05'


def test_the_first_error_that_creates_its_series_is_seen_at_once() -> None:
    window = Window(retention_seconds=600)
    query = Query(ERROR_RATIO)
    for tick in range(1, 21):
        requests(window, tick * 15, total=tick * 15)
        quiet = evaluated(query, window, tick * 15)
        assert quiet.vector == ()
    requests(window, 315, total=345, errors=30)
    loud = evaluated(query, window, 315)
    assert len(loud.vector) == 1
    assert loud.vector[0].value > 0.05
    assert loud.selected_series == 3


def test_measured_has_the_value_also_where_the_condition_does_not_hold() -> None:
    window = Window(retention_seconds=600)
    window.append([sample("disk", 0, 0.5, device="a"), sample("disk", 0, 0.9, device="b")])
    result = evaluated("100 * disk > 80", window, 1)
    assert by_label(result, "device") == {"b": 90.0}
    assert result.measured is not None
    assert {labels["device"]: value for labels, value in result.measured.items()} == {"a": 50.0, "b": 90.0}


def test_a_rule_that_selects_nothing_says_so() -> None:
    result = evaluated("rate(nothing_total[5m]) > 1", Window(retention_seconds=600), 0)
    assert (result.vector, result.selected_series) == ((), 0)
    assert result.measured is not None
    assert dict(result.measured) == {}


def test_a_series_that_ended_is_gone_at_once_and_an_old_one_after_five_minutes() -> None:
    window = Window(retention_seconds=1000)
    window.append([sample("up", 0, 1.0, job="ended"), sample("up", 0, 1.0, job="silent")])
    window.append([sample("up", 15, STALE, job="ended")])
    assert by_label(evaluated("up", window, 14), "job") == {"ended": 1.0, "silent": 1.0}
    assert by_label(evaluated("up", window, 15), "job") == {"silent": 1.0}
    assert by_label(evaluated("up", window, 299.9), "job") == {"silent": 1.0}
    assert evaluated("up", window, 300).vector == ()
    window.append([sample("up", 30, 1.0, job="ended")])
    assert by_label(evaluated("up", window, 30), "job") == {"ended": 1.0, "silent": 1.0}


def test_a_query_follows_series_that_come_and_go() -> None:
    window = Window(retention_seconds=60)
    query = Query("sum by (job) (jobs) * on (job) group_left (team) owner")
    for tick in range(60):
        at = tick * 15.0
        window.append([sample("owner", at, 2.0, job=str(tick % 5), team=f"t{tick % 5}")])
        window.append([sample("jobs", at, 1.0, job=str(tick % 5), pod=f"{tick}-{n}") for n in range(20)])
        # The same query, and one that knows nothing of the past, must agree.
        fresh = evaluated(Query(query.expr), window, at)
        assert sorted(evaluated(query, window, at).vector, key=str) == sorted(fresh.vector, key=str)
        assert by_label(fresh, "team")[f"t{tick % 5}"] == 40.0
        assert "__name__" not in fresh.vector[0].labels


def test_samples_that_arrive_between_two_rules_of_a_tick_are_seen() -> None:
    window = Window(retention_seconds=60)
    query = Query("sum(recorded) + 0")
    window.append([sample("recorded", 0, 1.0)])
    assert evaluated(query, window, 5).vector[0].value == 1.0
    window.append([sample("recorded", 4, 7.0)])
    assert evaluated(query, window, 5).vector[0].value == 7.0


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("a + on (x) b", "found duplicate series for the match group"),
        ("b + on (x) c", "many-to-one matching must be explicit"),
        ('{__name__=~"b|c"} * 1', "same labelset"),
        ('label_replace(b, "n", "", "", "")', "same labelset"),
        ('label_replace(b, "n", "$1", "n", "(")', "invalid regular expression"),
        ('count_values("", b)', "invalid label name"),
        ("double_exponential_smoothing(b[1m], 2, 0.5)", "invalid smoothing factor"),
        ('"text"', "string"),
    ],
)
def test_an_evaluation_that_cannot_be_fails_with_its_reason(expression: str, reason: str) -> None:
    window = Window(retention_seconds=60)
    for name in ("b", "c"):
        window.append([sample(name, 0, 1.0, n="1", x="y"), sample(name, 0, 1.0, n="2", x="y")])
    window.append([sample("a", 0, 1.0, x="y")])
    if expression.startswith("b + on (x) c"):
        window = Window(retention_seconds=60)
        window.append(
            [sample("b", 0, 1.0, n="1", x="y"), sample("b", 0, 1.0, n="2", x="y"), sample("c", 0, 1.0, x="y")]
        )
    result = Query(expression).evaluate(window, START + 1)
    assert isinstance(result, Failed)
    assert reason in result.reason


def test_an_evaluation_over_too_many_samples_is_refused_with_the_bound() -> None:
    window = Window(retention_seconds=600)
    for tick in range(20):
        window.append([sample("a", tick, 1.0, n=str(n)) for n in range(100)])
    fine = Query("sum(rate(a[5m]))", most_samples=2_000).evaluate(window, START + 20)
    assert isinstance(fine, Evaluation)
    for text in ("sum(rate(a[5m]))", "max_over_time(sum(a)[5m:1s])"):
        refused = Query(text, most_samples=1_000).evaluate(window, START + 20.5)
        assert isinstance(refused, Failed)
        assert "more than 1000 samples" in refused.reason


def test_every_function_of_the_language_is_evaluated_or_refused_when_loaded() -> None:
    here = {
        *_OF_MATRIX,
        *_OF_VECTOR,
        *["time", "pi", "start", "end", "step", "range", "scalar", "vector", "timestamp", "min_of", "max_of"],
        *["quantile_over_time", "predict_linear", "double_exponential_smoothing", "info"],
    }
    assert here == set(FUNCTIONS) - NOT_EVALUATED.keys()


def test_what_is_not_evaluated_is_refused_with_its_place() -> None:
    text = "1 +\n  start_timestamp(up)"
    with pytest.raises(PromQLError) as refused:
        check_supported(parse(text), text)
    assert (refused.value.line, refused.value.column) == (2, 3)
    text = "up anchored"
    with pytest.raises(PromQLError, match="anchored is for ranges"):
        check_supported(parse(text), text)
    for text in ("rate(a[5m] anchored)", "a + fill(0) b", "a smoothed", "info(up)", ERROR_RATIO):
        check_supported(parse(text), text)


def test_warnings_carry_their_place() -> None:
    window = Window(retention_seconds=60)
    window.append([sample("a_bucket", 0, 1.0, le="many")])
    result = evaluated("histogram_quantile(0.9, a_bucket)", window, 1)
    assert result.warnings == (
        (
            'PromQL warning: bucket label "le" is missing or has a malformed value of "many" '
            'for metric name "a_bucket" (1:25)'
        ),
    )


def test_buckets_are_ordered_by_number_not_by_text() -> None:
    window = Window(retention_seconds=60)
    counts = {"10": 8.0, "2.5": 6.0, "0.5": 1.0, "+Inf": 8.0, "1e2": 8.0}
    window.append([sample("a_bucket", 0, count, le=le) for le, count in counts.items()])
    (found,) = evaluated("histogram_quantile(0.5, a_bucket)", window, 1).vector
    assert found.value == pytest.approx(0.5 + 2.0 * (4 - 1) / 5)


def test_dates_and_nan() -> None:
    window = Window(retention_seconds=60)
    for text, expected in (("hour(vector(1136239445))", 22.0), ("days_in_month(vector(1454284800))", 29.0)):
        assert evaluated(text, window, 0).vector[0].value == expected
    value = evaluated("hour(vector(NaN))", window, 0).vector[0].value
    assert isinstance(value, float)
    assert math.isnan(value)


def test_any_expression_gives_a_value_or_a_reason() -> None:
    window = Window(retention_seconds=600)
    for tick in range(20):
        window.append(
            [
                *(sample("http_requests_total", tick * 15, tick * n, code=f"50{n}", job="api") for n in range(3)),
                *(sample("a", tick * 15, tick - n, instance=str(n), le=str(n)) for n in range(3)),
                sample("up", tick * 15, math.nan if tick % 3 else 1.0, job="x"),
            ]
        )
    expressions = Expressions(11)
    values = 0
    for _ in range(400):
        text = expressions.any()
        try:
            query = Query(text)
        except PromQLError:
            continue
        result = query.evaluate(window, START + 290)
        assert isinstance(result, Evaluation | Failed), text
        values += isinstance(result, Evaluation)
    assert values > 200


def test_a_counter_that_fell_to_zero_and_stayed_there_grew_by_nothing_at_all() -> None:
    """Else the mean of no requests, 0 / 0, would be infinite and page."""
    window = Window(retention_seconds=3600)
    for tick in range(60):
        # Two restarts, the second just before the end; sums that no binary fraction holds exactly.
        total = 0.0 if tick in (20, 58, 59) else 0.1 * tick + 0.3
        window.append([sample("latency_sum", tick * 15, total), sample("latency_count", tick * 15, total and tick)])
    assert by_label(evaluated("increase(latency_sum[31s])", window, 59 * 15), "job") == {"": 0.0}
    assert evaluated("rate(latency_sum[31s]) / rate(latency_count[31s]) > 1", window, 59 * 15).vector == ()


def test_the_greater_of_nan_and_infinity_is_infinity_as_in_go() -> None:
    window = Window(retention_seconds=600)
    for text, expected in (
        ("clamp_min(vector(Inf), NaN)", math.inf),
        ("clamp_max(vector(-Inf), NaN)", -math.inf),
        ("max_of(NaN, Inf)", math.inf),
        ("min_of(1, 2)", 1.0),
    ):
        (element,) = evaluated(text, window, 0).vector
        assert element.value == expected, text
    (element,) = evaluated("clamp_min(vector(1), NaN)", window, 0).vector
    assert isinstance(element.value, float)
    assert math.isnan(element.value)


def test_results_that_a_comparison_filters_out_collide_with_nothing() -> None:
    window = Window(retention_seconds=600)
    window.append([sample("many", 0, 1, job="a", pod="x"), sample("many", 0, 3, job="a", pod="y")])
    window.append([sample("one", 0, 2, job="a", pod="z")])
    (element,) = evaluated("many > on (job) group_left (pod) one", window, 0).vector
    assert (element.labels.get("pod"), element.value) == ("z", 3)
    assert isinstance(Query("many >= bool on (job) group_left (pod) one").evaluate(window, START), Failed)
