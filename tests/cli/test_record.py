"""`otelmon record`: what the running monitor measures becomes a file, and the monitor notices nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from otelmon.cli.main import app
from otelmon.clock import SystemClock
from otelmon.replay.recording import Recording
from otelmon.runtime.answers import Answers
from otelmon.runtime.control import SOCKET_FILE, ControlServer
from otelmon.storage.sqlite import STATE_FILE
from tests.e2e.simulation import Simulation
from tests.waiting import wait_until


@contextmanager
def running(simulation: Simulation, folder: Path) -> Iterator[None]:
    """The simulation behind the control socket, a tick of its own clock every few moments."""
    clock, stop = simulation.clock, threading.Event()
    answers = Answers(simulation.engine, None, now=clock.now, monotonic=clock.monotonic)
    server = ControlServer(folder, answers.answer, clock=SystemClock(), stop=stop, faults=simulation.faults)

    def tick() -> None:
        while not stop.wait(0.3):
            clock.advance(15.0)
            simulation.request(times=3)
            simulation.tick(deliver=False)

    threads = [threading.Thread(target=server.run), threading.Thread(target=tick)]
    for thread in threads:
        thread.start()
    try:
        wait_until((folder / SOCKET_FILE).exists)
        yield
    finally:
        stop.set()
        server.wake()
        for thread in threads:
            thread.join(30)


@pytest.mark.parametrize("name", ["day.jsonl", "day.jsonl.gz"])
def test_each_collection_is_recorded_once_and_is_read_again(name: str, tmp_path: Path) -> None:
    config, folder = tmp_path / "otelmon.yaml", tmp_path / "state" / "shop"
    config.write_text("service: shop\n", encoding="utf-8")
    folder.mkdir(parents=True)
    (folder / STATE_FILE).touch()
    simulation = Simulation(config)
    data = tmp_path / name
    with running(simulation, folder):
        asked = ["record", "--output", str(data), "--for", "3s", "--state-dir", str(tmp_path / "state")]
        said = CliRunner().invoke(app, asked)
        assert said.exit_code == 0, said.output
    recording = Recording(data)
    instants = [collection.at for collection in recording.collections()]
    assert said.stderr.strip() == f"{data}: {len(instants)} collections"
    assert len(instants) >= 2
    assert len(set(instants)) == len(instants)
    assert recording.problems == []
    assert not simulation.faults.counts


def test_what_is_not_new_is_not_said_again(tmp_path: Path) -> None:
    config = tmp_path / "otelmon.yaml"
    config.write_text("service: shop\n", encoding="utf-8")
    simulation = Simulation(config)
    answers = Answers(simulation.engine, None, now=simulation.clock.now, monotonic=simulation.clock.monotonic)
    assert answers.answer({"verb": "record"}) == {}
    simulation.run(15, simulation.request)
    said = answers.answer({"verb": "record"})
    assert json.loads(said["line"])["completeCollection"] is True
    assert answers.answer({"verb": "record", "known_at": said["at"]}) == {}


def test_without_a_monitor_that_runs_it_says_so(tmp_path: Path) -> None:
    (tmp_path / STATE_FILE).touch()
    asked = ["record", "--output", str(tmp_path / "day.jsonl"), "--state-dir", str(tmp_path)]
    refused = CliRunner().invoke(app, asked)
    assert refused.exit_code == 1
    assert "no monitor runs with the state directory" in refused.stderr
    assert not (tmp_path / "day.jsonl").exists()
    wrong = CliRunner().invoke(app, [*asked, "--for", "long"])
    assert "--for: 'long': write a duration" in wrong.stderr
