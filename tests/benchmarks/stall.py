"""The worst stall of a request by otelmon's background work: `python -m tests.benchmarks.stall`.

An app with 200 routes answers requests in-process, back to back, in slices: bare, then with otelmon ticking each
second beside it (built-in rules, 200 routes with traffic, state on disk), and so on. A slice's figure is its slowest
request; the median over slices is compared, so that one hiccup of the machine decides nothing. The slowest request
while the engine loads is shown beside it.
"""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from fastapi import FastAPI

import otelmon

SLICES = 7
SLICE_SECONDS = 4.0
ROUTES = 200
MOST_MS = 10.0


def build() -> FastAPI:
    app = FastAPI()
    for number in range(ROUTES):

        @app.get(f"/route{number}/{{item}}")
        async def show(item: int) -> dict[str, int]:
            return {"item": item}

    return app


async def receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(message: Any) -> None:
    pass


async def drive(app: Any, seconds: float) -> list[float]:
    """Milliseconds of each request, back to back for so long."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    times, number = [], 0
    while loop.time() < deadline:
        number += 1
        path = f"/route{number % ROUTES}/7"
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": b"", "headers": [], "root_path": "",
            "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
        }  # fmt: skip
        begun = time.perf_counter()
        await app(scope, receive, send)
        times.append((time.perf_counter() - begun) * 1000)
        # A server waits for its sockets between requests, and gives up the interpreter as it does.
        await asyncio.sleep(0)
    return times


async def run(state: Path) -> int:
    config = state / "otelmon.yaml"
    config.write_text(f"service: bench\ninterval: 1s\npaging: on\nstate_dir: {state}\n", encoding="utf-8")
    bare, watched = build(), build()
    await drive(bare, 1.0)
    monitor = otelmon.start(watched, config=config)
    loading = max(await drive(watched, 3.0))
    rows: dict[str, list[float]] = {"bare": [], "otelmon": []}
    p999: dict[str, list[float]] = {"bare": [], "otelmon": []}
    for _ in range(SLICES):
        # The bare app is driven with otelmon stopped: its threads would stall that as well.
        for name, app in (("otelmon", watched), ("bare", bare)):
            if name == "bare":
                await asyncio.to_thread(monitor._pause)
            else:
                monitor.run()
                await drive(watched, 2.0)
            times = await drive(app, SLICE_SECONDS)
            rows[name].append(max(times))
            p999[name].append(sorted(times)[int(len(times) * 0.999)])
    monitor.stop()
    ours, base = statistics.median(rows["otelmon"]), statistics.median(rows["bare"])
    print(f"Slowest request of a {SLICE_SECONDS:g} s slice in ms, median of {SLICES} slices (all slices behind it)")
    for name, values in rows.items():
        median = statistics.median(values)
        spread = " ".join(f"{value:.1f}" for value in sorted(values))
        print(f"  {name:8s} {median:6.1f}   ({spread}), p99.9 {statistics.median(p999[name]):.2f}")
    print(f"  while the engine loads {loading:.1f}")
    print(f"  added by otelmon {ours - base:.1f} ms (at most {MOST_MS:g})")
    return 0 if ours - base <= MOST_MS else 1


def main() -> int:
    with tempfile.TemporaryDirectory() as state:
        return asyncio.run(run(Path(state)))


if __name__ == "__main__":
    raise SystemExit(main())
