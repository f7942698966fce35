"""A view of a window is as a window that was only given the series that meet its matcher."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelmon.labels import Labels
from otelmon.matching import Matcher, MatchOperator
from otelmon.promql.evaluation import Evaluation
from otelmon.promql.query import Query
from otelmon.sample import STALE, Sample
from otelmon.window.window import Window
from tests.window.test_window import START, named, sample

EXPRESSIONS = (
    "a",
    "sum(a)",
    "sum by (job) (rate(a[1m]))",
    "absent(a)",
    "count({__name__=~'.+'}) or vector(0)",
    "a - on (job) b",
)


def of(tenant: str) -> Matcher:
    return Matcher(name="tenant", operator=MatchOperator.EQUAL, value=tenant)


SAMPLES = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.sampled_from(["", "s", "t"]), st.integers(0, 9)),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(SAMPLES, max_size=6))
def test_what_is_evaluated_on_it_is_as_if_there_were_nothing_else(ticks: list[list[tuple[str, str, str, int]]]) -> None:
    whole = Window(retention_seconds=600)
    parts = {each: Window(retention_seconds=600) for each in ("", "s", "t")}
    queries = [Query(text) for text in EXPRESSIONS]
    for number, tick in enumerate(ticks):
        at = 20.0 * number
        for name, job, tenant, value in tick:
            made = sample(name, at, STALE if value == 9 else float(value), job=job, tenant=tenant)
            whole.append([made])
            parts[tenant].append([made])
        for tenant, alone in parts.items():
            view = whole.within(of(tenant))
            assert view is whole.within(of(tenant))
            for query in queries:
                found, expected = query.evaluate(view, START + at), query.evaluate(alone, START + at)
                assert isinstance(found, Evaluation)
                assert isinstance(expected, Evaluation)
                assert sorted(map(repr, found.vector)) == sorted(map(repr, expected.vector))
                assert query.selects(view) == (found.selected_series > 0)


def test_a_clock_that_jumps_takes_its_results_along() -> None:
    window = Window(retention_seconds=300)
    window.append([sample("a", 0, 1.0, tenant="s"), sample("a", 0, 2.0)])
    query, view = Query("sum(a)"), window.within(of("s"))
    for seconds in (0.0, 3600.0):
        window.shift(seconds)
        found = query.evaluate(view, START + seconds)
        assert isinstance(found, Evaluation)
        assert [element.value for element in found.vector] == [1.0]
    assert [series.labels["tenant"] for series in view.select(named("a"))] == ["s"]


@pytest.mark.parametrize("labels", [{"tenant": "s"}, {}])
def test_series_without_the_label_are_found_among_those_that_have_it(labels: dict[str, str]) -> None:
    window = Window(retention_seconds=300)
    window.append([Sample(labels=Labels({"__name__": "a", "tenant": "s", "i": "0"}), at=START, value=1.0)])
    assert window.within(of("")).select(named("a")) == []
    window.append([Sample(labels=Labels({"__name__": "a", "i": "1", **labels}), at=START, value=1.0)])
    assert len(window.within(of("")).select(named("a"))) == (not labels)
