"""Alertmanager as Debian has it, with its defaults, fed as Prometheus feeds it: each alert again every minute."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from otelmon.testing import DiscordStandIn
from tests.benchmarks.delivery.subject import lasting_port, log_tail, pages, until

PROGRAM = "prometheus-alertmanager"
_RESEND_SECONDS = 60.0
_READY_SECONDS = 60.0
_ALERT = {"labels": {"alertname": "disk_broken", "job": "shop", "severity": "critical"}}
# group_wait 30s, group_interval 5m, repeat_interval 4h are what it does by itself.
_CONFIG = """\
route: {{receiver: discord, group_by: [alertname, job]}}
receivers:
  - name: discord
    discord_configs: [{{webhook_url: "{url}", send_resolved: true}}]
"""


def is_installed() -> bool:
    """Whether there is anything to compare with."""
    return shutil.which(PROGRAM) is not None


class Alertmanager:
    """See Subject."""

    def __init__(self, folder: Path) -> None:
        self.discord = DiscordStandIn(port=lasting_port())
        self.discord.__enter__()
        self._folder = folder
        (folder / "am.yml").write_text(_CONFIG.format(url=self.discord.webhook_url), encoding="utf-8")
        self._port = lasting_port()
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{self._port}", timeout=10.0, trust_env=False)
        self._process: subprocess.Popen[bytes] | None = None
        self._began: datetime | None = None
        self._ended: datetime | None = None
        self._closed = threading.Event()
        self._source = threading.Thread(target=self._send_again, daemon=True)
        self._source.start()

    def start(self) -> None:
        """Start it; it watches once it says that it is ready."""
        with (self._folder / "log").open("ab") as log:
            command = [
                PROGRAM,
                f"--config.file={self._folder / 'am.yml'}",
                f"--storage.path={self._folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self._port}",
                "--cluster.listen-address=",
            ]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        assert until(self._is_ready, _READY_SECONDS), log_tail(self._folder / "log")

    def kill(self) -> None:
        """End it as ``kill -9`` does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def fire(self) -> None:
        """The fault begins: the source says so now, and again every minute."""
        self._began = datetime.now(UTC)
        self._send()

    def end(self) -> None:
        """The fault ends: the source says so now, and again every minute for a while."""
        self._ended = datetime.now(UTC)
        self._send()

    def silence(self) -> None:
        """By its API, as amtool does."""
        now = datetime.now(UTC)
        matcher = {"name": "alertname", "value": "disk_broken", "isRegex": False, "isEqual": True}
        body = {
            "matchers": [matcher],
            "startsAt": now.isoformat(),
            "endsAt": (now + timedelta(hours=1)).isoformat(),
            "createdBy": "ana",
            "comment": "it is known",
        }
        self._client.post("/api/v2/silences", json=body).raise_for_status()

    def wait_decided(self) -> None:
        """It decides after group_wait; until then it holds the alert."""
        assert until(self.sees_the_fault, _READY_SECONDS)

    def wait_recorded(self) -> None:
        """Its log of notifications cannot be asked; it writes down at once what was answered."""
        assert until(lambda: len(pages(self.discord)) > 0, _READY_SECONDS)
        time.sleep(2.0)

    def sees_the_fault(self) -> bool:
        """Whether it holds the alert."""
        with suppress(httpx.HTTPError):
            return bool(self._client.get("/api/v2/alerts").json())
        return False

    def close(self) -> None:
        """End it."""
        self._closed.set()
        self._source.join()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(20)
        self._client.close()
        self.discord.__exit__(None, None, None)

    def _is_ready(self) -> bool:
        with suppress(httpx.HTTPError):
            return self._client.get("/-/ready").status_code == 200
        return False

    def _send_again(self) -> None:
        while not self._closed.wait(_RESEND_SECONDS):
            self._send()

    def _send(self) -> None:
        if self._began is None:
            return
        until_at = self._ended or datetime.now(UTC) + 4 * timedelta(seconds=_RESEND_SECONDS)
        alert: dict[str, Any] = {**_ALERT, "startsAt": self._began.isoformat(), "endsAt": until_at.isoformat()}
        # As Prometheus: what cannot be sent now is dropped.
        with suppress(httpx.HTTPError):
            self._client.post("/api/v2/alerts", json=[alert])
