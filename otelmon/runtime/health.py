"""Health: an ASGI app that says whether this process watches; it answers once the next tick has ended."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from otelmon.instrument.lifecycle import Receive, Scope, Send, off_loop
from otelmon.instrument.requests import UNCOUNTED
from otelmon.runtime.ticks import Tick, Ticks


class Health:
    """Answers any path: 200 after a good tick, else 503 with the reason.

    It waits for the end of the next tick, so that the answer is of now and not of a tick before the fault, and for no
    longer than until that tick is late (two intervals and 5 s after the last one). Waiting takes neither the event loop
    nor a thread, under trio a thread. The answer holds no more than is in it here: nothing of the configuration, no
    text of an exception.

    Its requests are not counted as the app's: they last as long as a tick is away, by design, and would make
    response_time fire on an app that nobody else uses.
    """

    def __init__(self, ticks: Callable[[], Ticks | None]) -> None:
        self._ticks = ticks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one exchange."""
        scope[UNCOUNTED] = True
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        elif scope["type"] == "http":
            if scope["method"] in {"GET", "HEAD"}:
                status, body = await self._answer()
            else:
                status, body = 405, {"status": "refused", "reason": "GET is expected"}
            await _send_json(send, status, body, head=scope["method"] == "HEAD")

    async def _answer(self) -> tuple[int, dict[str, object]]:
        ticks = self._ticks()
        if ticks is None:
            return _failing("otelmon does not run in this process")
        patience = ticks.patience_seconds
        tick = await _next(ticks, patience) if patience > 0 else None
        if tick is None:
            return _failing("ticks are late: none has ended for two intervals")
        if tick.flaw is not None:
            return _failing(tick.flaw.words)
        at = datetime.fromtimestamp(tick.at, UTC).isoformat(timespec="seconds")
        return 200, {"status": "ok", "tick_at": at, "tick_seconds": round(tick.seconds, 6)}


def _failing(reason: str) -> tuple[int, dict[str, object]]:
    return 503, {"status": "failing", "reason": reason}


async def _next(ticks: Ticks, timeout_seconds: float) -> Tick | None:
    """The next tick that ends; None where none does in the time given."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return await _next_in_thread(ticks, timeout_seconds)
    found: asyncio.Future[Tick] = loop.create_future()

    def keep(tick: Tick) -> None:
        if not found.done():
            found.set_result(tick)

    def heard(tick: Tick) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(keep, tick)

    with ticks.listening(heard):
        done, _ = await asyncio.wait([found], timeout=timeout_seconds)
    return found.result() if done else None


async def _next_in_thread(ticks: Ticks, timeout_seconds: float) -> Tick | None:
    found: list[Tick] = []
    came = threading.Event()

    def heard(tick: Tick) -> None:
        found.append(tick)
        came.set()

    def wait() -> None:
        came.wait(timeout_seconds)

    with ticks.listening(heard):
        await off_loop(wait)
    return found[0] if found else None


async def _send_json(send: Send, status: int, body: dict[str, object], *, head: bool) -> None:
    content = json.dumps(body).encode() + b"\n"
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else content})
