"""Headless Chromium (Debian's package), driven over its DevTools protocol by a few commands."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Ping, Request, TextMessage

_START_SECONDS = 40.0
_ANSWER_SECONDS = 30.0
_LOOK_SECONDS = 0.05


class Browser:
    """One tab, as wide as a phone. Skips the test, aloud, where no Chromium is installed."""

    def __init__(self, width: int = 400, height: int = 860) -> None:
        self._width, self._height = width, height
        self._numbers = count(1)

    def __enter__(self) -> Self:
        program = shutil.which("chromium")
        if program is None:
            pytest.skip("chromium is not on the PATH; on Debian: apt-get install chromium")
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._process = subprocess.Popen(
            [
                program, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
                "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
                f"--user-data-dir={self._profile.name}", "--remote-debugging-port=0", "--hide-scrollbars",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            self._socket = _Socket(self._tab())
            size = {"width": self._width, "height": self._height, "deviceScaleFactor": 1, "mobile": True}
            self.command("Emulation.setDeviceMetricsOverride", **size)
            self.command("Page.enable")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self._end()

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the DevTools protocol, and its result."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(self._socket.receive())).get("id") != number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def look(self, script: str) -> Any:
        """The value of a JavaScript expression; None where the page is on its way."""
        result = self.command("Runtime.evaluate", expression=script, returnByValue=True)
        return None if "exceptionDetails" in result else result["result"].get("value")

    def wait_for(self, script: str, seconds: float = 45.0) -> Any:
        """The value of the expression once it is one that counts as true."""
        return _until(lambda: self.look(script), seconds, script)

    def open(self, url: str) -> None:
        """Go to an address."""
        self.command("Page.navigate", url=url)

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.command("Input.insertText", text=text)

    def screenshot(self, path: Path) -> None:
        """The whole page as a PNG."""
        shot = self.command("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _tab(self) -> str:
        told = Path(self._profile.name, "DevToolsActivePort")
        port = _until(lambda: told.exists() and told.read_text().split("\n")[0], _START_SECONDS, "chromium starts")
        with httpx.Client(trust_env=False) as client:
            tabs = client.get(f"http://127.0.0.1:{port}/json/list").json()
        return next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._profile.cleanup()


class _Socket:
    """A websocket on this machine."""

    def __init__(self, url: str) -> None:
        address = httpx.URL(url)
        self._wire = socket.create_connection((address.host, address.port), _ANSWER_SECONDS)
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._parts: list[str] = []
        self._messages: list[str] = []
        self._open = False
        host = f"{address.host}:{address.port}"
        self._wire.sendall(self._protocol.send(Request(host=host, target=address.raw_path.decode())))
        while not self._open:
            self._read()

    def send(self, text: str) -> None:
        self._wire.sendall(self._protocol.send(TextMessage(data=text)))

    def receive(self) -> str:
        while not self._messages:
            self._read()
        return self._messages.pop(0)

    def close(self) -> None:
        self._wire.close()

    def _read(self) -> None:
        self._protocol.receive_data(self._wire.recv(1 << 16) or None)
        for event in self._protocol.events():
            if isinstance(event, AcceptConnection):
                self._open = True
            elif isinstance(event, TextMessage):
                self._parts.append(event.data)
                if event.message_finished:
                    self._messages.append("".join(self._parts))
                    self._parts.clear()
            elif isinstance(event, Ping):
                self._wire.sendall(self._protocol.send(event.response()))
            elif isinstance(event, CloseConnection):
                pytest.fail("chromium ended")


def _until(look: Callable[[], Any], seconds: float, what: str) -> Any:
    deadline = time.monotonic() + seconds
    pace = threading.Event()
    while not (found := look()):
        assert time.monotonic() < deadline, f"not so within {seconds:g} s: {what}"
        pace.wait(_LOOK_SECONDS)
    return found
