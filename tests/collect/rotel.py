"""Rotel, an OTLP agent of other people's, between the application and a receiver."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

_PATIENCE_SECONDS = 60.0


@contextmanager
def rotel(sends_to: str, folder: Path) -> Iterator[dict[str, str]]:
    """It runs, and passes on by HTTP; where it takes OTLP, by protocol. Skips where it is not installed."""
    found = find_spec("rotel")
    if found is None or found.origin is None:
        pytest.skip("rotel is not installed: it has no wheel for this Python or system")
    ports = {"http/protobuf": _free_port(), "grpc": _free_port()}
    command = [
        str(Path(found.origin).parent / "rotel-agent"), "start", "--batch-timeout", "20ms",
        "--otlp-http-endpoint", f"127.0.0.1:{ports['http/protobuf']}", "--otlp-grpc-endpoint",
        f"127.0.0.1:{ports['grpc']}", "--otlp-exporter-endpoint", sends_to, "--otlp-exporter-protocol", "http",
        "--pid-file", str(folder / "rotel.pid"),
    ]  # fmt: skip
    with (folder / "rotel.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
        try:
            for port in ports.values():
                _wait_for(port, process, folder / "rotel.log")
            yield {protocol: f"http://127.0.0.1:{port}" for protocol, port in ports.items()}
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


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
