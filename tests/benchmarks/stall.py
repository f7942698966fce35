"""The worst stall of a request by otelmon's background work: `python -m tests.benchmarks.stall [CELLS]`.

An app with 200 routes answers requests back to back, in slices: bare, then with otelmon ticking each second beside it
(built-in rules, traffic on every route, state on disk). CELLS (200) is how many routes and statuses have
traffic. Each request does what it does in a server: it waits in the event loop's select, is read from a socket and
written to it, so it gives up the interpreter three times and must get it back each time.

A request's stall is the time in which it waited while other threads of this process worked: the lesser of its wall
time less the CPU time of its own thread, and the CPU time of the others. A machine that others use as well makes
requests slow; it does not make these figures worse. A full garbage collection within a request is a stall as well:
the bare app shows how many of them are the app's own. The figure is the worst of all requests, not of a typical slice.
What the requests met while the engine loaded is shown beside it, and the slowest request of a slice as a client sees
it.
"""

import asyncio
import contextlib
import gc
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse

import otelmon

SLICES = 7
SLICE_SECONDS = 4.0
ROUTES = 200
MOST_MS = 10.0
_OLDEST_GENERATION = 2


@dataclass(slots=True)
class Times:
    """What the requests of some slices met, in milliseconds."""

    slowest: list[float] = field(default_factory=list)
    stalls: list[float] = field(default_factory=list)
    collections: list[float] = field(default_factory=list)

    def line(self) -> str:
        stalls = sorted(self.stalls)
        full = f"{len(self.collections)} full collections"
        return (
            f"stall worst {stalls[-1]:5.1f}  p99.99 {stalls[int(len(stalls) * 0.9999)]:5.2f}  "
            f"p99.9 {stalls[int(len(stalls) * 0.999)]:5.2f}   slowest request, median of slices "
            f"{statistics.median(self.slowest):5.1f}   {full} {' '.join(f'{each:.0f}' for each in self.collections)}"
        )


def build() -> FastAPI:
    app = FastAPI()
    for number in range(ROUTES):

        @app.get(f"/route{number}/{{item}}")
        async def show(item: int) -> JSONResponse:
            return JSONResponse({"item": item}, status_code=200 + item)

    return app


async def receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


@contextlib.contextmanager
def full_collections(found: list[float]) -> Iterator[None]:
    begun = 0.0

    def note(phase: str, info: dict[str, int]) -> None:
        nonlocal begun
        if info["generation"] == _OLDEST_GENERATION:
            if phase == "start":
                begun = time.thread_time()
            else:
                found.append((time.thread_time() - begun) * 1000)

    gc.callbacks.append(note)
    try:
        yield
    finally:
        gc.callbacks.remove(note)


async def drive(app: Any, seconds: float, cells: int, times: Times) -> None:
    """Requests back to back for so long."""
    loop = asyncio.get_running_loop()
    client, server = socket.socketpair()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            server.send(message["body"])

    deadline = loop.time() + seconds
    number, slowest = 0, 0.0
    with client, server, full_collections(times.collections):
        while loop.time() < deadline:
            number += 1
            path = f"/route{number % ROUTES}/{number % cells // ROUTES}"
            scope = {
                "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
                "path": path, "raw_path": path.encode(), "query_string": b"", "headers": [], "root_path": "",
                "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
            }  # fmt: skip
            client.send(b"GET")
            seen = len(times.collections)
            others, own, begun = time.process_time(), time.thread_time(), time.perf_counter()
            await asyncio.sleep(0)
            server.recv(65536)
            await app(scope, receive, send)
            wall, own, others = time.perf_counter() - begun, time.thread_time() - own, time.process_time() - others
            client.recv(65536)
            waited = max(0.0, min(wall - own, others - own)) * 1000
            times.stalls.append(max(waited, *times.collections[seen:], 0.0))
            slowest = max(slowest, wall * 1000)
    times.slowest.append(slowest)


async def run(state: Path, cells: int) -> int:
    config = state / "otelmon.yaml"
    config.write_text(f"service: bench\ninterval: 1s\npaging: on\nstate_dir: {state}\n", encoding="utf-8")
    bare, watched = build(), build()
    base, loading, settling, ours = Times(), Times(), Times(), Times()
    await drive(bare, 1.0, cells, Times())
    for _ in range(SLICES):
        await drive(bare, SLICE_SECONDS, cells, base)
    monitor = otelmon.start(watched, config=config)
    await drive(watched, 2.0, cells, loading)
    await drive(watched, 10.0, cells, settling)
    for _ in range(SLICES):
        await drive(watched, SLICE_SECONDS, cells, ours)
    monitor.stop()
    print(f"Milliseconds that a request lost to other threads and full garbage collections, {cells} cells")
    for name, times in (
        ("bare", base),
        ("otelmon", ours),
        ("while the engine loads", loading),
        ("in the next 10 s", settling),
    ):
        print(f"  {name:24s} {times.line()}")
    worst, seconds = max(ours.stalls), SLICES * SLICE_SECONDS
    print(f"  worst stall of {len(ours.stalls)} requests in {seconds:g} s: {worst:.1f} ms (at most {MOST_MS:g})")
    return 0 if worst <= MOST_MS else 1


def main() -> int:
    cells = int(sys.argv[1]) if len(sys.argv) > 1 else ROUTES
    with tempfile.TemporaryDirectory() as state:
        return asyncio.run(run(Path(state), cells))


if __name__ == "__main__":
    raise SystemExit(main())
