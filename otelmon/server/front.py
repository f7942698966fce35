"""The front of `otelmon serve`: health, its own metrics, and the pages, over plain HTTP on a listener of their own.

/-/healthy   200 while the engine ticks in time and well, else 503 with the reason
/-/ready     200 while what clients send is evaluated, else 503: no data should come here (yet, or any more)
/metrics     the server's own metrics, for a Prometheus
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from otelmon.errors import ConfigError, Problem
from otelmon.instrument.lifecycle import ASGIApp, Receive, Scope, Send
from otelmon.instrument.own_pages import OwnPages
from otelmon.server.exposition import CONTENT_TYPE
from otelmon.server.mount import in_thread
from otelmon.server.patience import Patience, patient

_PLAIN = "text/plain; charset=utf-8"
# What is asked here is asked by machines now and then, and by people.
_MOST_AT_ONCE = 64
_STOP_SECONDS = 3.0
_PATIENCE = Patience(connections=_MOST_AT_ONCE, request_bytes=1024 * 1024)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the front asks the server. ``healthy`` and ``ready`` give the reason where it is not, else ""."""

    healthy: Callable[[], str]
    ready: Callable[[], str]
    metrics: Callable[[], str]


def front(figures: Figures, pages: OwnPages | None) -> ASGIApp:
    """The ASGI application; ``pages`` are those where incidents are acknowledged, None where no address leads there."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        if pages is not None and path.startswith(pages.prefixes):
            await pages.answer(scope, receive, send)
            return
        status, kind, text = 404, _PLAIN, "there is /-/healthy, /-/ready and /metrics\n"
        if scope["method"] not in {"GET", "HEAD"}:
            status, text = 405, "GET is expected\n"
        elif path == "/metrics":
            status, kind, text = 200, CONTENT_TYPE, await in_thread(figures.metrics)
        elif path in {"/-/healthy", "/-/ready"}:
            reason = figures.healthy() if path == "/-/healthy" else figures.ready()
            status, text = (503, f"{reason}\n") if reason else (200, "ok\n")
        body = text.encode()
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return answer


class Listener:
    """Serves an ASGI application in a thread of its own, from `start` until `stop`."""

    def __init__(self, app: ASGIApp, *, host: str, port: int) -> None:
        """Binds the port (0: a free one). Raises OSError where it cannot be had, ConfigError where uvicorn is not."""
        if find_spec("uvicorn") is None:
            message = "otelmon serve needs a web server, and none is installed"
            raise ConfigError([Problem(message=message, hint="pip install 'otelmon[server]'")])
        import uvicorn

        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            http=patient(_PATIENCE),
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="error",
            limit_concurrency=2 * _MOST_AT_ONCE,
            timeout_graceful_shutdown=int(_STOP_SECONDS),
            server_header=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, args=([self._socket],), name="otelmon-front", daemon=True)

    def start(self) -> None:
        """Serve from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Answer what has come, for a few seconds at most, and let go of the port."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS + 1)
        self._socket.close()

    def _run(self, sockets: Sequence[socket.socket]) -> None:
        self._server.run(sockets=list(sockets))
