"""The shop as its users run it: a real uvicorn in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import httpx

CONFIG = Path(__file__).with_name("otelmon.yaml")
# What would decide for the shop if it leaked in from the machine.
_FOREIGN = ("OTEL", "DISCORD", "SENTRY", "SHOP_")
EVERYTHING = Path(__file__).with_name("everything.yaml")
# Whom critical pages mention, as otelmon.yaml says.
ROLE = "998877665544332211"


def free_port() -> int:
    """A port on loopback that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ShopServer:
    """Starts `uvicorn examples.shop.app:app` and stops it; its log goes to a file in the state directory.

    ``environ`` is what the shop is told of what it depends on, if it is to depend on anything.
    """

    def __init__(
        self, *, webhook_url: str, state_dir: Path, config: Path = CONFIG, environ: Mapping[str, str] | None = None
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = state_dir / "shop.log"
        self._traces = state_dir / "traces"
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)},
            "DISCORD_WEBHOOK_URL": webhook_url,
            "OTELMON_CONFIG": str(config),
            "DEMO_STATE_DIR": str(state_dir),
            "DEMO_PUBLIC_URL": self.url,
            "SHOP_TRACES": str(self._traces),
            **(environ or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "uvicorn", "examples.shop.app:app", "--port", str(self.port)]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "--no-access-log"],
                env=self.environ,
                stdout=log,
                stderr=log,
            )
        self._wait_ready()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.url}/products", timeout=2).is_success:
                    return
            except httpx.HTTPError:
                time.sleep(0.1)
        raise RuntimeError(f"the shop did not start within 30 s:\n{self.log.read_text()}")

    def switch(self, fault: str, *, on: bool) -> None:
        """Switch a fault of the shop on or off."""
        httpx.request("PUT" if on else "DELETE", f"{self.url}/faults/{fault}", timeout=10).raise_for_status()

    def has_trace(self, trace_id: str) -> bool:
        """Whether the shop has exported a trace of this id."""
        return trace_id in self._traces.read_text().split()

    def otelmon(self, *arguments: str) -> str:
        """What an `otelmon` command says, as a person beside the shop would give it."""
        command = [sys.executable, "-m", "otelmon", *arguments, "--config", self.environ["OTELMON_CONFIG"]]
        done = subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=30, check=False)
        return (done.stdout or done.stderr).strip()
