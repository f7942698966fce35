"""How much faster than it happened a day is replayed: ``make bench-backtest``.

A day of the demo shop at 15 s with the built-in rules: five routes, errors and slow answers by turns, the host's
figures and a counter and a gauge of the shop's own, recorded as OTLP/JSON by the code that `otelmon record` runs, and
replayed by the code that `otelmon backtest` runs. CPU seconds of this process. Exits 1 where a day is not replayed a
thousand times as fast as it passed.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

from opentelemetry.sdk.metrics import MeterProvider

from otelmon.collect.collector import Collector
from otelmon.collect.meter import OwnMeter
from otelmon.collect.reader import Reader
from otelmon.config.load import load_settings
from otelmon.faults import Faults
from otelmon.instrument.host import HostSampler
from otelmon.instrument.model import Traffic
from otelmon.instrument.recorder import RequestRecorder
from otelmon.replay.backtest import Backtest, Outcome
from otelmon.replay.recording import Recording
from otelmon.runtime.assemble import window_for
from otelmon.runtime.evaluate import RuleRunner

LEAST_TIMES_REAL_TIME = 1000.0
INTERVAL = 15.0
DAY = 86_400.0
START = 1_767_225_600.0
ROUTES = ("/products", "/products/{product_id}", "/checkout", "/faults/{name}", "/health")


def record(path: Path, seconds: float) -> None:
    """Write a recording of so long."""
    chance, faults = random.Random(1), Faults()
    reader = Reader(faults=faults)
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    host = HostSampler(OwnMeter(provider, "otelmon", None), faults=faults)
    meter = provider.get_meter("shop")
    orders, disk = meter.create_counter("shop.orders"), meter.create_gauge("shop.disk.limit", unit="%")
    recorder = RequestRecorder(start_at=START)
    collector = Collector(reader, recorder=recorder, job="shop", instance="host", faults=faults)
    lane = recorder.lane(Traffic.REQUEST, "GET", "http")
    with path.open("w", encoding="utf-8") as file:
        for tick in range(1, int(seconds / INTERVAL) + 1):
            phase = tick % 240
            for _ in range(30):
                failed = 40 < phase < 60 and chance.random() < 0.5
                lane.begin()
                status = 500 if failed else chance.choice((200, 200, 200, 404))
                slow = 1.5 if 120 < phase < 140 else 0.0
                error = "500" if failed else ""
                lane.end(chance.choice(ROUTES), status, error, slow + chance.lognormvariate(-5, 1))
            orders.add(1)
            disk.set(0.0 if 200 < phase < 220 else 100.0)
            if tick % 20 == 1:
                host.sample()
            at = START + tick * INTERVAL
            collector.collect(at)
            line = collector.recording(0.0)
            assert line is not None
            file.write(f"{line[1]}\n")


def replay(path: Path, config: Path) -> tuple[float, Outcome]:
    """CPU seconds, and what came of it."""
    settings = load_settings(config, environ={}, directory=config.parent)
    began = time.process_time()
    run = Backtest(
        rules=RuleRunner(settings.groups, interval_seconds=INTERVAL, faults=Faults()),
        window=window_for(settings.groups, interval_seconds=INTERVAL, max_series=settings.max_series),
        interval_seconds=INTERVAL,
    )
    for collection in Recording(path).collections():
        run.feed(collection)
    outcome = run.outcome()
    return time.process_time() - began, outcome


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        config, path = Path(folder, "otelmon.yaml"), Path(folder, "day.jsonl")
        config.write_text("service: shop\n", encoding="utf-8")
        record(path, DAY)
        wall = time.perf_counter()
        took, outcome = replay(path, config)
        wall = time.perf_counter() - wall
        print(f"a day of {outcome.most_series} series, {path.stat().st_size / 1e6:.0f} MB, {outcome.samples} samples")
    times = DAY / took
    print(f"replayed in {took:.1f} s of CPU time ({wall:.1f} s): {times:.0f} times as fast as it passed")
    print(f"{len(outcome.firings)} alerts, {len(outcome.pages)} pages")
    return 0 if times >= LEAST_TIMES_REAL_TIME else 1


if __name__ == "__main__":
    sys.exit(main())
