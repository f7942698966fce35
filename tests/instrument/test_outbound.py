"""Calls of the application to others, as instrumented httpx and requests measure them: each fault pages once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

# In a process of its own: the libraries read the variable once, and their instrumentation stays.
_CALLING = """
import json, sys
from pathlib import Path
import httpx, requests
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from otelmon.instrument.probes import HttpTarget, ProbeSettings, Rhythm
from otelmon.instrument.sources import Sources
from tests.instrument.endpoint import served
from tests.instrument.recording import asking, recording, simulation

library = sys.argv[1]
with served() as endpoint, served() as probed:
    probed.status = 500
    probe = ProbeSettings(name="other", target=HttpTarget(url=probed.url), rhythm=Rhythm())
    with recording(Sources(), probes=[probe]) as recorded:
        for instrumentor in (HTTPXClientInstrumentor(), RequestsInstrumentor()):
            instrumentor.instrument(meter_provider=recorded.provider)
        get = httpx.Client().get if library == "httpx" else requests.Session().get
        process = simulation(recorded, Path(sys.argv[2]), "alerts: {health_check: off}\\n")
        probes = asking(recorded, process)
        refused = "http://127.0.0.1:9/"

        def second():
            probes()
            if int(process.clock.now()) % 3 == 0:
                try:
                    get(refused if endpoint.status == 0 else endpoint.url)
                except (httpx.HTTPError, requests.RequestException):
                    pass

        said = {}
        for step, status, seconds in (("well", 200, 360), ("500", 500, 90), ("over", 200, 1200), ("refused", 0, 90)):
            endpoint.status = status
            before = len(process.triggered), len(process.resolved)
            process.run(seconds, second)
            said[step] = [process.triggered[before[0]:], process.resolved[before[1]:]]
        said = {step: [[name for _, name in names] for names in pair] for step, pair in said.items()}
        said["calls to the probed"] = sum(
            point.count for point in recorded.points("http.client.request.duration")
            if point.attributes["server.port"] == int(probed.url.rsplit(":", 1)[1].split("/")[0])
        )
        print(json.dumps(said))
"""


# The instrumentation of httpx (0.66b1) counts nothing that ends in an exception.
@pytest.mark.parametrize(
    ("library", "refused"),
    [pytest.param("httpx", [], marks=pytest.mark.soak), ("requests", ["outbound_error_rate"])],
)
def test_failing_calls_page_once_and_resolve_once_and_those_of_our_own_are_not_counted(
    tmp_path: Path, library: str, refused: list[str]
) -> None:
    for module in ("httpx", "requests"):
        pytest.importorskip(f"opentelemetry.instrumentation.{module}")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", _CALLING, library, str(tmp_path)],
        env={**environ, "OTEL_SEMCONV_STABILITY_OPT_IN": "http"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "well": [[], []],
        "500": [["outbound_error_rate"], []],
        "over": [[], ["outbound_error_rate"]],
        "refused": [refused, []],
        "calls to the probed": 0,
    }, done.stdout
