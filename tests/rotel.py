"""Rotel, an OTLP agent of other people's, between two ports of this machine."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from otelmon.collect.otlp import GRPC

_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Rotel:
    """Where it takes OTLP."""

    http: str
    grpc: str


@contextmanager
def rotel(sends_to: str, protocol: str, folder: Path) -> Iterator[Rotel]:
    """It runs, and sends what it takes to a URL. Skips where it cannot: it is built for some systems only."""
    agent = _agent()
    ports = [_free_port(), _free_port()]
    http, grpc = (f"127.0.0.1:{port}" for port in ports)
    command = [
        str(agent), "start", "--otlp-http-endpoint", http,
        "--otlp-grpc-endpoint", grpc, "--otlp-exporter-endpoint", sends_to,
        "--otlp-exporter-protocol", "grpc" if protocol == GRPC else "http", "--batch-timeout", "20ms",
        "--otlp-exporter-retry-initial-backoff", "100ms", "--pid-file", str(folder / "rotel.pid"),
    ]  # fmt: skip
    with (folder / "rotel.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
        try:
            for port in ports:
                _wait_for(port, process, folder / "rotel.log")
            yield Rotel(http=f"http://{http}", grpc=f"http://{grpc}")
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _agent() -> Path:
    found = find_spec("rotel")
    if found is None or found.origin is None:
        pytest.skip("rotel is not installed: it has no wheel for this Python or system")
    agent = Path(found.origin).parent / "rotel-agent"
    asked = subprocess.run([agent, "--version"], capture_output=True, text=True, check=False)
    if "error while loading shared libraries" in asked.stderr:
        pytest.skip(f"rotel does not start, for this Python has no shared library: {asked.stderr.strip()}")
    return agent


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.02)
        else:
            return
