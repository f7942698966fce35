"""Lifecycle: when otelmon starts and stops in a process, told by the server's lifespan or by the first request."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from otelmon.faults import Faults

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


async def off_loop(call: Callable[[], None]) -> None:
    """Run a blocking call in a thread of its own and wait for it without blocking the event loop.

    Not in the loop's executor: the application may have filled that with work that never ends. Serves asyncio (and
    uvloop) and trio. ``call`` must not raise.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        if "trio" not in sys.modules:
            call()
            return
        await sys.modules["trio"].to_thread.run_sync(call)
        return
    done = loop.create_future()

    def finish() -> None:
        if not done.done():
            done.set_result(None)

    def run() -> None:
        try:
            call()
        finally:
            if not loop.is_closed():
                loop.call_soon_threadsafe(finish)

    threading.Thread(target=run, name="otelmon-lifecycle", daemon=True).start()
    await done


class Lifecycle:
    """Calls ``on_start`` once in this process when traffic may come, and ``on_stop`` when the server shuts down.

    Neither runs on the event loop, and an error in either is counted in ``faults`` and goes no further. ``pending``
    is true until otelmon was started in this process: the middleware calls `first_traffic` then. ``loop`` is the
    asyncio loop that serves the app, known before ``on_start`` is called (None under trio). After a stop only another
    lifespan starts it again, never a late request.
    """

    def __init__(self, on_start: Callable[[], None], on_stop: Callable[[], None], faults: Faults) -> None:
        self.pending = True
        self.loop: asyncio.AbstractEventLoop | None = None
        self._on_start = on_start
        self._on_stop = on_stop
        self._faults = faults
        self._running = False

    def forked(self) -> None:
        """This is a new process: nothing was started in it."""
        self.pending = True
        self.loop = None
        self._running = False

    def first_traffic(self) -> None:
        """Start without holding up the request that noticed."""
        if self._begin():
            threading.Thread(target=self._call_start, name="otelmon-lifecycle", daemon=True).start()

    async def start(self) -> None:
        """Start unless started, and wait for it off the loop."""
        if self._begin():
            await off_loop(self._call_start)

    async def stop(self) -> None:
        """Stop if started, and wait for it off the loop."""
        if self._running:
            self._running = False
            await off_loop(self._call_stop)

    async def lifespan(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the lifespan on to the app; start after its start-up is complete, stop before its end is told."""
        self.pending = True

        async def observe(message: Message) -> None:
            kind = message["type"]
            if kind in {"lifespan.shutdown.complete", "lifespan.shutdown.failed"}:
                await self.stop()
            await send(message)
            if kind == "lifespan.startup.complete":
                await self.start()

        await app(scope, receive, observe)
        await self.stop()  # an app that returned without telling of its end

    async def own_lifespan(self, receive: Receive, send: Send) -> None:
        """Answer the lifespan for an app that has none (Django)."""
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
                await self.start()
            elif message["type"] == "lifespan.shutdown":
                await self.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _begin(self) -> bool:
        if self._running:
            self.pending = False
            return False
        self.pending = False
        self._running = True
        try:
            self.loop = asyncio.get_running_loop()
        except RuntimeError:
            self.loop = None
        return True

    def _call_start(self) -> None:
        self._guarded(self._on_start, "starting with the application failed")

    def _call_stop(self) -> None:
        self._guarded(self._on_stop, "stopping with the application failed")

    def _guarded(self, call: Callable[[], None], failure: str) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 (never reaches the host application)
            self._faults.add("lifecycle", failure, error)
