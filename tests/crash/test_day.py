"""Killed anywhere, the day goes on: nothing lost, nothing twice without need, nothing after an acknowledge.

The long run takes its extent from the environment: CRASH_POINTS (200), CRASH_PART (such as 2/4: the second quarter of
the points), CRASH_SECONDS (what is not begun by then is skipped, aloud).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.crash import day
from tests.crash.day import EXPECTED, KILLED, MINUTE, SILENCED

# Each life is a process of its own, forked from one that has imported what it needs and has done nothing else.
LIVES = multiprocessing.get_context("forkserver")
LIVES.set_forkserver_preload([day.__name__])
# Generous, for a machine that has other things to do; one life of the day takes some seconds.
LIFE_SECONDS = 300
# How much later than on the undisturbed day people may be told: a tick and a restart. Of an end some minutes:
# the new process has no series of failed requests, and no data is believed later than a zero.
LATE_SECONDS = 2 * MINUTE
RESOLVED_LATE_SECONDS = 6 * MINUTE


def live(folder: Path, kill_at: int = 0, script: str = "day") -> int:
    """Live the day in a process of its own, from where it stands; the exit code."""
    life = LIVES.Process(target=day.main, args=(folder, kill_at, script))
    life.start()
    life.join(LIFE_SECONDS)
    code = life.exitcode
    life.kill()
    life.join()
    life.close()
    assert code in {0, KILLED}, f"it ended with {code}; why is in the captured output"
    return code


def channel(folder: Path) -> list[dict[str, Any]]:
    """What the channel accepted, in order."""
    return [json.loads(line) for line in (folder / "channel").read_text(encoding="utf-8").splitlines()]


def told(messages: list[dict[str, Any]]) -> list[tuple[str, float]]:
    """What a person was told, each page once: why and about what, and when first."""
    found: dict[str, tuple[str, float]] = {}
    for message in messages:
        if message["action"] == "POST":
            about = "Error rate" if "Error rate" in message["title"] else "Response time"
            found.setdefault(message["page"], (f"{message['reason']} {about}", message["at"]))
    return list(found.values())


def story(messages: list[dict[str, Any]]) -> list[str]:
    """The same without the times."""
    return [line for line, _ in told(messages)]


def broken_silences(messages: list[dict[str, Any]]) -> list[str]:
    """The pages that came within a silence of what they are about, but for those that say it is over."""
    return [
        f"{message['page']} at {message['at']:.0f} s"
        for message in messages
        for begin, end in SILENCED.values()
        if begin < message["at"] < end and message["reason"] not in {"SILENCE_ENDING", "RESOLVED", "REFRESHED"}
    ]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same day without a kill."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert live(folder) == 0
    assert story(channel(folder)) == list(EXPECTED)
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
    where = f"killed at {kill_at}, {(folder / 'killed').read_text(encoding='utf-8')}"
    messages = channel(folder)
    assert story(messages) == list(EXPECTED), where
    assert broken_silences(messages) == [], where
    repeated = {page: count for page, count in Counter(m["page"] for m in messages).items() if count > 1}
    # Between the acceptance and the commit of its record nobody can know that the message arrived: one repetition.
    allowed = 0 if "before the send" in where else 1
    assert sum(count - 1 for count in repeated.values()) <= allowed, f"{where}: {repeated}"
    for (line, at), (_, due) in zip(told(messages), told(channel(undisturbed)), strict=True):
        bound = RESOLVED_LATE_SECONDS if line.startswith("RESOLVED") else LATE_SECONDS
        assert at - due <= bound, f"{where}: {line} came {at - due:.0f} s late"
    for incident in {m["incident"] for m in messages if m["reason"] == "ACKNOWLEDGED"}:
        reasons = [m["reason"] for m in messages if m["incident"] == incident and m["action"] == "POST"]
        assert list(dict.fromkeys(reasons)) == ["TRIGGERED", "RESOLVED"], where


@pytest.mark.parametrize("number", range(20))
def test_a_kill_at_a_point_of_the_day_loses_and_repeats_nothing(undisturbed: Path, tmp_path: Path, number: int) -> None:
    check(undisturbed, tmp_path, points(undisturbed, 20, seed=1)[number])


@pytest.mark.soak
def test_a_kill_at_any_of_many_points_loses_and_repeats_nothing(
    undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = points(undisturbed, int(os.environ.get("CRASH_POINTS", "200")), seed=2)
    part, parts = map(int, os.environ.get("CRASH_PART", "1/1").split("/"))
    mine = chosen[part - 1 :: parts]
    bound = float(os.environ.get("CRASH_SECONDS", "3600"))
    begun = time.monotonic()
    broken: list[str] = []
    for number, point in enumerate(mine, start=1):
        spent = time.monotonic() - begun
        if spent > bound:
            pytest.fail(f"{bound:.0f} s are over: {number - 1} of {len(mine)} points were tried, {len(broken)} broken")
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            check(undisturbed, folder, point)
        except AssertionError as error:
            broken.append(str(error))
        if number % 10 == 0 or number == len(mine):
            with capsys.disabled():
                print(f"\n{number} of {len(mine)} points after {time.monotonic() - begun:.0f} s, {len(broken)} broken")
    assert not broken, "\n".join(broken)
