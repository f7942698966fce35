"""The door in the host application: loads the pages when somebody first comes, and keeps their failures in."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar
from urllib.parse import urlsplit

from otelmon.faults import Faults
from otelmon.instrument.lifecycle import ASGIApp, Message, Receive, Scope, Send, off_loop
from otelmon.instrument.own_pages import OwnPages

ACKNOWLEDGE_PATH = "/otelmon/ack/"
"""Below this path, itself below the public address, are the pages where incidents are acknowledged."""

RUNBOOKS_PATH = "/otelmon/runbooks/"
"""Below this path, by their names, are the runbooks."""

_FAULT = "own_pages"
_Value = TypeVar("_Value")


async def in_thread(call: Callable[[], _Value]) -> _Value:
    """What a blocking call returns or raises, run off the event loop (see `off_loop`)."""
    done: Future[_Value] = Future()

    def run() -> None:
        try:
            done.set_result(call())
        except Exception as error:  # noqa: BLE001 (handed to whoever waits)
            done.set_exception(error)

    await off_loop(run)
    return done.result()


def mounted(public_url: str, load: Callable[[], ASGIApp], faults: Faults) -> OwnPages:
    """The pages as the app's middleware takes them; ``load`` makes them when they are first asked for.

    They are answered below the path of ``public_url``, and without it too, as a proxy that strips it asks.
    """
    path = urlsplit(public_url).path.rstrip("/")
    prefixes = tuple(dict.fromkeys(base + own for base in (path, "") for own in (ACKNOWLEDGE_PATH, RUNBOOKS_PATH)))
    return OwnPages(prefixes=prefixes, answer=_Door(load, faults))


class _Door:
    """An ASGI app that lets no exception out; loading is blocking and so happens in a thread."""

    def __init__(self, load: Callable[[], ASGIApp], faults: Faults) -> None:
        self._load = load
        self._faults = faults
        self._pages: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = left = False

        async def watched(message: Message) -> None:
            nonlocal started, left
            started = True
            try:
                await send(message)
            except OSError:  # says that the client is gone (ASGI 2.4)
                left = True
                raise

        try:
            if self._pages is None:
                self._pages = await in_thread(self._load)
            await self._pages(scope, receive, watched)
        except Exception as error:  # noqa: BLE001 (never reaches the host application)
            if left:
                return
            self._faults.add(_FAULT, "a page of otelmon's own failed", error)
            if not started:
                await _fail(send)


async def _fail(send: Send) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
    body = b"otelmon cannot show this page; its reason is in the application's log. `otelmon ack ID` works without it."
    try:
        await send({"type": "http.response.start", "status": 500, "headers": headers})
        await send({"type": "http.response.body", "body": body})
    except OSError:
        return
