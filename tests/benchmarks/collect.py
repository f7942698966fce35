"""What a collection costs: milliseconds to build and translate, and how long it holds up a busy event loop.

    python -m tests.benchmarks.collect

Prints, for 2,000 request cells (the recorder's cap) and for 1,000 explicit and 1,000 exponential histograms of the
SDK: the first collection, which makes the labels, and the median of the others; the samples are read once. Before and
after it, how late the callbacks of a busy asyncio loop in the main thread are, with nothing beside it and with such
work in another thread. "Without end" is no real load: it shows pauses, of the garbage collector above all.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import threading
import time
from collections.abc import Callable

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricsData

from otelmon.collect.collector import Collector
from otelmon.collect.reader import Reader
from otelmon.collect.translate import Translation
from otelmon.instrument.model import RequestCell
from tests.collect.making import START, Recorder, cell, snapshot

CELLS = 2000
POINTS = 1000
ROUNDS = 12


def cells(requests: int, *, of: int = CELLS) -> list[RequestCell]:
    """Cells with lognormal latencies, about 60 populated buckets each once they are warm."""
    dice = random.Random(requests)
    pool = [cell([dice.lognormvariate(-3, 1) for _ in range(requests)]) for _ in range(20)]
    return [
        RequestCell(
            **{
                **{name: getattr(pool[index % 20], name) for name in RequestCell.__slots__},
                "route": f"/route/{index}",
            }
        )
        for index in range(of)
    ]


def milliseconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


def say(what: str, first: float, rest: list[float], note: str = "") -> None:
    print(f"  {what:<58} first {first:7.1f} ms   then {statistics.median(rest):7.1f} ms  {note}")


def request_cells() -> Collector:
    recorder = Recorder()
    collector = Collector(None, recorder=recorder, job="shop", instance="h1", exponential=True)
    busy = [snapshot(*cells(200 + number)) for number in range(3)]
    times = []
    samples = 0
    for number in range(ROUNDS):
        recorder.now = busy[number % 3]
        times.append(milliseconds(lambda number=number: list(collector.collect(START + 15 * number))))
    say(f"{CELLS} request cells, all busy, to samples", times[0], times[1:])
    recorder.now = busy[0]
    samples = len(collector.collect(START + 1000))
    idle = [
        milliseconds(lambda number=number: list(collector.collect(START + 1015 + 15 * number))) for number in range(6)
    ]
    say(f"{CELLS} request cells, all idle, to {samples} samples", idle[0], idle[1:])
    export = [milliseconds(lambda: collector.latest) for _ in range(5)]
    say(f"{CELLS} request cells to SDK metrics for export", export[0], export[1:])
    return collector


def sdk_histograms(*, exponential: bool) -> MetricsData:
    reader = Reader(exponential=exponential)
    histogram = MeterProvider(metric_readers=[reader], shutdown_on_exit=False).get_meter("app").create_histogram("took")
    for index in range(POINTS):
        for _ in range(20):
            histogram.record(random.lognormvariate(3, 1), {"route": f"/route/{index}", "status": 200})
    pulls = [milliseconds(reader.pull) for _ in range(5)]
    data = reader.pull()
    assert data is not None
    translation = Translation(job="shop", instance="h1")
    times = [milliseconds(lambda: translation.samples(data, START)) for _ in range(ROUNDS)]
    kind = "exponential" if exponential else "explicit"
    say(
        f"{POINTS} {kind} histograms to samples",
        times[0],
        times[1:],
        f"(SDK collects in {statistics.median(pulls):.1f})",
    )
    return data


async def lateness(seconds: float) -> list[float]:
    """How late, in ms, callbacks of a busy loop are: each works for 0.2 ms, lets others run, and comes again."""
    late = []
    until = time.perf_counter() + seconds
    while (now := time.perf_counter()) < until:
        while time.perf_counter() < now + 0.0002:
            pass
        due = time.perf_counter() + 0.0005
        await asyncio.sleep(0.0005)
        late.append((time.perf_counter() - due) * 1000)
    return sorted(late)


def worst_stall(what: str, work: Callable[[], object] | None, seconds: float = 6.0) -> float:
    stop = threading.Event()
    rounds = [0]

    def run() -> None:
        while work is not None and not stop.is_set():
            work()
            rounds[0] += 1
            time.sleep(0.05)

    thread = threading.Thread(target=run)
    thread.start()
    late = asyncio.run(lateness(seconds))
    stop.set()
    thread.join()
    at = {share: late[int(len(late) * share)] for share in (0.5, 0.99, 0.999)}
    print(
        f"  {what:<58} p50 {at[0.5]:5.2f}  p99 {at[0.99]:5.2f}  p99.9 {at[0.999]:5.2f}  worst {late[-1]:5.2f} ms"
        f"  ({rounds[0]} rounds)"
    )
    return late[-1]


def main() -> None:
    print("lateness of a busy event loop in a process with little else:")
    numbers = iter(range(10**9))
    few = Collector(None, recorder=Recorder(*cells(200, of=200)), job="shop", instance="h1")
    worst_stall("nothing beside it", None)
    worst_stall("200 request cells collected 20 times a second", lambda: list(few.collect(START + 15 * next(numbers))))
    print("collection:")
    collector = request_cells()
    data = sdk_histograms(exponential=False)
    sdk_histograms(exponential=True)
    print("lateness of a busy event loop in a process with all that in memory:")
    busy = [snapshot(*cells(200 + number)) for number in range(2)]

    def collect() -> None:
        number = next(numbers)
        collector._recorder.now = busy[number % 2]  # type: ignore[union-attr]
        list(collector.collect(START + 5000 + 15 * number))

    def encode() -> None:
        from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

        latest = collector.latest
        assert latest is not None
        encode_metrics(latest).SerializeToString()

    translation = Translation(job="shop", instance="h1")
    worst_stall("nothing beside it", None)
    worst_stall(f"{CELLS} busy request cells collected without end", collect)
    worst_stall(f"{POINTS} explicit histograms translated without end", lambda: translation.samples(data, START))
    worst_stall(f"{CELLS} request cells built and encoded for OTLP without end", encode)


if __name__ == "__main__":
    main()
