"""A runner of jobs that forks: no child hangs, none counts what its parent had counted, all are evaluated once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.served import clean_environ

pytestmark = pytest.mark.slow
pytest.importorskip("fcntl")

RUNNER = """\
import json, os, sys, threading, time
import otelmon
from opentelemetry import metrics
from otelmon.errors import StateError
from otelmon.runtime.control import ask
from pathlib import Path

otelmon.start()
state = Path(os.environ["OTELMON_STATE_DIR"]) / "runner"
done = metrics.get_meter("jobs").create_counter("jobs")
otelmon.snapshot()
done.add(5)
collecting = threading.Event()


def collect():
    # Far more often than a tick does, so that forks fall into collections.
    from otelmon.runtime.monitor import running
    while not collecting.is_set():
        running()._watch._pipeline.reader.pull()


thread = threading.Thread(target=collect, daemon=True)
thread.start()
hung = 0
for number in range(int(sys.argv[1])):
    child = os.fork()
    if not child:
        done.add(0)  # would wait for ever for a lock of the SDK that nobody holds any more
        metrics.get_meter("jobs").create_histogram(f"job{number}").record(1)
        os._exit(0)
    until = time.monotonic() + 60
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        if time.monotonic() > until:
            hung += 1
            os.kill(child, 9)
            os.waitpid(child, 0)
            break
        time.sleep(0.002)
collecting.set()
thread.join(10)

child = os.fork()
if not child:
    done.add(7)
    otelmon.process_alert("error_rate", 0.5, {"job": "reports"})
    time.sleep(600)
    os._exit(0)


def asked(expr):
    try:
        vector = ask(state, {"verb": "query", "expr": expr})["vector"]
    except StateError:  # on a busy machine the child may have evaluated, and is gone now
        vector = []
    return float(vector[0]["value"]) if vector else 0.0


until = time.monotonic() + 120
while time.monotonic() < until and not (asked("sum(jobs_total)") >= 12 and asked("sum(ALERTS)") >= 1):
    time.sleep(0.1)
most = max(asked("sum(jobs_total)") for _ in range(5))
alerts = asked('sum(ALERTS{alertname="error_rate",alertstate="firing"})')
os.kill(child, 9)
os.waitpid(child, 0)
until = time.monotonic() + 120
while time.monotonic() < until and (
    list((state / "processes").glob(f"{child}-*.points")) or not asked("sum(jobs_total)")
):
    time.sleep(0.1)
print(json.dumps({"hung": hung, "jobs": most, "after": asked("sum(jobs_total)"), "alerts": alerts}), flush=True)
otelmon.stop()
"""
CONFIG = "service: runner\ninterval: 1s\npaging: on\n"


def run(folder: Path, forks: int) -> dict[str, float]:
    (folder / "otelmon.yaml").write_text(CONFIG, encoding="utf-8")
    (folder / "runner.py").write_text(RUNNER, encoding="utf-8")
    environ = clean_environ(OTELMON_STATE_DIR=str(folder / "state"))
    with subprocess.Popen(
        [sys.executable, "-W", "ignore::DeprecationWarning", "runner.py", str(forks)],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as runner:
        try:
            out, err = runner.communicate(timeout=600)
        finally:
            if runner.poll() is None:
                os.killpg(runner.pid, signal.SIGKILL)
    assert runner.returncode == 0, err
    assert "Traceback" not in err, err
    said: dict[str, float] = json.loads(out.splitlines()[-1])
    return said


def test_children_that_are_forked_while_metrics_are_collected_do_not_hang_and_count_on_their_own(
    tmp_path: Path,
) -> None:
    said = run(tmp_path, forks=40)
    assert said == {"hung": 0, "jobs": 12, "after": 12, "alerts": 1}, said


@pytest.mark.soak
def test_many_children_do_not_hang_either(tmp_path: Path) -> None:
    assert run(tmp_path, forks=1000)["hung"] == 0
