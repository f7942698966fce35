"""What `otelmon run` makes of a process's end, of its silence, and of what it is given."""

from __future__ import annotations

import json
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from otelmon.config.load import load_settings
from otelmon.config.settings import Settings
from otelmon.runtime.alive import Alive
from otelmon.runtime.note import NOTE_VARIABLE, Note, is_run, read_note
from otelmon.runtime.outside import CHILD_PATH, child_environ, is_meant, said_of

Vector = list[dict[str, object]]


@pytest.mark.parametrize("code", [0, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP, 143, 130])
def test_an_end_that_somebody_wants_is_meant(code: int) -> None:
    assert is_meant(code)


@pytest.mark.parametrize("code", [1, 3, 137, 139, -signal.SIGKILL, -signal.SIGSEGV, -signal.SIGABRT])
def test_any_other_end_is_not(code: int) -> None:
    assert not is_meant(code)


def test_an_end_is_said_in_words() -> None:
    assert said_of(3) == "exit code 3"
    assert said_of(-9) == "killed by SIGKILL"
    assert said_of(-9, killed_for_memory=True) == "killed by SIGKILL, by the kernel for want of memory"
    assert said_of(-250) == "killed by signal 250"


def test_the_child_is_watched_unless_the_environment_says_otherwise(tmp_path: Path) -> None:
    note = tmp_path / "note"
    environ = child_environ({"PYTHONPATH": "/mine", "A": "b"}, note)
    assert environ == {
        "A": "b",
        "PYTHONPATH": f"{CHILD_PATH}:/mine",
        "OTELMON_ENABLED": "true",
        NOTE_VARIABLE: str(note),
    }
    assert child_environ({"OTELMON_ENABLED": "false"}, note)["OTELMON_ENABLED"] == "false"
    assert is_run(environ)
    assert not is_run({})


def test_a_note_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "note.json"
    assert read_note(path) is None
    path.write_text('{"service": "shop"')
    assert read_note(path) is None
    path.write_text(json.dumps({"service": "shop", "config_file": None, "paging": True, "reason": "paging: on"}))
    assert read_note(path) == Note(service="shop", config_file=None, paging=True, reason="paging: on")


class Monitor:
    """A monitor's control socket: ``vector`` is what it answers to any query, None nothing at all."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.vector: Vector | None = lag(0.01)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(folder / "control.sock"))
        self._listener.listen(8)
        self._kept: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._kept.append(connection)
            if self.vector is not None:
                connection.recv(65536)
                connection.sendall(json.dumps({"vector": self.vector}).encode() + b"\n")

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for connection in self._kept:
            connection.close()


def lag(seconds: float) -> Vector:
    return [{"labels": {}, "value": str(seconds)}]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    environ = {"OTELMON_STATE_DIR": str(tmp_path / "s"), "OTEL_SERVICE_NAME": "a"}
    (tmp_path / "otelmon.yaml").write_text("interval: 1s\n")
    return load_settings(None, environ=environ, directory=tmp_path)


@pytest.fixture
def monitor(settings: Settings) -> Iterator[Monitor]:
    opened = Monitor(settings.state_dir)
    yield opened
    opened.close()


def looks(alive: Alive, times: int = 2) -> str:
    return [alive.look() for _ in range(times)][-1]


def test_an_application_that_answers_is_alive(settings: Settings, monitor: Monitor) -> None:
    alive = Alive(settings, url=None)
    assert looks(alive) == ""
    assert alive.answers


def blocked(monitor: Monitor) -> None:
    monitor.vector = lag(7)


def unheard(monitor: Monitor) -> None:
    monitor.vector = []


def stopped(monitor: Monitor) -> None:
    monitor.vector = None


@pytest.mark.parametrize(
    ("fault", "said"),
    [(blocked, "blocked for 7 s"), (unheard, "not heard of"), (stopped, "does not answer")],
)
def test_what_does_not_answer_twice_in_a_row_is_down(
    settings: Settings, monitor: Monitor, fault: Callable[[Monitor], None], said: str
) -> None:
    alive = Alive(settings, url=None)
    looks(alive)
    fault(monitor)
    assert alive.look() == ""
    assert said in alive.look()
    assert not alive.answers
    monitor.vector = lag(0.01)
    assert looks(alive) == ""
    assert alive.answers


def test_a_loop_that_is_late_for_less_than_five_seconds_is_slow_and_not_down(
    settings: Settings, monitor: Monitor
) -> None:
    monitor.vector = lag(4.9)
    alive = Alive(settings, url=None)
    assert looks(alive, 3) == ""


def test_what_has_never_answered_is_starting(settings: Settings, monitor: Monitor) -> None:
    monitor.vector = []
    alive = Alive(settings, url="http://127.0.0.1:1/health")
    assert looks(alive, 3) == ""


def test_nobody_on_the_socket_is_no_news(settings: Settings, monitor: Monitor) -> None:
    alive = Alive(settings, url=None)
    looks(alive)
    (settings.state_dir / "control.sock").unlink()
    assert looks(alive, 3) == ""
    assert not alive.answers


@pytest.mark.parametrize("loop", [lag(0.01), []], ids=["a loop that is measured", "no loop is measured"])
def test_an_address_that_answers_with_an_error_is_down(settings: Settings, monitor: Monitor, loop: Vector) -> None:
    monitor.vector = loop
    status = [200]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status[0])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        alive = Alive(settings, url=f"http://127.0.0.1:{http.server_address[1]}/health")
        assert looks(alive) == ""
        status[0] = 503
        assert "answers 503" in looks(alive)
        status[0] = 404  # the application answers
        assert looks(alive) == ""
        assert alive.answers
        http.shutdown()
        thread.join()
