"""What rules cost, Prometheus beside us where it is installed: ``make bench-rules``.

11,200 series (700 label sets, each a classic histogram of 14 buckets with count and sum) at 15 s, windows of 5 min; 50
ratio and 50 quantile rules over all series, then 100 rules over one route; and how cost grows with series and churn.
No two rules are the same expression; the second table has rules that share no selector and window with each other
either, so that nothing is computed once for two of them.

CPU seconds, ours those of this process, medians over ticks. Prometheus evaluates the same rules over the same samples,
put into blocks by promtool, by ``/api/v1/query`` at the same instants: the CPU time of its process, less that of as
many queries of ``vector(1)`` (what HTTP costs). Exits 1 where a bound is not met.
"""

from __future__ import annotations

import gc
import random
import resource
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

from otelmon.labels import Labels
from otelmon.promql.evaluation import Evaluation
from otelmon.promql.query import Query
from otelmon.sample import Sample
from otelmon.window.window import Window
from tests.conformance import prometheus

# What Prometheus 2.42 used on the machine of the first measurement, for when it is not here (seconds an evaluation).
MEASURED_BEFORE = {"": 6.9, 'http_route="/route/7"': 0.1}
MOST_MEGABYTES = 60.0
MOST_COST_AT_100K = 1.5
MOST_COST_OF_CHURN = 2.0
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


def rules(selector: str, *, alike: bool = True) -> list[str]:
    """50 ratio and 50 quantile rules, all different; unless ``alike``, each over a window of its own."""
    name = "http_server_request_duration_seconds"
    inside = f"{{{selector}}}" if selector else ""
    found = []
    comma = "," if selector else ""
    for number in range(50):
        by = ("http_route", "http_request_method", "instance", "http_route, instance", "job")[number % 5]
        codes = ("5..", "4..", "50[03]", "[45]..", "404")[number // 5 % 5]
        bad = f'{{{selector}{comma}http_response_status_code=~"{codes}"}}'
        windows = ("5m", "5m") if alike else (f"{300 - 2 * number}s", f"{301 - 2 * number}s")
        found.append(
            f"sum by ({by}) (rate({name}_count{bad}[{windows[0]}])) / sum by ({by}) "
            f"(rate({name}_count{inside}[{windows[0]}])) > {0.01 * (number + 1)}"
        )
        found.append(
            f"histogram_quantile(0.{50 + number % 50}, sum by (le, {by}) (rate({name}_bucket{inside}[{windows[1]}]))) "
            f"> {0.1 * (number + 1)}"
        )
    return found


def compiled(texts: Sequence[str]) -> list[Query]:
    return [Query(text) for text in texts]


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


def steady(sets: int, texts: Sequence[str], ticks: int = 10, churn: float = 0.0) -> tuple[float, float, float]:
    """(first evaluation, append, evaluation) in CPU seconds, medians of ticks."""
    window, service, at = filled(sets)
    queries = compiled(texts)
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
    queries = compiled(rules(""))
    evaluate(queries, window, at)
    window.results.clear()
    gc.collect()
    plans = tracemalloc.get_traced_memory()[0] - held
    tracemalloc.stop()
    return held / 1e6, plans / 1e6


class Theirs:
    """Prometheus over the samples of the 11,200 series."""

    def __init__(self, server: prometheus.Prometheus, at: float) -> None:
        self._server = server
        self._at = at

    def cpu(self, texts: Sequence[str], ticks: int = 2) -> float:
        """CPU seconds that evaluating all of these once takes it."""
        self._once(texts, self._at)  # the first time it opens chunks
        with_rules = statistics.median(self._once(texts, self._at + 15 * tick) for tick in range(ticks))
        return with_rules - statistics.median(self._once(["vector(1)"] * len(texts), self._at) for _ in range(ticks))

    def _once(self, texts: Sequence[str], at: float) -> float:
        before = self._server.cpu_seconds()
        for text in texts:
            result = self._server.query(text, at)
            assert not isinstance(result, str), result
        return self._server.cpu_seconds() - before


def recorded(sets: int, ticks: int) -> dict[Labels, list[tuple[float, float]]]:
    """The samples that ``filled`` and ``steady`` give a window."""
    service, points = Service(sets), {}
    for tick in range(1, ticks + 1):
        for sample in service.samples(START + 15 * tick):
            assert isinstance(sample.value, float)
            points.setdefault(sample.labels, []).append((sample.at, sample.value))
    return points


class Verdict:
    """Bounds, each printed with what was measured."""

    def __init__(self) -> None:
        self.met = True

    def bound(self, what: str, measured: float, most: float, unit: str = "") -> None:
        """Print one line; note whether it holds."""
        holds = measured <= most
        self.met = self.met and holds
        print(f"  {'ok    ' if holds else 'MISSED'} {what}: {measured:.3g}{unit}, at most {most:.3g}{unit}", flush=True)


def against_prometheus(verdict: Verdict, theirs: Theirs | None) -> None:
    """The rules over all series and over one route, alike and not."""
    for title, selector, share in (("all series", "", 0.1), ("one route", 'http_route="/route/7"', 1.0)):
        for alike in (True, False):
            texts = rules(selector, alike=alike)
            first, append, evaluation = steady(700, texts)
            said = "" if alike else ", no two of the same window"
            measured = MEASURED_BEFORE[selector] if theirs is None else theirs.cpu(texts)
            print(
                f"100 rules over {title} of 11,200{said}: first {first * 1e3:.0f} ms, then {evaluation * 1e3:.1f} ms a "
                f"tick; append {append * 1e3:.1f} ms a tick; Prometheus {measured * 1e3:.0f} ms"
                f"{'' if theirs else ' (not here: as measured before)'}, {measured / evaluation:.0f} times as much"
            )
            verdict.bound("CPU seconds a tick", evaluation, share * measured, " s")


def growth(verdict: Verdict) -> None:
    """Cost a series, and what churn adds."""
    for alike in (True, False):
        each = {}
        for sets in (63, 625, 6250):
            _, append, evaluation = steady(sets, rules("", alike=alike), ticks=3)
            each[sets] = evaluation / (sets * 16)
            print(
                f"{sets * 16:7d} series{'' if alike else ', no two windows alike'}: {evaluation * 1e3:.1f} ms a tick, "
                f"{each[sets] * 1e6:.2f} us a series; append {append * 1e3:.1f} ms"
            )
        verdict.bound("cost a series at 100k against 10k", each[6250] / each[625], MOST_COST_AT_100K)
        calm, churned = steady(700, rules("", alike=alike)), steady(700, rules("", alike=alike), churn=0.1)
        print(
            f"10 % of series churned a tick: {(churned[1] + churned[2]) * 1e3:.1f} ms against "
            f"{(calm[1] + calm[2]) * 1e3:.1f} ms a tick (append and evaluation)"
        )
        verdict.bound("churned against calm", sum(churned[1:]) / sum(calm[1:]), MOST_COST_OF_CHURN)


def main() -> None:
    """Measure, print and judge."""
    verdict = Verdict()
    if prometheus.installed():
        with tempfile.TemporaryDirectory() as folder:
            blocks = prometheus.create_blocks(recorded(700, 26), Path(folder))
            with prometheus.started(blocks, Path(folder)) as server:
                print(f"Prometheus {prometheus.version()} beside us")
                against_prometheus(verdict, Theirs(server, START + 15 * 22))
                print(f"Prometheus's RSS after that: {server.resident_megabytes():.0f} MB")
    else:
        print(prometheus.MISSING)
        against_prometheus(verdict, None)
    print(f"our peak RSS so far {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    growth(verdict)
    window, plans = memory(700)
    print(f"memory of 11,200 series: window {window:.1f} MB with labels, plans {plans:.1f} MB")
    verdict.bound("window and plans", window + plans, MOST_MEGABYTES, " MB")
    sys.exit(not verdict.met)


if __name__ == "__main__":
    main()
