"""A real Prometheus beside ours: blocks made by promtool, a server on loopback, its HTTP API.

Debian's packages are meant (``apt-get install --no-install-recommends prometheus``); nothing is installed here, and the
callers skip, saying so, where the two commands are not at hand.
"""

from __future__ import annotations

import math
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from otelmon.labels import METRIC_NAME, Labels

MISSING = "no prometheus and promtool here (Debian: apt-get install --no-install-recommends prometheus): not compared"
_DEADLINE = 30.0

Points = Mapping[Labels, Iterable[tuple[float, float]]]


def installed() -> bool:
    """Whether both commands are on the path."""
    return shutil.which("prometheus") is not None and shutil.which("promtool") is not None


def version() -> str:
    """What the server says of itself, such as ``2.42.0``."""
    said = subprocess.run(["prometheus", "--version"], capture_output=True, text=True, check=True)
    return (said.stdout or said.stderr).split("version ", 1)[1].split("+")[0].split(",")[0].split(" ")[0]


def create_blocks(points: Points, folder: Path) -> Path:
    """The folder of a TSDB that holds these samples (instants in unix seconds)."""
    text, blocks = folder / "samples.om", folder / "blocks"
    with text.open("w") as file:
        for labels, samples in sorted(points.items(), key=lambda item: item[0].metric_name):
            inside = ",".join(f'{name}="{value}"' for name, value in labels.items() if name != METRIC_NAME)
            for at, value in samples:
                file.write(f"{labels.metric_name}{{{inside}}} {value!r} {at:.3f}\n")
        file.write("# EOF\n")
    made = subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(blocks)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        raise RuntimeError(f"promtool could not make blocks: {made.stderr[-2000:]}")
    text.unlink()
    return blocks


class Prometheus:
    """A server that was started, by its HTTP API."""

    def __init__(self, client: httpx.Client, pid: int) -> None:
        self._client = client
        self.pid = pid

    def query(self, text: str, at: float) -> dict[Labels, float] | str:
        """The values by label set at an instant (a scalar has no labels), or the text of an error."""
        answer = self._client.post("/api/v1/query", data={"query": text, "time": f"{at:.3f}"}).json()
        if answer["status"] != "success":
            return str(answer["error"])
        data = answer["data"]
        if data["resultType"] == "scalar":
            return {Labels({}): float(data["result"][1])}
        return {Labels(element["metric"]): float(element["value"][1]) for element in data["result"]}

    def get(self, path: str) -> httpx.Response:
        """Any other page of the server's."""
        return self._client.get(path)

    def cpu_seconds(self) -> float:
        """What the process has used of the CPU since its start, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_megabytes(self) -> float:
        """The memory of the process."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def started(blocks: Path, folder: Path, *, config: str = "") -> Iterator[Prometheus]:
    """A server over the blocks, on loopback; stopped at the end."""
    written = folder / "prometheus.yml"
    written.write_text(config or "global: {}\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            [
                "prometheus", f"--config.file={written}", f"--storage.tsdb.path={blocks}",
                "--storage.tsdb.retention.time=30y", f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            _wait_until_ready(client, process, folder / "prometheus.log")
            yield Prometheus(client, process.pid)
    finally:
        process.terminate()
        process.wait(timeout=_DEADLINE)


def _wait_until_ready(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _DEADLINE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if client.get("/-/ready").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise RuntimeError(f"prometheus did not get ready: {log.read_text()[-2000:]}")


def difference(ours: Mapping[Labels, float] | str, theirs: Mapping[Labels, float] | str, tolerance: float) -> str:
    """In words, how two results differ; empty where they agree. Two errors agree, whatever they say."""
    if isinstance(ours, str) or isinstance(theirs, str):
        return "" if isinstance(ours, str) and isinstance(theirs, str) else f"ours: {ours}\n  theirs: {theirs}"
    if ours.keys() != theirs.keys():
        return (
            f"only ours: {sorted(map(str, ours.keys() - theirs.keys()))[:4]}, "
            f"only theirs: {sorted(map(str, theirs.keys() - ours.keys()))[:4]}"
        )
    for labels, value in theirs.items():
        if not _near(ours[labels], value, tolerance):
            return f"{labels}: ours {ours[labels]!r}, theirs {value!r}"
    return ""


def _near(one: float, other: float, tolerance: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return one == other or abs(one - other) <= tolerance * max(1.0, abs(one), abs(other))
