"""`otelmon check` asks the app that runs which of its selectors match nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from otelmon.cli.main import app
from otelmon.clock import SystemClock
from otelmon.faults import Faults
from otelmon.runtime.answers import Answers
from otelmon.runtime.control import ControlServer
from otelmon.storage.sqlite import STATE_FILE, SqliteStorage
from tests.e2e.simulation import Simulation
from tests.waiting import wait_until

CONFIG = """
service: shop
alerts:
  busy: {expr: 'http_server_request_duration_seconds_count > 1e9'}
  typo: {expr: 'sum(rate(htpt_requests_total[1m])) > 1'}
  gone: {expr: 'absent(nobody_measures_this) < 0'}
rule_files: [own.yml]
"""
OWN = "groups: [{name: own, rules: [{record: 'a:b', expr: 'sum(nothing_of_the_kind)'}]}]\n"


def check(*arguments: str) -> str:
    said = CliRunner().invoke(app, ["check", *arguments])
    assert said.exit_code == 0, said.output
    return said.stderr


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OTELMON_STATE_DIR", str(tmp_path))
    (tmp_path / "otelmon.yaml").write_text(CONFIG)
    (tmp_path / "own.yml").write_text(OWN)
    simulation = Simulation(tmp_path / "otelmon.yaml")
    simulation.run(120, lambda: simulation.request("/a"))
    clock = simulation.clock
    folder = simulation.settings.state_dir
    folder.mkdir(exist_ok=True)
    SqliteStorage(folder / STATE_FILE).close()
    answers = Answers(simulation.engine, None, now=clock.now, monotonic=clock.monotonic)
    stop = threading.Event()
    server = ControlServer(folder, answers.answer, clock=SystemClock(), stop=stop, faults=Faults())
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until((folder / "control.sock").exists)
    yield tmp_path
    stop.set()
    server.wake()
    thread.join(30)


def test_a_selector_that_matches_nothing_in_the_running_app_is_told_with_its_place(running: Path) -> None:
    advice = [line for line in check().splitlines() if line.startswith("advice: ")]
    typo, own = advice
    assert typo.startswith("advice: otelmon.yaml:5: typo: htpt_requests_total matches")
    assert "matches no series in the running monitor, which has evaluated it for " in typo
    assert "own.yml:1: a:b: nothing_of_the_kind matches no series" in own
    assert "nothing_of_the_kind" in check("own.yml")
    (running / "own.yml").write_text(OWN.replace("nothing_of", "none_of"))
    assert "advice" not in check("own.yml"), "the app runs another rule"


def test_where_no_app_runs_there_is_no_such_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OTELMON_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "otelmon.yaml").write_text(CONFIG)
    (tmp_path / "own.yml").write_text(OWN)
    assert "advice" not in check()


def test_query_does_not_need_the_configuration_where_the_state_directory_is_named(running: Path) -> None:
    (running / "otelmon.yaml").write_text("service: [broken\n")
    refused = CliRunner().invoke(app, ["query", "1 + 1"])
    assert refused.exit_code == 1
    assert "otelmon.yaml" in refused.stderr
    assert "write --state-dir PATH" in refused.stderr
    for arguments in ((str(running),), (str(running / "shop"),), (str(running), "--service", "shop")):
        said = CliRunner().invoke(app, ["query", "1 + 1", "--state-dir", *arguments])
        assert said.exit_code == 0, said.output
        assert "2" in said.stdout
    lost = CliRunner().invoke(app, ["query", "1 + 1", "--state-dir", str(running / "nowhere")])
    assert (lost.exit_code, "no service keeps state" in lost.stderr) == (1, True)
