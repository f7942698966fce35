"""What it costs to write a tick's samples to the state: `python -m tests.benchmarks.history`.

5,000 series a tick, a tenth of them histograms; seconds of CPU of the writing thread, against encoding the same values
as JSON in the same run. Exit 1 if a bound is missed.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from otelmon.histogram import Buckets, Histogram
from otelmon.labels import Labels
from otelmon.sample import Sample
from otelmon.storage.sqlite import SqliteStorage

SERIES = 5_000
TICKS = 8
MOST_SECONDS = 0.030

_HISTOGRAM = Histogram(count=3, sum=1.5, scale=3, positive=Buckets(indices=(-2, 7), counts=(1.0, 2.0)))


def main() -> int:
    """Measure, print, and say whether the bound holds."""
    many = [
        Labels({"__name__": "requests_total", "http_route": f"/{number}", "job": "shop"}) for number in range(SERIES)
    ]
    saved, as_json = [], []
    with tempfile.TemporaryDirectory() as folder, SqliteStorage(Path(folder, "state.db")) as storage:
        for tick in range(TICKS):
            samples = [
                Sample(
                    labels=labels,
                    at=15.0 * tick,
                    value=_HISTOGRAM if number % 10 == 0 else number + tick / 7,
                    start_at=0.5,
                )
                for number, labels in enumerate(many)
            ]
            begun = time.thread_time()
            storage.save(datetime.fromtimestamp(15 * tick, UTC), alerts={}, samples=samples)
            saved.append(time.thread_time() - begun)
            begun = time.thread_time()
            json.dumps([[dict(each.labels.pairs), each.at, str(each.value)] for each in samples])
            as_json.append(time.thread_time() - begun)
    cost = statistics.median(saved)
    ratio = cost / statistics.median(as_json)
    print(f"{SERIES:,} series a tick: {1000 * cost:.1f} ms to write them, {ratio:.2f} times what JSON of them takes")
    print(
        f"  {'ok    ' if cost <= MOST_SECONDS else 'MISSED'} CPU seconds a tick: {cost:.4f} s, at most {MOST_SECONDS} s"
    )
    return 0 if cost <= MOST_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
