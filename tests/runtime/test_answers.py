"""What the running monitor answers, on a clock that the test moves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from otelmon.runtime.answers import MOST_STEPS, Answers, number_text
from tests.e2e.simulation import Simulation

REQUESTS = "http_server_request_duration_seconds_count"
RULES = f"""
alerts:
  busy: {{expr: 'sum(rate({REQUESTS}[1m])) > 1', for: 5m}}
  unseen: {{expr: 'nobody_measures_this > 1'}}
  broken: {{expr: '{REQUESTS} + on (job) {REQUESTS} > 0'}}
"""


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    (tmp_path / "otelmon.yaml").write_text(RULES)
    made = Simulation(tmp_path / "otelmon.yaml")

    def second() -> None:
        made.request("/a", times=2)
        made.request("/b", times=2)

    made.run(180, second)
    return made


def ask(simulation: Simulation, **request: Any) -> dict[str, Any]:
    clock = simulation.clock
    said = Answers(simulation.engine, None, now=clock.now, monotonic=clock.monotonic).answer(request)
    assert json.loads(json.dumps(said, allow_nan=False)) is not None
    return said


def test_an_instant_query_is_answered_as_of_now_or_as_of_then(simulation: Simulation) -> None:
    said = ask(simulation, verb="query", expr=f"sum by (http_route) ({REQUESTS})")
    routes = {found["labels"]["http_route"]: found["value"] for found in said["vector"]}
    assert routes == {"/a": "360", "/b": "360"}
    assert said["at"] == simulation.clock.now()
    assert said["selected_series"] == 2
    then = ask(simulation, verb="query", expr=f"sum({REQUESTS})", at=simulation.clock.now() - 60)
    assert then["vector"] == [{"labels": {}, "value": "480"}]


def test_a_histogram_is_answered_by_its_count_and_sum(simulation: Simulation) -> None:
    said = ask(simulation, verb="query", expr="sum(http_server_request_duration_seconds)")
    assert said["vector"][0]["value"]["count"] == "720"


def test_a_range_query_has_a_point_each_step_and_says_since_when_samples_are_kept(simulation: Simulation) -> None:
    now = simulation.clock.now()
    said = ask(simulation, verb="query_range", expr=f"sum({REQUESTS})", start=now - 60, end=now, step=15)
    (series,) = said["matrix"]
    assert [value for _, value in series["values"]] == ["480", "540", "600", "660", "720"]
    assert [at - now for at, _ in series["values"]] == [-60, -45, -30, -15, 0]
    assert said["oldest_at"] == now - simulation.window.retention_seconds


def test_the_state_of_each_rule_is_told(simulation: Simulation) -> None:
    rules = {rule["name"]: rule for rule in ask(simulation, verb="rules")["rules"]}
    assert (rules["busy"]["pending"], rules["busy"]["firing"], rules["busy"]["problem"]) == (1, 0, "")
    assert rules["busy"]["evaluated_at"] == simulation.clock.now()
    assert rules["busy"]["took_seconds"] >= 0
    assert (rules["unseen"]["selected_series"], rules["unseen"]["problem"]) == (0, "")
    assert rules["broken"]["problem"]
    assert rules["unseen"]["unmatched"] == ["nobody_measures_this"]
    assert rules["busy"]["unmatched"] == []
    assert rules["unseen"]["evaluated_at"] - rules["unseen"]["evaluated_since"] >= 150
    assert (rules["busy"]["kind"], rules["busy"]["group"], rules["busy"]["line"]) == ("alert", "alerts", 3)


def test_the_snapshot_is_the_one_of_the_library(simulation: Simulation) -> None:
    assert ask(simulation, verb="snapshot")["snapshot"]["error_rate"] == 0.0


BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "knows no such request; it knows query, query_range, snapshot, rules, delivery, monitor, reload"),
    ({"verb": ["query"]}, "knows no such request"),
    ({"verb": "query"}, "an expression is expected"),
    ({"verb": "query", "expr": 5}, "an expression is expected"),
    ({"verb": "query", "expr": "sum("}, "1:5:"),
    ({"verb": "query", "expr": "up[5m]"}, "a range of samples; put a function around it"),
    ({"verb": "query", "expr": '"text"'}, "a string"),
    ({"verb": "query", "expr": "up", "at": "noon"}, "at: a number of seconds is expected"),
    ({"verb": "query", "expr": "up", "at": True}, "at: a number of seconds is expected"),
    ({"verb": "query", "expr": "up", "at": 1e400}, "at: a number of seconds is expected"),
    ({"verb": "query_range", "expr": "up", "start": 0, "end": 10}, "step: a number of seconds is expected"),
    ({"verb": "query_range", "expr": "up", "start": 0, "end": 10, "step": 0}, "a step of more than 0"),
    ({"verb": "query_range", "expr": "up", "start": 10, "end": 0, "step": 1}, "an end after its start"),
    ({"verb": "query_range", "expr": "up", "start": 0, "end": 1e6, "step": 1}, f"more than {MOST_STEPS}"),
    ({"verb": "query_range", "expr": "up", "start": 0, "end": 1e300, "step": 1e-9}, "more than"),
    ({"verb": "query", "expr": f"{REQUESTS} + on (job) {REQUESTS}"}, "many-to-many"),
    ({"verb": "reload"}, "was not started from files"),
]


@pytest.mark.parametrize(("request_", "said"), BAD, ids=[str(number) for number in range(len(BAD))])
def test_what_cannot_be_answered_is_told_in_words(simulation: Simulation, request_: dict[str, Any], said: str) -> None:
    assert said in ask(simulation, **request_)["error"]


def test_an_evaluation_that_looks_at_too_many_samples_is_refused_with_the_bound_named(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otelmon.runtime.answers.MOST_SAMPLES", 10)
    assert (
        "more than 10 samples"
        in ask(simulation, verb="query", expr=f"quantile_over_time(0.5, {REQUESTS}[5m])")["error"]
    )


def test_a_range_that_takes_too_long_is_given_up_so_that_the_tick_comes_in_time(simulation: Simulation) -> None:
    ticking = iter(range(1000))
    answers = Answers(simulation.engine, None, now=simulation.clock.now, monotonic=lambda: float(next(ticking)))
    now = simulation.clock.now()
    said = answers.answer({"verb": "query_range", "expr": "up", "start": now - 100, "end": now, "step": 1})
    assert "more than 2 s" in said["error"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(float("nan"), "NaN"), (float("inf"), "+Inf"), (float("-inf"), "-Inf"), (3.0, "3"), (0.1, "0.1"), (1e22, "1e+22")],
)
def test_numbers_are_written_as_prometheus_writes_them(value: float, text: str) -> None:
    assert number_text(value) == text
