"""Several workers of one app, as gunicorn and uvicorn run them, and a client whose requests reach them all."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType

import httpx
import psutil

from otelmon.errors import StateError
from otelmon.runtime.control import ask
from tests.e2e.served import Served

# The app says how long each request takes: its worker's clock moves by so much, and by nothing else.
APP = """\
import otelmon
import otelmon.instrument.requests as requests

now = 0.0
requests.perf_counter = lambda: now


async def app(scope, receive, send):
    global now
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            await send({"type": kind + ".complete"})
            if kind == "lifespan.shutdown":
                return
    _, what, seconds = scope["path"].split("/")
    now += float(seconds)
    if what == "alert":
        otelmon.process_alert("error_rate", float(seconds))
    body = str(otelmon.snapshot().request_rate).encode() if what == "vitals" else b"ok"
    length = str(len(body)).encode()
    await send({
        "type": "http.response.start",
        "status": 500 if what == "fail" else 200,
        "headers": [(b"content-type", b"text/plain"), (b"content-length", length)],
    })
    await send({"type": "http.response.body", "body": body})


app = otelmon.wrap(app)
"""
CONFIG = """\
service: shop
interval: 1s
paging: on
alerts:
  error_rate: {threshold: 5%, window: WINDOW, keep_firing_for: 0s}
  route_error_rate: off
  response_time: off
  disk_usage: off
  memory_usage: off
  cpu_usage: off
"""
_GUNICORN = (
    "gunicorn", "--worker-class", "asgi", "--workers", "4", "--bind", "fd://{fd}", "--keep-alive", "30",
    "--timeout", "120", "--no-control-socket",
)  # fmt: skip
SERVERS = {
    "gunicorn": _GUNICORN,
    "gunicorn --preload": (*_GUNICORN, "--preload"),
    "uvicorn --workers": ("uvicorn", "--workers", "4", "--fd", "{fd}", "--no-access-log"),
}


class Workers(Served):
    """An app in four workers for the length of a ``with`` block; all processes are ended with it."""

    def __init__(self, folder: Path, server: str, *, webhook_url: str | None = None, window: str = "5m") -> None:
        config = CONFIG.replace("WINDOW", window)
        super().__init__(folder, app=APP, config=config, webhook_url=webhook_url, server=SERVERS[server])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # One that was stopped hears nothing else.
        for each in self.processes():
            with suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGCONT)
        try:
            super().__exit__(kind, error, trace)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def processes(self) -> list[psutil.Process]:
        """The server's children."""
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children(recursive=True)
        return []

    @property
    def state(self) -> Path:
        """The service's folder in the state directory."""
        return self.state_dir / "shop"

    def holder(self) -> int:
        """The process that evaluates; 0 for none."""
        try:
            with closing(sqlite3.connect(f"file:{self.state}/state.db?mode=ro", uri=True, timeout=10)) as connection:
                row = connection.execute("SELECT holder FROM lease").fetchone()
        except sqlite3.OperationalError:
            return 0
        return int(row[0].split("-")[0]) if row and row[0] else 0

    def query(self, expr: str) -> float:
        """The first value of an expression; NaN where there is none, or nobody to answer."""
        with suppress(StateError):
            vector = ask(self.state, {"verb": "query", "expr": expr}, timeout_seconds=5)["vector"]
            if vector:
                return float(vector[0]["value"])
        return float("nan")

    def members(self) -> int:
        """How many processes leave their counts."""
        return len(list((self.state / "processes").glob("*.points")))

    def wait_for_members(self, count: int = 4, timeout: float = 60.0) -> None:
        """Wait until so many processes take part; each worker starts when it serves."""
        deadline = time.monotonic() + timeout
        while self.members() < count or not self.holder():
            assert time.monotonic() < deadline, f"{self.members()} of {count} workers take part:\n{self.log}"
            self.send(["/ok/0.001"] * 16, connections=16)
            time.sleep(0.1)

    def send(self, paths: Sequence[str], *, connections: int = 16) -> int:
        """Request all paths over several connections at once; how many were answered."""
        answered = [0] * connections
        threads = [
            threading.Thread(target=self._send, args=(paths[number::connections], answered, number))
            for number in range(connections)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        return sum(answered)

    def text(self, path: str) -> str:
        """What one worker answers, over a connection of its own."""
        return httpx.get(f"{self.url}{path}", timeout=20, trust_env=False).text

    def _send(self, paths: Sequence[str], answered: list[int], number: int) -> None:
        port = int(self.url.rpartition(":")[2])
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            for path in paths:
                client.sendall(f"GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n".encode())
                said = b""
                while not said.endswith(b"\r\n\r\nok"):
                    part = client.recv(4096)
                    if not part:
                        return
                    said += part
                answered[number] += 1


def known_requests(count: int) -> tuple[list[str], int, float]:
    """Paths of so many requests, how many of them fail (8 %), and the 95th percentile of their durations."""
    failing = [number % 25 < 2 for number in range(count)]
    seconds = [0.005 * 1.5 ** ((number * 7919 % count) / count * 12) for number in range(count)]
    paths = [f"/{'fail' if fails else 'ok'}/{each!r}" for fails, each in zip(failing, seconds, strict=True)]
    return paths, sum(failing), sorted(seconds)[int(0.95 * count) - 1]
