"""What rules cost: ``python -m tests.benchmarks.rules``.

11,200 series (700 label sets, each a classic histogram of 14 buckets with count and sum) at 15 s, windows of 5 min; 50
ratio and 50 quantile rules over all series, then 100 rules over one route; and how cost grows with series and churn.
CPU seconds of this process, medians over ticks. No two rules are the same expression.
"""

from __future__ import annotations

import gc
import random
import resource
import statistics
import time
import tracemalloc
from collections.abc import Callable

from otelmon.labels import Labels
from otelmon.promql.evaluation import Evaluation
from otelmon.promql.query import Query
from otelmon.sample import Sample
from otelmon.window.window import Window

START = 1_700_000_000.0
BOUNDS = ("0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.25", "0.5", "0.75", "1", "2.5", "5", "10", "+Inf")


def label_set(number: int) -> dict[str, str]:
    return {
        "job": "shop",
        "instance": f"host-{number % 7}",
        "http_route": f"/route/{number // 10 % 70}",
        "http_request_method": ("GET", "POST")[number % 2],
        "http_response_status_code": ("200", "201", "404", "500", "503")[number // 2 % 5],
        "shard": str(number // 700),
    }


class Service:
    """Counters that grow at random."""

    def __init__(self, sets: int) -> None:
        self.chance = random.Random(1)
        self.labels: list[list[Labels]] = []
        self.counts: list[list[float]] = []
        for number in range(sets):
            self.add(number)

    def add(self, number: int) -> None:
        base = Labels(label_set(number))
        name = "http_server_request_duration_seconds"
        rows = [base.with_labels({"__name__": f"{name}_bucket", "le": le}) for le in BOUNDS]
        rows += [base.with_label("__name__", f"{name}_{end}") for end in ("count", "sum")]
        self.labels.append(rows)
        self.counts.append([0.0] * len(rows))

    def samples(self, at: float) -> list[Sample]:
        made = []
        for rows, counts in zip(self.labels, self.counts, strict=True):
            slowest = self.chance.randrange(len(BOUNDS))
            for index in range(slowest, len(BOUNDS)):
                counts[index] += 10 + index
            counts[-2], counts[-1] = counts[-3], counts[-1] + self.chance.random()
            made += [Sample(labels=row, at=at, value=count) for row, count in zip(rows, counts, strict=True)]
        return made


def rules(selector: str) -> list[Query]:
    """50 ratio and 50 quantile rules, all different."""
    name = "http_server_request_duration_seconds"
    inside = f"{{{selector}}}" if selector else ""
    found = []
    comma = "," if selector else ""
    for number in range(50):
        by = ("http_route", "http_request_method", "instance", "http_route, instance", "job")[number % 5]
        codes = ("5..", "4..", "50[03]", "[45]..", "404")[number // 5 % 5]
        bad = f'{{{selector}{comma}http_response_status_code=~"{codes}"}}'
        found.append(
            f"sum by ({by}) (rate({name}_count{bad}[5m])) / sum by ({by}) (rate({name}_count{inside}[5m])) "
            f"> {0.01 * (number + 1)}"
        )
        found.append(
            f"histogram_quantile(0.{50 + number % 50}, sum by (le, {by}) (rate({name}_bucket{inside}[5m]))) "
            f"> {0.1 * (number + 1)}"
        )
    return [Query(text) for text in found]


def cpu(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def evaluate(queries: list[Query], window: Window, at: float) -> int:
    elements = 0
    for query in queries:
        result = query.evaluate(window, at)
        assert isinstance(result, Evaluation), result
        elements += len(result.vector)
    return elements


def filled(sets: int, ticks: int = 22) -> tuple[Window, Service, float]:
    window, service = Window(retention_seconds=330, max_series=1_000_000), Service(sets)
    at = START
    for _ in range(ticks):
        at += 15
        window.append(service.samples(at))
    return window, service, at


def steady(sets: int, queries: list[Query], ticks: int = 10, churn: float = 0.0) -> tuple[float, float, float]:
    """(first evaluation, append, evaluation) in CPU seconds, medians of ticks."""
    window, service, at = filled(sets)
    first = cpu(lambda: evaluate(queries, window, at))
    appends, evaluations = [], []
    number = sets
    for _ in range(ticks):
        at += 15
        for _ in range(int(sets * churn)):
            service.labels.pop(0)
            service.counts.pop(0)
            service.add(number * 7)
            number += 1
        samples = service.samples(at)
        appends.append(cpu(lambda samples=samples: window.append(samples)))  # type: ignore[misc]
        evaluations.append(cpu(lambda at=at: evaluate(queries, window, at)))  # type: ignore[misc]
    return first, statistics.median(appends), statistics.median(evaluations)


def memory(sets: int) -> tuple[float, float]:
    """(window with labels, plans of all rules) in MB."""
    gc.collect()
    tracemalloc.start()
    window, service, at = filled(sets)
    counts, service.counts = service.counts, []
    del counts
    service.labels = []
    gc.collect()
    held = tracemalloc.get_traced_memory()[0]
    queries = rules("")
    evaluate(queries, window, at)
    window.results.clear()
    gc.collect()
    plans = tracemalloc.get_traced_memory()[0] - held
    tracemalloc.stop()
    return held / 1e6, plans / 1e6


def main() -> None:
    """Measure and print."""
    for title, selector in (("over all series", ""), ("over one route", 'http_route="/route/7"')):
        first, append, evaluation = steady(700, rules(selector))
        print(
            f"100 rules {title} of 11,200: first {first * 1e3:.0f} ms, then {evaluation * 1e3:.1f} ms a tick; "
            f"append {append * 1e3:.1f} ms a tick (CPU)"
        )
    print(f"peak RSS so far {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    each = {}
    for sets in (63, 625, 6250):
        _, append, evaluation = steady(sets, rules(""), ticks=3)
        each[sets] = evaluation / (sets * 16)
        print(
            f"{sets * 16:7d} series: {evaluation * 1e3:.1f} ms a tick, {each[sets] * 1e6:.2f} us a series; "
            f"append {append * 1e3:.1f} ms"
        )
    print(f"cost a series at 100k against 10k: {each[6250] / each[625]:.2f}")
    calm, churned = steady(700, rules("")), steady(700, rules(""), churn=0.1)
    print(
        f"10 % of series churned a tick: {(churned[1] + churned[2]) * 1e3:.1f} ms against "
        f"{(calm[1] + calm[2]) * 1e3:.1f} ms a tick (append and evaluation)"
    )
    window, plans = memory(700)
    print(f"memory of 11,200 series: window {window:.1f} MB with labels, plans {plans:.1f} MB")


if __name__ == "__main__":
    main()
