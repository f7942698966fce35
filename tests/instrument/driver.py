"""A server of a few lines: drives an ASGI app in-process, message by message."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from otelmon.faults import Faults
from otelmon.instrument.attach import attach, wrap
from otelmon.instrument.recorder import RequestRecorder

REQUEST = {"type": "http.request", "body": b"", "more_body": False}


def http_scope(path="/", method="GET", **changes):
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"shop.example")],
        "client": ("127.0.0.1", 40000),
        "server": ("127.0.0.1", 8000),
        "state": {},
        **changes,
    }


def websocket_scope(path="/", **changes):
    return http_scope(path, **{"type": "websocket", "scheme": "ws", "subprotocols": [], "extensions": {}, **changes})


@dataclass
class Exchange:
    """What a driven app sent, and the exception that left it."""

    sent: list = field(default_factory=list)
    error: BaseException | None = None

    @property
    def status(self):
        return next((m["status"] for m in self.sent if m["type"] == "http.response.start"), None)


async def drive(app, scope, *, incoming=(REQUEST,), fail_send_after=None):
    """One exchange: the app receives ``incoming``, then waits; the nth send raises OSError as a server's does."""
    exchange = Exchange()
    messages = iter(incoming)
    silence = asyncio.Event()

    async def receive():
        message = next(messages, None)
        if message is None:
            await silence.wait()
        return message

    async def send(message):
        if fail_send_after is not None and len(exchange.sent) >= fail_send_after:
            raise OSError("the client is gone")
        exchange.sent.append(message)

    try:
        await app(scope, receive, send)
    except BaseException as error:
        exchange.error = error
        if isinstance(error, asyncio.CancelledError):
            raise
    return exchange


def get(app, path="/", method="GET", **changes):
    """One request, in an event loop of its own."""
    return asyncio.run(drive(app, http_scope(path, method, **changes)))


def nothing():
    """No runtime takes part."""


def watched(app, *, wrapped=False, **settings):
    """The app to serve, its recorder and the middleware."""
    recorder = RequestRecorder(start_at=1000.0)
    settings = {"on_start": nothing, "on_stop": nothing, "faults": Faults(), **settings}
    if wrapped:
        middleware = wrap(app, recorder, **settings)
        return middleware, recorder, middleware
    return app, recorder, attach(app, recorder, **settings).middleware


def counts(recorder, traffic="request"):
    """(method, route, status, error type) -> how many."""
    found = Counter()
    for cell in recorder.snapshot().cells:
        if cell.traffic == traffic:
            found[cell.method, cell.route, cell.status, cell.error_type] += cell.count
    return dict(found)


def in_flight(recorder):
    return sum(cell.count for cell in recorder.snapshot().active)
