"""The scenes of `make demo-all`, as a person sees them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.e2e.served import REPOSITORY, clean_environ

pytestmark = pytest.mark.slow


def test_one_incident_goes_from_its_page_to_its_timeline() -> None:
    command = [sys.executable, "-m", "examples.demo", "--all"]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=clean_environ(), capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "scenes, at most" in done.stdout.splitlines()[1]
    for words in ("CRITICAL Error rate", "ACKNOWLEDGED by Ada Lovelace", "RESOLVED", "acknowledged by Ada Lovelace"):
        assert words in done.stdout
    assert "Every scene showed what it should" in done.stdout
