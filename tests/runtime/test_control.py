"""The control socket, with real sockets and processes."""

from __future__ import annotations

import json
import logging
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from otelmon.cli.main import app
from otelmon.clock import SystemClock
from otelmon.errors import StateError
from otelmon.faults import Faults
from otelmon.runtime.control import (
    MOST_ANSWER_BYTES,
    MOST_REQUEST_BYTES,
    SOCKET_FILE,
    ControlServer,
    ask,
    receive_line,
)
from tests.e2e.served import Served
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


def echo(request: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"said": request}


@contextmanager
def serving(
    folder: Path, answer: Callable[[Mapping[str, Any]], Mapping[str, Any]] = echo, faults: Faults | None = None
) -> Iterator[None]:
    stop = threading.Event()
    server = ControlServer(folder, answer, clock=SystemClock(), stop=stop, faults=faults or Faults())
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: answers(folder))
        yield
    finally:
        stop.set()
        server.wake()
        thread.join(30)
        assert not thread.is_alive()


def answers(folder: Path) -> bool:
    try:
        ask(folder, {})
    except StateError as error:
        return "no monitor" not in str(error)
    return True


def said(folder: Path, **request: Any) -> dict[str, Any] | None:
    """The answer, or None where nobody answers at this moment."""
    try:
        return ask(folder, request, timeout_seconds=1.0)  # a process that is stopped never answers
    except StateError:
        return None


def found(folder: Path, expr: str) -> bool:
    """Whether the process that evaluates has series of this expression."""
    return bool((said(folder, verb="query", expr=expr) or {}).get("vector"))


def connected(folder: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(30)
    client.connect(str(folder / SOCKET_FILE))
    return client


def test_a_request_is_answered_and_the_socket_is_the_users_alone(tmp_path: Path) -> None:
    with serving(tmp_path):
        assert ask(tmp_path, {"verb": "x", "n": 1}) == {"said": {"verb": "x", "n": 1}}
        mode = (tmp_path / SOCKET_FILE).stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
    assert not (tmp_path / SOCKET_FILE).exists()
    with pytest.raises(StateError, match="no monitor runs"):
        ask(tmp_path, {})


def test_a_state_directory_with_a_long_path_serves_too(tmp_path: Path) -> None:
    folder = tmp_path / ("a" * 100) / ("b" * 100)
    folder.mkdir(parents=True)
    with serving(folder):
        assert ask(folder, {"n": 2}) == {"said": {"n": 2}}


def test_the_socket_of_a_process_that_was_killed_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / SOCKET_FILE))
    with pytest.raises(StateError, match="no monitor runs"):
        ask(tmp_path, {})
    with serving(tmp_path):
        assert ask(tmp_path, {"n": 3}) == {"said": {"n": 3}}


OTHER = """
import sys, threading
from pathlib import Path
from otelmon.clock import SystemClock
from otelmon.faults import Faults
from otelmon.runtime.control import ControlServer
print("up", flush=True)
ControlServer(Path(sys.argv[1]), lambda _: {"name": sys.argv[2]}, clock=SystemClock(), stop=threading.Event(),
              faults=Faults()).run()
"""


@contextmanager
def process(folder: Path, name: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", OTHER, str(folder), name]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == b"up\n"
        try:
            yield started
        finally:
            started.kill()


def test_a_process_that_takes_over_takes_the_socket_whatever_became_of_the_one_before(tmp_path: Path) -> None:
    with process(tmp_path, "first") as first:
        wait_until(lambda: answers(tmp_path))
        first.send_signal(signal.SIGSTOP)
        with process(tmp_path, "second"):
            wait_until(lambda: said(tmp_path) == {"name": "second"})
            first.kill()
            first.wait()
            assert ask(tmp_path, {}) == {"name": "second"}


def test_a_socket_that_a_former_process_took_before_it_knew_better_is_taken_back(tmp_path: Path) -> None:
    with serving(tmp_path):
        with process(tmp_path, "former"):
            wait_until(lambda: said(tmp_path) == {"name": "former"})
        wait_until(lambda: said(tmp_path) == {"said": {}})


def test_whoever_asks_while_one_process_takes_over_from_another_is_answered(tmp_path: Path) -> None:
    with serving(tmp_path), process(tmp_path, "second"):
        deadline = time.monotonic() + 60
        # Refused, at most: a connection may be made to the socket that is just being given up.
        while (answer := said(tmp_path)) != {"name": "second"}:
            assert answers(tmp_path), "nobody listened for a moment"
            assert time.monotonic() < deadline, answer


@pytest.mark.parametrize("sent", [b"\n", b"[]\n", b"nonsense\n", b"\xff\xfe\n", b"[" * 50_000 + b"\n"])
def test_what_is_no_request_is_told_so(tmp_path: Path, sent: bytes) -> None:
    with serving(tmp_path), connected(tmp_path) as client:
        client.sendall(sent)
        said = json.loads(receive_line(client, most_bytes=10_000, deadline=time.monotonic() + 30))
        assert said == {"error": "a JSON object in one line is expected"}


def test_clients_that_send_too_much_or_leave_are_let_go_and_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    faults = Faults()
    with serving(tmp_path, faults=faults), caplog.at_level(logging.ERROR, "otelmon"):
        for _ in range(3):
            with connected(tmp_path) as client:
                client.shutdown(socket.SHUT_WR)
                assert client.recv(10) == b""
        with connected(tmp_path) as client, suppress(ConnectionError):
            client.sendall(b"x" * (MOST_REQUEST_BYTES + 1))
            assert client.recv(10) == b""
        assert ask(tmp_path, {"n": 4}) == {"said": {"n": 4}}
    assert faults.counts["control.client"] == 4
    assert sum("was let go" in record.getMessage() for record in caplog.records) == 2


def test_an_answer_that_is_too_long_is_an_error_that_names_the_bound(tmp_path: Path) -> None:
    with (
        serving(tmp_path, lambda _: {"text": "x" * MOST_ANSWER_BYTES}),
        pytest.raises(StateError, match=f"more than {MOST_ANSWER_BYTES} bytes"),
    ):
        ask(tmp_path, {})


def test_a_directory_that_is_not_there_is_counted_and_nothing_is_raised(tmp_path: Path) -> None:
    faults, stop = Faults(), threading.Event()
    server = ControlServer(tmp_path / "gone", echo, clock=SystemClock(), stop=stop, faults=faults)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: faults.counts["control"] == 1)
    stop.set()
    thread.join(30)
    assert not thread.is_alive()


RULES = """
groups:
  - name: g
    rules:
      - {alert: Always, expr: vector(1), labels: {severity: info}}
      - {record: "shop:requests", expr: "sum(http_server_active_requests)"}
"""


@pytest.mark.slow
def test_a_shop_that_runs_is_asked_and_reloaded_from_the_command_line(tmp_path: Path) -> None:
    config = "service: shop\ninterval: 1s\npaging: off\nrule_files: [rules.yml]\n"
    rules = tmp_path / "rules.yml"
    rules.write_text(RULES)
    environ = {"OTELMON_CONFIG": str(tmp_path / "otelmon.yaml")}
    with Served(tmp_path, config=config, target="examples.shop.app:app", environ=environ) as shop:
        state = tmp_path / "state" / "shop"
        wait_until(lambda: found(state, "ALERTS"))
        # Twice as a process of its own, which takes a second to start, and else the same command in this one.
        asked = as_process(shop, "query", "ALERTS")
        assert 'ALERTS{alertname="Always", alertstate="firing", severity="info"}' in asked.stdout
        assert "no series matches" in otelmon("query", "nobody").stdout
        wrong = otelmon("query", "sum(")
        assert (wrong.exit_code, wrong.stderr[:4]) == (1, "1:5:")
        over = json.loads(otelmon("query", "ALERTS_FOR_STATE", "--range", "5m", "--step", "1s", "--json").stdout)
        assert over["matrix"][0]["labels"]["alertname"] == "Always"

        rules.write_text(RULES.replace("vector(1)", "vector(1"))
        refused = as_process(shop, "reload")
        assert refused.returncode == 1
        assert "rules.yml:5:" in refused.stderr
        rules.write_text(RULES + "      - {alert: More, expr: vector(1)}\n")
        # It may have been seen before it was asked for, and is not new then.
        assert otelmon("reload").stdout.startswith("23 rules, ")
        wait_until(lambda: found(state, 'ALERTS{alertname="More"}'))
    assert "no monitor runs" in otelmon("query", "ALERTS").stderr
    assert "Traceback" not in shop.log


def otelmon(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def as_process(shop: Served, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "otelmon", *arguments]
    return subprocess.run(
        command, cwd=shop.folder, env=shop.environ, capture_output=True, text=True, check=False, timeout=120
    )
