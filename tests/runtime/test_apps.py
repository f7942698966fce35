"""The monitor and the lives of the apps it watches: lifespans, several apps, objects it cannot attach to, forks."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.handlers.asgi import ASGIHandler
from fastapi import FastAPI

import otelmon
from otelmon.errors import ConfigError
from otelmon.runtime.monitor import Monitor
from otelmon.runtime.snapshot import Snapshot
from tests.e2e.served import clean_environ
from tests.runtime.client import TestClient

CONFIG = "interval: 1s\n"


def engines() -> int:
    return sum(thread.name == "otelmon-engine" for thread in threading.enumerate())


def watched() -> bool:
    """Whether an engine runs; it starts while the first requests may come already."""
    patience = threading.Event()
    return any(engines() == 1 or patience.wait(0.05) for _ in range(1200)) and engines() == 1


def counted(monitor: Monitor) -> int:
    """How many requests the middleware of all apps has counted."""
    return sum(cell.count for cell in monitor._recorder.snapshot().cells)


def vitals() -> Snapshot:
    """The first snapshot that has seen requests: one shares its measurements with those of the second before."""
    patience = threading.Event()
    for _ in range(600):
        found = otelmon.snapshot()
        if found.request_rate:
            return found
        patience.wait(0.1)
    raise AssertionError("no request was seen within 60 s")


def build() -> FastAPI:
    app = FastAPI()

    @app.get("/items/{item_id}")
    async def show_item(item_id: int) -> int:
        return item_id

    return app


@pytest.mark.parametrize("name", ["Django", "a bare callable"])
def test_what_start_cannot_attach_to_is_refused_with_what_to_write_and_nothing_is_left_running(name: str) -> None:
    async def bare(scope: object, receive: object, send: object) -> None: ...

    app = bare if name != "Django" else ASGIHandler.__new__(ASGIHandler)
    with pytest.raises(ConfigError, match=r"app = otelmon.wrap\(app\)") as refused:
        otelmon.start(app)
    assert "Django" in str(refused.value) or name != "Django"
    assert engines() == 0
    otelmon.start()
    assert otelmon.snapshot().memory_usage is not None
    assert engines() == 1


def test_what_is_no_app_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="no ASGI application"):
        otelmon.start(7)
    with pytest.raises(ConfigError, match="no ASGI application"):
        otelmon.wrap("app:app")
    otelmon.stop()


def test_a_monitor_lives_as_long_as_its_app_and_again_with_its_next_life(configure: Callable[[str], Path]) -> None:
    """As in a test suite, where each test client is a lifespan."""
    configure(CONFIG)
    app = build()
    monitor = otelmon.start(app)
    assert engines() == 0
    for _ in range(2):
        with TestClient(app) as client:
            assert watched()
            for _ in range(5):
                assert client.get("/items/1").status_code == 200
            assert vitals().error_rate == 0
            assert counted(monitor) == 5  # those of the life before are in the state
        assert engines() == 0


def test_an_app_without_lifespans_is_watched_from_its_first_request(configure: Callable[[str], Path]) -> None:
    configure(CONFIG)
    app = build()
    otelmon.start(app)
    client = TestClient(app)
    assert client.get("/items/1").status_code == 200
    assert vitals().error_rate == 0
    assert watched()


def test_two_apps_in_one_process_are_one_monitor_that_lives_until_the_last_has_ended(
    configure: Callable[[str], Path],
) -> None:
    configure(CONFIG)
    shop, admin = build(), build()
    monitor = otelmon.start(shop)
    assert otelmon.start(admin) is monitor
    with TestClient(shop) as shop_client:
        with TestClient(admin) as admin_client:
            shop_client.get("/items/1")
            admin_client.get("/items/2")
            assert watched()
        assert engines() == 1  # the shop is still served
        shop_client.get("/items/3")
        assert vitals().error_rate == 0
        assert counted(monitor) == 3
    assert engines() == 0


def test_an_app_that_is_started_and_wrapped_and_started_again_is_counted_once(configure: Callable[[str], Path]) -> None:
    configure(CONFIG)
    app = build()
    monitor = otelmon.start(app)
    wrapped = otelmon.wrap(app)
    otelmon.start(app)
    assert otelmon.wrap(wrapped) is wrapped
    with TestClient(wrapped) as client:
        client.get("/items/1")
        assert vitals().error_rate == 0
        assert counted(monitor) == 1


PORTABLE = """\
import json
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from fastapi import FastAPI
import otelmon
from tests.runtime.client import TestClient

reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider(metric_readers=[reader], shutdown_on_exit=False))
first, second = FastAPI(), FastAPI()
for app in (first, second):
    @app.get("/items")
    async def items() -> int:
        return 1

monitor = otelmon.start(first)
with TestClient(first) as one:
    one.get("/items")
    otelmon.start(second)
    with TestClient(second) as two:
        two.get("/items")
        data = json.loads(reader.get_metrics_data().to_json())
        points = [
            point["attributes"].get("http.route")
            for resource in data["resource_metrics"] for scope in resource["scope_metrics"]
            for metric in scope["metrics"] if metric["name"] == "http.server.request.duration"
            for point in metric["data"]["data_points"] for _ in range(point["count"])
        ]
        ours = sum(cell.count for cell in monitor._recorder.snapshot().cells)
        print(json.dumps({"provider": points, "ours": ours}))
"""


def run(source: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(source, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "script.py"],
        cwd=folder,
        env=clean_environ(OTELMON_STATE_DIR=str(folder / "state"), OTELMON_PAGING="off"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_an_app_that_joins_later_is_not_counted_by_two_in_portable_mode(tmp_path: Path) -> None:
    done = run(PORTABLE, tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"provider": ["/items", "/items"], "ours": 0}


FORK = """\
import asyncio, json, os, signal
import otelmon
import otelmon.runtime.monitor

signal.alarm(100)  # a deadlock ends here
otelmon.runtime.monitor._READY_SECONDS = 60.0  # on a busy machine too, the engine is there in the end


async def bare(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def serve(times):
    async def receive():
        return {"type": "http.request"}

    async def send(message):
        pass

    for _ in range(times):
        scope = {"type": "http", "method": "GET", "path": "/", "scheme": "http", "headers": [], "root_path": ""}
        await app(dict(scope), receive, send)


def say(who):
    found = otelmon.snapshot()
    total = sum(cell.count for cell in monitor._recorder.snapshot().cells)
    faults = dict(monitor.faults.counts)
    memory = found.memory_usage is not None
    print(json.dumps({"who": who, "counted": total, "memory": memory, "faults": faults}), flush=True)


app = otelmon.wrap(bare)
monitor = otelmon.start()
asyncio.run(serve(3))
otelmon.snapshot()
child = os.fork()
if child == 0:
    os.environ["OTELMON_STATE_DIR"] = "child"
    asyncio.run(serve(5))
    say("child")
    otelmon.stop()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
say("parent")
otelmon.stop()
"""


def test_a_forked_child_that_serves_counts_its_own_requests_and_neither_hangs(tmp_path: Path) -> None:
    done = run(FORK, tmp_path)
    assert done.returncode == 0, done.stderr
    child, parent = (json.loads(line) for line in done.stdout.splitlines())
    assert (child["who"], child["counted"], child["memory"]) == ("child", 5, True)
    assert (parent["who"], parent["counted"], parent["memory"]) == ("parent", 3, True)
    assert child["faults"] == parent["faults"] == {}
