"""Whatever clients ask for, the number of series stays bounded."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from otelmon.collect.collector import Collector
from otelmon.faults import Faults
from otelmon.instrument.attach import wrap
from otelmon.instrument.recorder import RequestRecorder
from otelmon.window.window import Window

REQUESTS = 200_000
# Of each cell: the exponential histogram, 15 buckets, count and sum.
SERIES_A_CELL = 18


class BrokenError(Exception):
    """What the app raises, in many classes."""


async def nothing_received():
    return {"type": "http.request", "body": b"", "more_body": False}


async def drop(message):
    pass


def scope(chance: random.Random) -> dict:
    path = f"/{chance.getrandbits(24):x}/{chance.getrandbits(24):x}"
    method = chance.choice(["GET", "POST", "PUT", f"M{chance.getrandbits(32):X}"])
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "scheme": chance.choice(["http", "https", "gopher"]),
        "headers": [],
        "query_string": b"",
        "root_path": "",
    }


async def bare(scope, receive, send):
    """Any status, by chance, and exceptions of many kinds."""
    status = random.randrange(100, 1000)
    if status % 50 == 0:
        raise type(f"Failure{status}{random.randrange(100)}", (BrokenError,), {})
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def series_after(app, requests: int) -> tuple[Window, RequestRecorder, set[str]]:
    recorder = RequestRecorder(start_at=0.0)
    served = wrap(app, recorder, on_start=lambda: None, on_stop=lambda: None)
    chance = random.Random(7)
    window = Window(retention_seconds=400.0)
    collector = Collector(None, recorder=recorder, job="shop", instance="host", faults=Faults())

    async def drive():
        for number in range(requests):
            with suppress(BrokenError):
                await served(scope(chance), nothing_received, drop)
            if number % (requests // 4) == 0:
                window.append(collector.collect(15.0 + number / requests * 60))

    asyncio.run(drive())
    samples = collector.collect(100.0)
    window.append(samples)
    return window, recorder, {sample.labels.get("http_route", "") for sample in samples}


def test_200_000_requests_with_random_paths_methods_and_statuses_leave_a_bounded_number_of_series() -> None:
    window, recorder, routes = series_after(bare, REQUESTS)
    assert window.series_count <= (recorder.max_cells + 10) * (SERIES_A_CELL + 2)
    assert window.series_count < window.max_series
    assert window.overflowed == 0
    assert routes == {""}  # no path ever becomes a label
    counted = recorder.snapshot()
    assert recorder.overflowed > 0
    assert sum(cell.count for cell in counted.cells) == REQUESTS


def test_a_scanner_on_a_real_app_adds_no_route() -> None:
    app = FastAPI()

    @app.get("/items/{item_id}")
    async def show_item(request: Request, item_id: str) -> Response:
        return Response(item_id)

    window, _, routes = series_after(app, 2_000)
    assert routes <= {"", "/items/{item_id}"}
    assert window.series_count < 500
