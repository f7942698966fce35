"""A real uvicorn in a process of its own, serving a small app that the test wrote; always ended."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

REPOSITORY = Path(__file__).resolve().parents[2]
# Ticks each second and windows of seconds, so that a page comes within two seconds of its cause.
CONFIG = """\
service: shop
interval: 1s
paging: on
exclude_paths: [/vitals]
group_by: [alertname, http_route, http_response_status_code]
alerts:
  error_rate: {threshold: 5%, window: 4s, keep_firing_for: 0s}
  route_error_rate: off
  response_time: off
  disk_usage: off
  memory_usage: off
"""
# The same, for stories in which the alert is to go on: on a busy machine seconds pass between two steps of a story.
LASTING = CONFIG.replace("window: 4s", "window: 5m")
APP = """\
import otelmon
from fastapi import FastAPI, HTTPException

app = FastAPI()
otelmon.start(app)


@app.get("/items/{item_id}")
async def show_item(item_id: int) -> int:
    return item_id


@app.get("/fail")
async def fail() -> None:
    raise HTTPException(500, "broken")


@app.get("/vitals")
def vitals() -> dict[str, object]:
    return otelmon.snapshot().as_dict()
"""
# What would decide for the app if it leaked in from the machine or from pytest.
_FOREIGN = ("OTEL", "DISCORD", "SENTRY", "PYTEST", "UVICORN", "XDG_STATE")
_START_SECONDS = 60.0
_STOP_SECONDS = 60.0


def clean_environ(**more: str) -> dict[str, str]:
    """The environment of a process that knows nothing of the test's; this repository's otelmon is importable."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return {**kept, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1", **more}


class Served:
    """``uvicorn app:app`` for the length of a ``with`` block.

    The port is bound before the process starts: a request waits in its backlog until the app serves, so nothing polls
    for readiness. ``folder`` holds app.py, otelmon.yaml and the state directory; a second Served on the same folder is
    the app restarted. ``server`` is the module that serves and its arguments, with ``{fd}`` for the bound socket;
    ``before`` is what the command begins with.
    """

    def __init__(
        self,
        folder: Path,
        *,
        app: str = APP,
        config: str = CONFIG,
        webhook_url: str | None = None,
        environ: Mapping[str, str] | None = None,
        options: tuple[str, ...] = (),
        target: str = "app:app",
        server: tuple[str, ...] = ("uvicorn", "--fd", "{fd}", "--no-access-log"),
        before: tuple[str, ...] = (sys.executable, "-m"),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "app.py").write_text(app, encoding="utf-8")
        (folder / "otelmon.yaml").write_text(config, encoding="utf-8")
        self.folder = folder
        self.state_dir = folder / "state"
        self.environ = clean_environ(OTELMON_STATE_DIR=str(self.state_dir))
        if webhook_url is not None:
            self.environ["DISCORD_WEBHOOK_URL"] = webhook_url
        self.environ.update(environ or {})
        self._options = options
        self._target = target
        self._server = server
        self._before = before
        self._lines: list[str] = []
        self._logged = threading.Condition()
        # A server that closes a connection after an error must not be mistaken for one that answers nothing.
        self._client = httpx.Client(timeout=_START_SECONDS, trust_env=False, headers={"Connection": "close"})
        self.url = ""

    def __enter__(self) -> Self:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            self.environ.setdefault("SERVED_URL", self.url)
            server = [word.replace("{fd}", str(listener.fileno())) for word in self._server]
            self.process = subprocess.Popen(
                [*self._before, *server, *self._options, self._target],
                cwd=self.folder,
                env=self.environ,
                pass_fds=[listener.fileno()],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="backslashreplace",  # a reader that ends would hold the process up
                start_new_session=True,
            )
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._reading.join(_STOP_SECONDS)
        if self.process.stdout is not None:
            self.process.stdout.close()
        if error is not None:
            print(self.log)

    def stop(self, timeout: float = _STOP_SECONDS) -> float:
        """Stop it as a platform does, by SIGTERM; returns the seconds that it took."""
        began = time.monotonic()
        self.process.terminate()
        self.process.wait(timeout)
        self._reading.join(timeout)
        return time.monotonic() - began

    def kill(self) -> None:
        """End it without a word, as an out-of-memory killer does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(_STOP_SECONDS)
        self._reading.join(_STOP_SECONDS)

    def get(self, path: str, *, times: int = 1) -> int:
        """Request a path one time after another; the last status."""
        status = 0
        for _ in range(times):
            status = self._client.get(f"{self.url}{path}").status_code
        return status

    @contextmanager
    def requesting(self, path: str) -> Iterator[None]:
        """Request a path again and again until the block ends."""
        over = threading.Event()

        def run() -> None:
            with httpx.Client(timeout=_START_SECONDS, trust_env=False, headers={"Connection": "close"}) as client:
                while not over.wait(0.1):
                    client.get(f"{self.url}{path}")

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def vitals(self) -> dict[str, Any]:
        """What ``/vitals`` answers."""
        return self._client.get(f"{self.url}/vitals").raise_for_status().json()

    def until(self, condition: Callable[[], bool], *, timeout: float = 60.0, doing: Callable[[], object]) -> None:
        """Do something again and again until the condition holds."""
        deadline = time.monotonic() + timeout
        pace = threading.Event()
        while not condition():
            assert time.monotonic() < deadline, f"not so within {timeout:g} s:\n{self.log}"
            doing()
            pace.wait(0.05)

    def ticks(self) -> int:
        """How many ticks the engine has written to the state."""
        return self._ask("SELECT coalesce(max(number), 0) FROM ticks")

    def open_pages(self) -> int:
        """How many pages are still owed, or sent and not yet known to be."""
        return self._ask("SELECT count(*) FROM pages WHERE finished_at IS NULL")

    def pass_ticks(self, count: int, *, doing: Callable[[], object] = lambda: None) -> None:
        """Let so many ticks pass."""
        end = self.ticks() + count
        self.until(lambda: self.ticks() >= end, doing=doing)

    def _ask(self, query: str) -> int:
        path = next(self.state_dir.rglob("state.db"), None)
        if path is None:
            return 0
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as connection:
            made = connection.execute("SELECT count(*) FROM sqlite_master WHERE name IN ('ticks', 'pages')").fetchone()
            return int(connection.execute(query).fetchone()[0]) if made[0] == 2 else 0

    @property
    def log(self) -> str:
        """All that the process has written so far."""
        with self._logged:
            return "".join(self._lines)

    def wait_for_log(self, words: str, timeout: float = 60.0) -> str:
        """The first line of the log with these words."""

        def found() -> str | None:
            return next((line for line in self._lines if words in line), None)

        with self._logged:
            line = self._logged.wait_for(found, timeout)
        assert line is not None, f"{words!r} was not logged within {timeout:g} s:\n{self.log}"
        return line

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._logged:
                self._lines.append(line)
                self._logged.notify_all()
