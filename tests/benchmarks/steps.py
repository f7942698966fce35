"""What the steps of ``process:`` cost a server, beside what taking a request in costs without them.

    python -m tests.benchmarks.steps

Prints, for counters, explicit and exponential histograms, the CPU seconds a million points of taking in alone and of
each step before it, in one process and one run, so that the ratio holds on a busy machine too. The series are known
when it is measured, as they are in all requests but the first. Exits with 1 where the steps that look at labels make
taking in counters dearer than they may.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from otelmon.collect.ingest import Ingest
from otelmon.config.load import load_settings
from otelmon.faults import Faults
from otelmon.server.process.process import Process
from tests.benchmarks.ingest import KINDS, LIMITS, bound, made

MOST_TIMES = 4.0
POINTS = 10_000
_ROUNDS = 6
STEPS = {
    "drop by metric": "drop: other_metric",
    "drop none by label": "drop: 'http_route=\"/health\"'",
    "drop a tenth by label": "drop: 'http_route=~\".*7\"'",
    "keep by two labels": "keep: ['http_request_method=\"GET\"', 'url_scheme=~\"https?\"']",
    "limit": "limit: {series: 100000}",
    "limit, half refused": "limit: {series: 5000}",
    "promote": "promote: [service.name]",
    "rename a label": "rename: {label: url.scheme, to: scheme}",
    "redact a label": "redact: {labels: [url.scheme]}",
    "redact, all become one": "redact: {labels: [http.route]}",
}
# Those that only look: what changes points has to write them anew.
_LOOKING = ("drop none by label", "drop a tenth by label", "keep by two labels", "limit")


def process(step: str) -> Process:
    """One step."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "otelmon.yaml"
        path.write_text(f"service: server\nprocess:\n  - {step}\n", encoding="utf-8")
        settings = load_settings(path, environ={}, directory=Path(directory))
    return Process(settings.process, faults=Faults())


def microseconds(take: Callable[[bytes, float], object], bodies: list[bytes], at: float) -> float:
    """CPU time a point, the best of some rounds after a first one."""
    take(bodies[0], at)
    best = float("inf")
    for number, body in enumerate(bodies[1:], start=1):
        begun = time.process_time()
        take(body, at + number)
        best = min(best, time.process_time() - begun)
    return best / POINTS * 1e6


def main() -> None:
    """Measure, print and judge."""
    at = time.time()
    dearest = 0.0
    for kind in KINDS:
        bodies = [made(kind, POINTS, at + tick, tick=tick) for tick in range(_ROUNDS + 1)]
        ingest = Ingest(limits=LIMITS)
        alone = microseconds(lambda body, now, ingest=ingest: ingest.take(body, at=now), bodies, at)  # type: ignore[misc]
        print(f"{kind}: taken in alone {alone:.2f} CPU s a million points", flush=True)
        for name, step in STEPS.items():
            cost = microseconds(process(step).take, bodies, at)
            times = (alone + cost) / alone
            print(f"  {name:24} {cost:6.2f} more, {times:5.1f} times", flush=True)
            if kind == "counter" and name in _LOOKING:
                dearest = max(dearest, times)
    said = f"counters behind a step that looks at labels cost {dearest:.1f} times as much, at most {MOST_TIMES:g}"
    sys.exit(not bound(said, holds=dearest <= MOST_TIMES))


if __name__ == "__main__":
    main()
