"""The evaluator against slow, plain Python on random data."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelmon.histogram import Buckets, Histogram
from otelmon.labels import Labels
from otelmon.promql.evaluation import Evaluation
from otelmon.promql.query import Query
from otelmon.sample import Sample
from otelmon.window.window import Window

START = 1_700_000_000.0


def extrapolated(samples: list[tuple[float, float]], start: float, end: float, *, counter: bool) -> float | None:
    """extrapolatedRate of Prometheus's functions.go, line by line: the increase over the range."""
    inside = [(at, value) for at, value in samples if start < at <= end]
    if len(inside) < 2:
        return None
    (first_at, first), (last_at, last) = inside[0], inside[-1]
    increase = last - first
    if counter:
        before = first
        for _, value in inside[1:]:
            if value < before:
                increase += before
            before = value
    to_start, to_end, sampled = first_at - start, end - last_at, last_at - first_at
    between = sampled / (len(inside) - 1)
    if to_start >= between * 1.1:
        to_start = between / 2
    if counter and increase > 0 and first >= 0:
        to_start = min(to_start, sampled * (first / increase))
    if to_end >= between * 1.1:
        to_end = between / 2
    return increase * ((sampled + to_start + to_end) / sampled)


counters = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 50)), max_size=30)


@settings(max_examples=60, deadline=None)
@given(st.lists(counters, min_size=1, max_size=4), st.integers(30, 400), st.booleans())
def test_increase_rate_and_delta_are_those_of_prometheus(
    series: list[list[tuple[int, int]]], width: int, evict: bool
) -> None:
    window = Window(retention_seconds=width + 300 if evict else 1e9)
    data: dict[str, list[tuple[float, float]]] = {}
    samples = []
    for index, steps in enumerate(series):
        at = START
        for wait, value in steps:
            at += wait
            data.setdefault(str(index), []).append((at, float(value)))
            samples.append(Sample(labels=Labels({"__name__": "c", "n": str(index)}), at=at, value=float(value)))
    samples.sort(key=lambda sample: sample.at)
    for sample in samples:
        window.append([sample])
    end = max((sample.at for sample in samples), default=START) + 3.5
    for function, counter, divisor in (("increase", True, 1), ("rate", True, width), ("delta", False, 1)):
        result = Query(f"{function}(c[{width}s])").evaluate(window, end)
        assert isinstance(result, Evaluation)
        found = {element.labels["n"]: element.value for element in result.vector}
        expected = {
            name: value / divisor
            for name, points in data.items()
            if (value := extrapolated(points, end - width, end, counter=counter)) is not None
        }
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


gauges = st.dictionaries(
    st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.integers(0, 3)), st.floats(-1e3, 1e3), min_size=1
)


@settings(max_examples=60, deadline=None)
@given(gauges)
def test_aggregations_are_those_of_a_dict(values: dict[tuple[str, str, int], float]) -> None:
    window = Window(retention_seconds=300)
    window.append(
        Sample(labels=Labels({"__name__": "g", "job": job, "route": route, "n": str(n)}), at=START, value=value)
        for (job, route, n), value in values.items()
    )
    groups: dict[str, list[float]] = {}
    for (job, _, _), value in values.items():
        groups.setdefault(job, []).append(value)
    of = {
        "sum": math.fsum,
        "count": len,
        "min": min,
        "max": max,
        "avg": lambda many: math.fsum(many) / len(many),
        "stdvar": lambda many: math.fsum((one - math.fsum(many) / len(many)) ** 2 for one in many) / len(many),
    }
    for operator, reduce in of.items():
        for grouping in ("by (job)", "without (route, n)"):
            result = Query(f"{operator} {grouping} (g)").evaluate(window, START + 1)
            assert isinstance(result, Evaluation)
            found = {element.labels["job"]: element.value for element in result.vector}
            assert found == pytest.approx({job: reduce(many) for job, many in groups.items()}, rel=1e-7, abs=1e-7)


def exponential(values: list[float], scale: int) -> Histogram:
    counts: dict[int, int] = {}
    for value in values:
        index = math.ceil(math.log2(value) * 2**scale)
        counts[index] = counts.get(index, 0) + 1
    indices = sorted(counts)
    buckets = Buckets(indices=tuple(indices), counts=tuple(float(counts[index]) for index in indices))
    return Histogram(count=float(len(values)), sum=sum(values), scale=scale, positive=buckets)


@pytest.mark.parametrize("seed", range(6))
def test_the_95th_percentile_of_latencies_at_scale_5_is_within_two_percent(seed: int) -> None:
    chance = random.Random(seed)
    window = Window(retention_seconds=600)
    latencies: dict[str, list[float]] = {"/fast": [], "/slow": []}
    before: list[float] = []
    for tick in range(21):
        for route, seen in latencies.items():
            seen.extend(chance.lognormvariate(-3 if route == "/fast" else 0, 0.7) for _ in range(100))
            labels = Labels({"__name__": "h", "route": route, "host": str(tick % 1)})
            window.append([Sample(labels=labels, at=START + 15 * tick, value=exponential(seen, 5))])
            if tick == 0:
                before += seen
    at = START + 300
    for quantile in (0.5, 0.95, 0.99):
        for grouping, routes in (("by (route)", [["/fast"], ["/slow"]]), ("", [["/fast", "/slow"]])):
            result = Query(f"histogram_quantile({quantile}, sum {grouping} (rate(h[5m])))").evaluate(window, at)
            assert isinstance(result, Evaluation)
            for members in routes:
                # What (at - 5m, at] holds: all but the first tick's, which is the first sample left out of the range.
                truth = sorted(value for route in members for value in latencies[route][200:])
                exact = truth[math.ceil(quantile * len(truth)) - 1]
                found = [e.value for e in result.vector if not e.labels or e.labels["route"] in members]
                assert found == [pytest.approx(exact, rel=0.02)]


def test_dense_and_object_histograms_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(7)
    one, other = Window(retention_seconds=600), Window(retention_seconds=600)
    # A histogram of another scale under the same name makes the second window keep objects.
    other.append([Sample(labels=Labels({"__name__": "h", "n": "alien"}), at=START - 900, value=exponential([1], 3))])
    for n in range(4):
        seen: list[float] = []
        for tick in range(25):
            seen = [] if chance.random() < 0.1 else seen
            seen = [*seen, *(chance.lognormvariate(0, 1) for _ in range(chance.randrange(20)))]
            labels = Labels({"__name__": "h", "n": str(n)})
            for window in (one, other):
                window.append([Sample(labels=labels, at=START + 15 * tick + n, value=exponential(seen, 5))])
    expressions = [
        "histogram_count(rate(h{n!='alien'}[5m]))",
        "histogram_sum(increase(h{n!='alien'}[4m]))",
        "histogram_quantile(0.3, rate(h{n!='alien'}[5m]))",
        "histogram_quantile(0.9, sum(rate(h{n!='alien'}[5m])))",
        "histogram_quantile(0.9, h{n!='alien'} offset 2m)",
        "histogram_avg(avg by (n) (h{n!='alien'}))",
        "histogram_fraction(0.5, 2, sum(h{n!='alien'}))",
        "histogram_count(sum_over_time(h{n!='alien'}[3m]))",
    ]
    for text in expressions:
        dense, objects = (Query(text).evaluate(window, START + 365) for window in (one, other))
        assert isinstance(dense, Evaluation)
        assert isinstance(objects, Evaluation)
        assert dense.vector
        assert {e.labels: e.value for e in dense.vector} == pytest.approx(
            {e.labels: e.value for e in objects.vector}, rel=1e-9
        ), text
