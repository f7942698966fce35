"""Killed anywhere, the day goes on: no page or resolve lost, none twice without need, none after an acknowledge."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.crash.day import KILLED

ROOT = Path(__file__).parents[2]


def live(folder: Path, kill_at: int = 0, script: str = "day") -> int:
    """Live the day in a process of its own, from where it stands; the exit code."""
    command = [sys.executable, "-m", "tests.crash.day", str(folder), str(kill_at), script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in {0, KILLED}, done.stderr
    return done.returncode


def channel(folder: Path) -> list[dict[str, Any]]:
    """What the channel accepted, in order."""
    return [json.loads(line) for line in (folder / "channel").read_text(encoding="utf-8").splitlines()]


def story(messages: list[dict[str, Any]]) -> list[str]:
    """What a person was told, without the figures, each once: what was posted and about what."""
    told = [
        f"{m['reason']} {re.split(r'[0-9]| on ', m['title'])[0].strip()}" for m in messages if m["action"] == "POST"
    ]
    return [line for index, line in enumerate(told) if line not in told[max(0, index - 1) : index]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same day without a kill."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert live(folder) == 0
    return folder


def points(undisturbed: Path, count: int, seed: int) -> list[int]:
    """Half of the points anywhere in the day, half where a page is decided on, claimed, sent and recorded."""
    passed = json.loads((undisturbed / "points").read_text(encoding="utf-8"))
    choose = random.Random(seed)
    anywhere = [choose.randint(1, passed["count"]) for _ in range(count // 2)]
    sends = [passed["sends"][index % len(passed["sends"])] for index in range(count - count // 2)]
    return anywhere + [send + choose.randint(-20, 6) for send in sends]


def check(undisturbed: Path, folder: Path, kill_at: int) -> None:
    assert live(folder, kill_at) == KILLED
    assert live(folder) == 0
    where = (folder / "killed").read_text(encoding="utf-8")
    messages = channel(folder)
    assert story(messages) == story(channel(undisturbed)), f"killed at {kill_at}, {where}"
    repeated = {page: count for page, count in Counter(m["page"] for m in messages).items() if count > 1}
    # Between the acceptance and the commit of its record nobody can know that the message arrived: one repetition.
    allowed = 0 if where == "before the send" else 1
    assert sum(count - 1 for count in repeated.values()) <= allowed, f"killed at {kill_at}, {where}: {repeated}"
    for incident in {m["incident"] for m in messages if m["reason"] == "ACKNOWLEDGED"}:
        reasons = [m["reason"] for m in messages if m["incident"] == incident and m["action"] == "POST"]
        assert list(dict.fromkeys(reasons)) == ["TRIGGERED", "RESOLVED"]


@pytest.mark.parametrize("number", range(20))
def test_a_kill_at_a_point_of_the_day_loses_and_repeats_nothing(undisturbed: Path, tmp_path: Path, number: int) -> None:
    check(undisturbed, tmp_path, points(undisturbed, 20, seed=1)[number])


@pytest.mark.soak
@pytest.mark.parametrize("number", range(200))
def test_a_kill_at_any_of_many_points_loses_and_repeats_nothing(undisturbed: Path, tmp_path: Path, number: int) -> None:
    check(undisturbed, tmp_path, points(undisturbed, 200, seed=2)[number])
