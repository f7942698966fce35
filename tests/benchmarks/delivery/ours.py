"""otelmon in an app under uvicorn, with a gauge of the app's own that a rule alerts on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from otelmon.testing import DiscordStandIn
from tests.benchmarks.delivery.subject import lasting_port, pages, until
from tests.e2e.served import Served

_READY_SECONDS = 90.0
ALERT = "disk_broken"
# The fault is a file, so that it begins and ends whether or not the app runs.
APP = """\
from pathlib import Path

import otelmon
from fastapi import FastAPI
from opentelemetry import metrics

app = FastAPI()
otelmon.start(app)
FAULT = Path(__file__).with_name("fault")


def observe(_):
    yield metrics.Observation(int(FAULT.exists()))


metrics.get_meter("shop").create_observable_gauge("disk.broken", callbacks=[observe])


@app.get("/")
async def root() -> str:
    return "served"
"""
CONFIG = f"""\
service: shop
interval: 1s
paging: on
alerts:
  error_rate: off
  route_error_rate: off
  response_time: off
  disk_usage: off
  memory_usage: off
  {ALERT}: {{expr: disk_broken > 0, severity: critical, keep_firing_for: 0s, summary: a disk is broken}}
"""


class Otelmon:
    """See Subject."""

    def __init__(self, folder: Path) -> None:
        self.discord = DiscordStandIn(port=lasting_port())
        self.discord.__enter__()
        self._folder = folder / "app"
        self._app: Served | None = None

    @property
    def app(self) -> Served:
        """The process that runs now."""
        assert self._app is not None
        return self._app

    def start(self) -> None:
        """Start the app; it watches once a tick is written."""
        self._app = Served(self._folder, app=APP, config=CONFIG, webhook_url=self.discord.webhook_url)
        before = self.app.ticks()
        self.app.__enter__()
        assert self.app.get("/") == 200
        assert until(lambda: self.app.ticks() > before, _READY_SECONDS), self.app.log

    def kill(self) -> None:
        """End it as ``kill -9`` does."""
        self.app.kill()
        self.app.__exit__(None, None, None)

    def fire(self) -> None:
        """The fault begins."""
        (self._folder / "fault").touch()

    def end(self) -> None:
        """The fault ends."""
        (self._folder / "fault").unlink()

    def silence(self) -> None:
        """On the command line, as a person does."""
        command = [sys.executable, "-m", "otelmon", "silence", "add", ALERT, "--for", "1h"]
        subprocess.run(command, cwd=self._folder, env=self.app.environ, check=True, capture_output=True)

    def wait_decided(self) -> None:
        """Return once the outbox owes the page."""
        assert until(lambda: self.app.open_pages() > 0, _READY_SECONDS), self.app.log

    def wait_recorded(self) -> None:
        """Return once the page is there, and the outbox owes nothing any more."""
        assert until(lambda: bool(pages(self.discord)) and self.app.open_pages() == 0, _READY_SECONDS), self.app.log

    def sees_the_fault(self) -> bool:
        """Whether the process that runs now says that the alert fires."""
        return f"{ALERT}" in self.app.log and "is firing" in self.app.log

    def close(self) -> None:
        """End it."""
        if self._app is not None and self._app.process.poll() is None:
            self._app.__exit__(None, None, None)
        self.discord.__exit__(None, None, None)
