"""What an application's start pays for otelmon, seen from fresh processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_HEAVY = "{name for name in ('numpy', 'sqlalchemy', 'httpx', 'sqlite3', 'matplotlib') if name in sys.modules}"


def run(program: str, directory: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=directory, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("module", ["otelmon", "otelmon.promql.parse", "otelmon.rules.load", "otelmon.config.load"])
def test_importing_loads_nothing_that_only_evaluation_needs(module: str, tmp_path: Path) -> None:
    assert run(f"import sys, {module}; print({_HEAVY} or 'nothing')", tmp_path) == "nothing"


def test_starting_on_an_app_loads_nothing_that_only_evaluation_needs(tmp_path: Path) -> None:
    program = f"""
import sys, threading
from fastapi import FastAPI
import otelmon

app = FastAPI(title="shop")
otelmon.start(app, paging="off")
print({_HEAVY} or "nothing", threading.active_count())
"""
    assert run(program, tmp_path) == "nothing 1"


def test_the_process_that_pages_draws_nothing_itself(tmp_path: Path) -> None:
    program = "import sys, otelmon.runtime.assemble, otelmon.notify.chart_child; print('matplotlib' in sys.modules)"
    assert run(program, tmp_path) == "False"


def test_importing_is_quick(tmp_path: Path) -> None:
    # CPU time, which other work on the machine does not lengthen; about 0.012 s where this was written.
    program = "import time; t = time.process_time(); import otelmon; print(time.process_time() - t)"
    assert min(float(run(program, tmp_path)) for _ in range(3)) < 0.2
