"""A process that forwards and is killed by kill -9: the next one sends what it owed."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from otelmon.faults import Faults
from otelmon.server.forward.forwarder import Forwarder
from tests.server.forward.backend import http_backend
from tests.server.forward.feeder import target

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
@pytest.mark.parametrize("up", [False, True], ids=["backend down", "backend up"])
def test_nothing_that_was_handed_in_is_lost(up: bool, tmp_path: Path) -> None:
    with http_backend() as backend:
        command = [
            sys.executable,
            "-m",
            "tests.server.forward.feeder",
            str(tmp_path),
            backend.url if up else "http://127.0.0.1:1",
        ]
        feeder = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert feeder.stdout is not None
        said: list[str] = []
        # It goes on handing in only as long as somebody reads what it says.
        while len(said) < 500 or (up and len(backend.taken) < 2):
            said.append(next(feeder.stdout))
        feeder.send_signal(signal.SIGKILL)
        said += feeder.stdout
        feeder.stdout.close()
        assert feeder.wait() == -signal.SIGKILL
        # What was said last may be half a line; it was handed in all the same.
        handed_in = len(said) - (not said[-1].endswith("\n"))
        before = len(backend.values())
        forwarder, stop = Forwarder((target(backend.url),), directory=tmp_path, faults=Faults()), threading.Event()
        running = threading.Thread(target=forwarder.run, args=(stop,))
        running.start()
        backend.wait(lambda: handed_in - 1 in backend.values())
        stop.set()
        running.join()
    values = backend.values()
    assert list(dict.fromkeys(values)) == list(range(max(values) + 1))
    assert max(values) + 1 >= handed_in
    # What was on its way when it was killed may come twice, and once only if there was nothing on its way.
    assert len(values) == len(set(values)) or before
