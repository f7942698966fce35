"""The JavaScript SDK as a client: all instrument kinds, each temporality, both histogram kinds, three protocols."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.server.clients import serving
from tests.server.workload import BOUNDS, RESOURCE, assert_evaluates_as_in_process, workload

pytestmark = [pytest.mark.soak, pytest.mark.slow]
HERE = Path(__file__).parent / "javascript"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client with its packages installed."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Node.js is not here: the JavaScript SDK is not tested")
    folder = tmp_path_factory.mktemp("javascript")
    for file in HERE.iterdir():
        shutil.copy(file, folder)
    installed = subprocess.run(
        [npm, "install", "--no-audit", "--no-fund"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if installed.returncode:
        pytest.skip(f"npm cannot install the JavaScript SDK, so it is not tested: {installed.stderr[-200:]}")
    return folder / "client.mjs"


@pytest.mark.parametrize("temporality", ["cumulative", "delta", "lowmemory"])
@pytest.mark.parametrize("protocol", ["proto", "http", "grpc"])
def test_what_the_javascript_sdk_measures_evaluates_as_in_process(
    client: Path, protocol: str, temporality: str
) -> None:
    played, file = workload(), client.parent / "workload.json"
    file.write_text(json.dumps({"resource": RESOURCE, "bounds": BOUNDS, "rounds": played}), encoding="utf-8")
    with serving(grpc_port=0) as server:
        grpc = f"http://127.0.0.1:{server.receiver.grpc_port}"
        url = grpc if protocol == "grpc" else f"{server.http}/v1/metrics"
        command = ["node", str(client), protocol, url, temporality, str(file)]
        done = subprocess.run(command, cwd=client.parent, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert not server.faults.counts
        assert [arrived.json for arrived in server.arrived] == [protocol == "http"] * len(server.arrived)
    # Observables are asked once more when the provider shuts down.
    assert_evaluates_as_in_process(server.arrived, played)
