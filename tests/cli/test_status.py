"""`otelmon status` against a monitor that answers on its socket: what it says, how wide, and how it exits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from typer.testing import CliRunner, Result

from otelmon.cli.main import app
from otelmon.cli.status import is_critical
from otelmon.cli.status_text import status_lines
from otelmon.clock import SystemClock
from otelmon.collect.meter import OwnMeter
from otelmon.collect.reader import Reader
from otelmon.faults import Faults
from otelmon.runtime.answers import Answers
from otelmon.runtime.control import ControlServer
from otelmon.runtime.delivery import Delivery
from otelmon.runtime.ticks import Ticks
from otelmon.runtime.vitals import Vitals
from otelmon.storage.sqlite import STATE_FILE, SqliteStorage
from tests.e2e.simulation import Simulation
from tests.runtime.broken import BreakingStorage
from tests.waiting import wait_until

CONFIG = """
service: shop
environment: staging
alerts:
  error_rate: {threshold: 5%, window: 1m, keep_firing_for: 0s}
  route_error_rate: off
  slow: {expr: 'sum by (http_route) (rate(http_server_request_duration_seconds_count[1m])) > 0', for: 1h}
  odd: {expr: 'http_server_request_duration_seconds_count + on (job) http_server_request_duration_seconds_count > 0'}
"""


class Running:
    """A monitor on a clock that the test moves, which answers on its control socket."""

    def __init__(self, folder: Path) -> None:
        (folder / "otelmon.yaml").write_text(CONFIG, encoding="utf-8")
        reader = Reader()
        provider = MeterProvider([reader], shutdown_on_exit=False)
        self.disk = BreakingStorage()
        self.simulation = simulation = Simulation(folder / "otelmon.yaml", disk=self.disk, reader=reader)
        self.ticks = Ticks(interval_seconds=15.0, monotonic=simulation.clock.monotonic, faults=simulation.faults)
        self.ticks.begin()
        vitals = Vitals(simulation.settings, simulation.engine, self.ticks, simulation.faults, pages=True)
        vitals.measure(OwnMeter(provider, "otelmon"))
        delivery = Delivery(["discord"], simulation._workers, [simulation.disk, simulation.memory])
        clock = simulation.clock
        answers = Answers(
            simulation.engine, None, now=clock.now, monotonic=clock.monotonic, delivery=delivery, vitals=vitals
        )
        state = simulation.settings.state_dir
        state.mkdir(exist_ok=True)
        SqliteStorage(state / STATE_FILE).close()
        self._stop = threading.Event()
        self._server = ControlServer(state, answers.answer, clock=SystemClock(), stop=self._stop, faults=Faults())
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        wait_until((state / "control.sock").exists)

    def pass_time(self, ticks: int, status: int = 200) -> None:
        for _ in range(ticks):
            self.simulation.clock.advance(15.0)
            self.simulation.request("/pay", status, times=10)
            self.simulation.request("/items", times=2)
            self.ticks.run(self.simulation.engine, self.simulation.clock.now())
            self.simulation.deliver()

    def stop(self) -> None:
        self._stop.set()
        self._server.wake()
        self._thread.join(30)
        self.simulation.close()


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OTELMON_STATE_DIR", str(tmp_path))
    made = Running(tmp_path)
    yield made
    made.stop()


def status(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["status", *arguments])


def test_a_quiet_app_is_fine_and_said_in_lines_that_fit(running: Running) -> None:
    running.pass_time(8)
    said = status()
    assert said.exit_code == 0, said.output
    lines = said.output.splitlines()
    assert lines[0].startswith("shop on ")
    assert ", staging (process " in lines[0]
    for expected in (
        "up 2m, paging on",
        "last tick 0s ago, took 0 ms",
        "no open incidents",
        "0 alerts fire, 2 pending",
        'slow{http_route="/pay"}',
        "requests   0.32/s, errors 0 %",
        "discord  0 sent, 0 failed, 0 rejected  nothing owed",
        "rules cannot be evaluated",
        "faults of otelmon itself",
    ):
        assert expected in said.output, said.output
    odd = {line for line in lines if "odd (" in line}  # with a reason, which is as long as it is
    assert max(len(line) for line in lines if line not in odd) <= 80


def test_something_critical_exits_2_and_shows_since_when_and_who_has_it(running: Running) -> None:
    running.pass_time(8)
    running.pass_time(4, status=500)
    said = status()
    assert said.exit_code == 2
    assert "1 open incident" in said.output
    (line,) = (line for line in said.output.splitlines() if "Error rate" in line)
    assert line.split()[1:4] == ["critical", "Error", "rate"]
    assert "nobody has it" in line
    assert "discord  1 sent, 0 failed" in said.output
    id_ = line.split()[0]
    found = json.loads(status("--json").stdout)
    assert [(each["id"], each["severity"]) for each in found["monitor"]["incidents"]] == [(id_, "critical")]
    running.pass_time(12)
    assert status().exit_code == 0


def test_under_a_server_it_says_whose_alerts_and_incidents_they_are_and_who_sends(running: Running) -> None:
    running.pass_time(8)
    running.pass_time(4, status=500)
    found = json.loads(status("--json").stdout)
    own = "\n".join(line for _, line in status_lines(found))
    assert "error_rate{job=" not in own
    assert " on shop" not in own.partition("\n")[2]
    # The same as the monitor of a server has it: its own name is another.
    found["monitor"]["service"] = "otelmon"
    found["snapshot"]["services"] = {"shop": 5, "cart": 0}
    marked = list(status_lines(found))
    text = "\n".join(line for _, line in marked)
    assert 'error_rate{job="shop"}' in text
    assert "Error rate on shop" in text
    assert ("", "service  shop  5 instances send") in marked
    assert ("!", "service  cart  none of its instances sends") in marked


def test_what_is_muted_does_not_count_and_a_warning_neither() -> None:
    def found(**incident: Any) -> dict[str, Any]:
        return {"monitor": {"incidents": [{"severity": "critical", "visible": 1} | incident]}}

    assert is_critical(found())
    assert not is_critical(found(visible=0))
    assert not is_critical(found(severity="warning"))


def test_ticks_that_fail_and_what_otelmon_lacks_are_shown(running: Running) -> None:
    running.pass_time(2)
    running.disk.broken = True
    running.pass_time(2)
    said = status().output
    assert "not good: the state cannot be written" in said
    assert "2 of 4 ticks were not good" in said
    assert "state 2" in said
    running.simulation.clock.advance(60)
    assert "last tick 1m ago" in status().output


def test_json_has_everything_that_the_mission_lists(running: Running) -> None:
    running.pass_time(4)
    said = status("--json")
    assert said.exit_code == 0
    found = json.loads(said.stdout)
    assert found.keys() == {"monitor", "snapshot", "rules", "delivery"}
    assert found["snapshot"].keys() >= {
        "error_rate", "request_rate", "response_time_p50", "response_time_p95", "response_time_p99", "pools",
        "disk_usage", "memory_usage", "cpu_usage", "redis", "probes", "queues", "operations",
    }  # fmt: skip
    assert found["delivery"]["notifiers"][0].keys() >= {"delivered", "retried", "rejected", "owed", "oldest_at"}
    assert "rejections" in found["delivery"]
    monitor = found["monitor"]
    assert monitor["max_series"] == 50_000
    assert monitor["series"] > 0
    assert monitor["tick"]["problem"] == ""


def test_no_monitor_is_said_in_words_and_exits_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OTELMON_STATE_DIR", str(tmp_path))
    said = status()
    assert (said.exit_code, said.stdout) == (1, "")
    assert "start the app first" in said.stderr
    (tmp_path / "shop").mkdir()
    SqliteStorage(tmp_path / "shop" / STATE_FILE).close()
    said = status("--service", "shop")
    assert (said.exit_code, said.stdout) == (1, "")
    assert "no monitor runs" in said.stderr


def test_watch_into_a_pipe_writes_block_after_block_and_ends_well_on_ctrl_c(running: Running) -> None:
    running.pass_time(2)
    command = [sys.executable, "-m", "otelmon", "status", "--watch", "--every", "0.2"]
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stdout is not None
        blocks = 0
        for line in process.stdout:
            assert "\x1b" not in line
            blocks += line.startswith("shop on ")
            if blocks == 3:
                process.send_signal(signal.SIGINT)
                break
        process.stdout.read()
        assert process.wait(20) == 0


def test_a_rejected_page_is_shown_with_its_reason_and_hostile_names_move_nothing(running: Running) -> None:
    running.pass_time(4)
    found = json.loads(status("--json").stdout)
    found["delivery"]["notifiers"][0] |= {"rejected": 1, "owed": 2, "late": 1, "oldest_at": found["monitor"]["at"] - 90}
    found["delivery"]["rejections"] = [
        {
            "at": 0.0,
            "notifier": "discord",
            "incident": "7KQ2",
            "page": "triggered",
            "title": "a\nb",
            "reason": "404 x",
        }
    ]
    found["snapshot"]["pools"] = {"db\x1b[31m\u202e": {"usage": 95.0, "pending": 4}}
    found["snapshot"]["redis"] = {"localhost:6379/0": False}
    found["snapshot"]["queues"] = {"mail": {"depth": 12.0, "oldest_age": 400.0}}
    found["monitor"]["heartbeat"] = {"sent": 4, "failed": 1}
    found["monitor"]["series_overflow"] = 7
    lines = list(status_lines(found))
    text = "\n".join(line for _, line in lines)
    assert "1 rejected  2 owed since 1m30s, 1 late" in text
    assert "404 x" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    marks = {line.split()[0]: mark for mark, line in lines if line.split()}
    assert (marks["redis"], marks["pool"], marks["queue"]) == ("!", "*", "")
    assert "heartbeat: 4 sent, 1 failed" in text
    assert "7 samples dropped" in text
