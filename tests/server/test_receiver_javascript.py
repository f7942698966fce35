"""The JavaScript SDK as a client: all instrument kinds, both temporalities, both histogram kinds, three protocols."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from otelmon.histogram import Histogram
from tests.server.clients import serving

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


@pytest.mark.parametrize("histogram", ["EXPLICIT_BUCKET_HISTOGRAM", "EXPONENTIAL_HISTOGRAM"])
@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
@pytest.mark.parametrize("protocol", ["proto", "http", "grpc"])
def test_what_the_javascript_sdk_measures_is_evaluated(
    client: Path, protocol: str, temporality: str, histogram: str
) -> None:
    with serving(grpc_port=0) as server:
        grpc = f"http://127.0.0.1:{server.receiver.grpc_port}"
        url = grpc if protocol == "grpc" else f"{server.http}/v1/metrics"
        command = ["node", str(client), protocol, url, temporality, histogram]
        done = subprocess.run(command, cwd=client.parent, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        last = {
            str(sample.labels.without(["job", "instance"])): sample.value
            for sample in server.ingest.collect(time.time())
            if sample.labels["job"] == "shop" and sample.labels["instance"] == "js-1"
        }
        assert not server.faults.counts
        assert set(server.ingest.dropped) <= {"duplicate"}
    # Observables are asked once more when the provider shuts down.
    assert last.pop("seen_total{}") in {10.0, 15.0}
    assert last.pop("left{}") in {-10.0, -15.0}
    assert last.pop("level{}") in {2.5, 3.75}
    expected = {
        'orders_total{kind="a", ok="true"}': 6.0,
        'orders_total{kind="b", ok="false"}': 1.0,
        "inside{}": -2.0,
        "depth{}": 1.0,
        "took_seconds_count{}": 4.0,
        "took_seconds_sum{}": 2.0,
    }
    assert {series: last.get(series) for series in expected} == expected
    if histogram == "EXPLICIT_BUCKET_HISTOGRAM":
        buckets = [last[f'took_seconds_bucket{{le="{bound}"}}'] for bound in ("0.1", "1.0", "+Inf")]
        assert buckets == [0.0, 4.0, 4.0]
    else:
        native = last["took_seconds{}"]
        assert isinstance(native, Histogram)
        assert (native.count, sum(native.positive.counts)) == (4.0, 4.0)
