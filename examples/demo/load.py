"""Steady traffic for the shop: so many requests a second, whatever the answers take."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from typing import Self

import httpx

# One lap: half of the traffic places orders, a quarter looks at one product, a quarter at all of them.
LAP = (("POST", "/checkout"), ("GET", "/products/{product}"), ("POST", "/checkout"), ("GET", "/products"))


class Load:
    """Sends requests from a thread of its own until it is left; failures of the shop are part of the show."""

    def __init__(self, base_url: str, *, per_second: float) -> None:
        self.sent = 0
        self._base_url = base_url
        self._pause_seconds = 1 / per_second
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    async def _run(self) -> None:
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(base_url=self._base_url, timeout=10, limits=limits) as client:
            loop = asyncio.get_running_loop()
            next_at = loop.time()
            pending: set[asyncio.Task[None]] = set()
            for number in itertools.count():
                if self._stop.is_set():
                    break
                method, path = LAP[number % len(LAP)]
                task = asyncio.create_task(self._send(client, method, path.format(product=number % 20 + 1)))
                pending.add(task)
                task.add_done_callback(pending.discard)
                next_at += self._pause_seconds
                await asyncio.sleep(max(0.0, next_at - loop.time()))
            await asyncio.gather(*pending)

    async def _send(self, client: httpx.AsyncClient, method: str, path: str) -> None:
        with contextlib.suppress(httpx.HTTPError):
            await client.request(method, path)
        self.sent += 1
