"""goalert's cases, where they lie beside the repository."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conformance.oncall import main, run, run_case

FILES = {
    "goalert_oncall_notification_times": 12,
    "goalert_rotation_handoffs_dst": 16,
    "goalert_scenarios": 13,
    "goalert_schedule_shifts": 18,
}


def folder() -> Path:
    for parent in Path(__file__).resolve().parents:
        found = parent.parent / "shared" / "conformance" / "oncall"
        if found.is_dir():
            return found
    pytest.skip("goalert's cases are not beside this repository")


@pytest.mark.parametrize("name", FILES)
def test_goalert_agrees(name: str) -> None:
    results = list(run(folder() / f"{name}.json"))
    assert len(results) == FILES[name]
    assert [(id_, wrong) for id_, wrong in results if wrong] == []


def test_the_runner_finds_a_wrong_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = {"scheduled": ["ana"], "active_overrides": [{"add": "bo"}]}
    cases = [
        {"id": "right", "input": given, "expected": {"on_call": ["ana", "bo"]}},
        {"id": "wrong", "input": given, "expected": {"on_call": ["ana"]}},
    ]
    path = tmp_path / "cases.json"
    path.write_text(json.dumps({"cases": cases}))
    assert main([str(path)]) == 1
    printed = capsys.readouterr().out
    assert "wrong: expected" in printed
    assert printed.endswith("1 of 2 cases pass\n")


def test_a_case_of_a_kind_that_is_not_known_fails() -> None:
    assert "no such kind" in run_case({"id": "new", "input": {"moon": 1}, "expected": {}})
