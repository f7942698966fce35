"""Killed at any step of an escalation, the process goes on with it: no step is skipped, none is taken twice."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from tests.crash.day import DOWN_SECONDS, KILLED, MINUTE
from tests.crash.test_day import channel, live

# In the tick that decides, and between the acceptance and the record.
AROUND_A_SEND = (-9, 1)
AROUND_MORE = (-25, -20, -17, -14, -12, -7, -5, -4, -2, -1, 0, 2, 3, 4, 5, 6)
ANA, BO, CY = "1" * 18, "2" * 18, "3" * 18
TOLD = [
    ("TRIGGERED", [ANA]),
    ("ESCALATED", [BO]),
    ("ESCALATED", [CY]),
    ("ESCALATED", [ANA]),
    ("RESOLVED", []),
]
WAITS = (5 * MINUTE, 7 * MINUTE, 4 * MINUTE)
TICK = 60


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert live(folder, script="escalation") == 0
    return folder


def posts(folder: Path) -> list[dict[str, object]]:
    return [message for message in channel(folder) if message["action"] == "POST"]


def step_sends(undisturbed: Path) -> list[int]:
    """The points before the sends of each new message."""
    sends = json.loads((undisturbed / "points").read_text(encoding="utf-8"))["sends"]
    actions = [message["action"] for message in channel(undisturbed)]
    return [point for point, action in zip(sends, actions, strict=True) if action == "POST"]


def check(folder: Path, where: str) -> None:
    messages = posts(folder)
    first = list({message["page"]: message for message in reversed(messages)}.values())[::-1]
    told = sorted(first, key=lambda message: message["at"])
    assert [(message["reason"], message["mentions"]) for message in told] == TOLD, where
    # The one message whose acceptance nobody could write down may come a second time.
    assert len(messages) - len(first) <= (0 if where == "before the send" else 1), where
    for (earlier, later), wait in zip(itertools.pairwise(told[:4]), WAITS, strict=True):
        # A page that was decided before the kill is sent a tick after the restart.
        assert abs(later["at"] - earlier["at"] - wait) <= TICK + DOWN_SECONDS, where


def test_undisturbed_it_goes_through_its_steps_until_somebody_answers(undisturbed: Path) -> None:
    check(undisturbed, "nowhere")


@pytest.mark.parametrize("step", range(4))
@pytest.mark.parametrize(
    "offset", [*AROUND_A_SEND, *(pytest.param(offset, marks=pytest.mark.soak) for offset in AROUND_MORE)]
)
def test_a_kill_at_a_step_neither_skips_nor_repeats_a_decision(
    undisturbed: Path, tmp_path: Path, step: int, offset: int
) -> None:
    kill_at = step_sends(undisturbed)[step] + offset
    assert live(tmp_path, kill_at, "escalation") == KILLED
    assert live(tmp_path, script="escalation") == 0
    check(tmp_path, (tmp_path / "killed").read_text(encoding="utf-8"))
