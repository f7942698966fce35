"""Every command and snippet of the README is run, and what it says of the code is so."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from otelmon.alerts.model import Alert, AlertState
from otelmon.cli.main import app as command
from otelmon.clock import SystemClock
from otelmon.config.load import load_settings
from otelmon.incidents.model import Change, Event, EventKind, Incident, IncidentState
from otelmon.labels import Labels
from otelmon.oncall.check import check
from otelmon.rules.load import load_rule_file
from otelmon.rules.model import Severity
from otelmon.runtime.answers import Answers
from otelmon.runtime.control import SOCKET_FILE, ControlServer
from otelmon.runtime.delivery import Delivery
from otelmon.runtime.reload import Reloader, RuleFiles
from otelmon.runtime.ticks import Ticks
from otelmon.runtime.vitals import Vitals
from otelmon.storage.sqlite import SqliteStorage
from otelmon.testing.discord import DiscordStandIn
from tests.e2e.simulation import Simulation
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
FRAMEWORKS = ROOT / "examples" / "frameworks"
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
PYTHON = [text for language, text in BLOCKS if language == "python"]
YAML = [text for language, text in BLOCKS if language == "yaml"]
# Which is which of the YAML blocks is told by how they begin, so that sections can be moved.
CONFIGURATION, RULES, RULES_TEST, TEAM = (
    next(text for text in YAML if text.startswith(words))
    for words in ("# otelmon's configuration, whole", "groups:", "rule_files:", "people:")
)
LINES = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines()]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a user's own, with no configuration and a clean environment."""
    for name in list(os.environ):
        if name.startswith(("OTEL", "DISCORD", "SENTRY")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("OTELMON_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def keep_an_incident(path: Path, incident_id: str) -> None:
    """State as a running app would have left it, with one open incident of this id."""
    at = datetime.now(UTC)
    alert = Alert(
        labels=Labels({"alertname": "error_rate", "job": "shop", "severity": "critical"}),
        severity=Severity.CRITICAL,
        state=AlertState.FIRING,
        active_at=at,
        fired_at=at,
        value=0.3,
    )
    event = Event(at=at, kind=EventKind.TRIGGERED)
    incident = Incident(
        id=incident_id, state=IncidentState.TRIGGERED, alerts=(alert,), triggered_at=at, timeline=(event,)
    )
    storage = SqliteStorage(path)
    storage.save(at, alerts={}, changes=[Change(incident=incident, event=event)])
    storage.close()


def keep_rules_and_their_test(folder: Path) -> None:
    """The README's rule file and its unit test, under the names that it gives them."""
    (folder / "rules.yml").write_text(RULES, encoding="utf-8")
    (folder / "rules_test.yml").write_text(RULES_TEST, encoding="utf-8")


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_each_python_snippet_runs(number: int, here: Path) -> None:
    (here / "app.py").write_text(PYTHON[number], encoding="utf-8")
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(FRAMEWORKS)])}
    done = subprocess.run(
        [sys.executable, "-W", "error", "app.py"],
        cwd=here,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_what_is_shown_of_a_framework_is_the_file_that_is_served_in_the_tests() -> None:
    shown = re.findall(r"<summary>[^<]+: ([\w/.]+)</summary>\n\n```python\n(.*?)```", README, re.DOTALL)
    assert len(shown) >= 4
    for file, text in shown:
        assert text == (FRAMEWORKS / file).read_text(encoding="utf-8"), file


def test_the_whole_configuration_is_the_one_that_init_writes(here: Path) -> None:
    assert CliRunner().invoke(command, ["init"]).exit_code == 0
    assert (here / "otelmon.yaml").read_text(encoding="utf-8") == CONFIGURATION
    assert load_settings(None, environ=os.environ, directory=here).alerting_rule("cart_failures") is not None


def test_the_rule_file_loads(here: Path) -> None:
    (here / "rules.yml").write_text(RULES, encoding="utf-8")
    (group,) = load_rule_file(here / "rules.yml")
    assert [rule.name for rule in group.rules] == ["cart_slow"]


def test_the_team_loads_and_nothing_is_missing_in_it(here: Path) -> None:
    (here / "otelmon.yaml").write_text(TEAM, encoding="utf-8")
    team = load_settings(None, environ=os.environ, directory=here).team
    assert team.policies.keys() == {"default"}
    assert check(team, datetime(2026, 12, 1, tzinfo=UTC)) == ()
    commented = CONFIGURATION.partition("# people:")[2].partition("\n\n")[0]
    (here / "otelmon.yaml").write_text("people:" + commented.replace("\n# ", "\n"), encoding="utf-8")
    whole = load_settings(None, environ=os.environ, directory=here).team
    assert whole.schedules.keys() == team.schedules.keys()
    assert whole.policies["default"].quiet is not None


def test_the_rule_files_unit_test_passes_and_fails_when_the_rule_changes(here: Path) -> None:
    keep_rules_and_their_test(here)
    assert CliRunner().invoke(command, ["test", "rules_test.yml"]).exit_code == 0
    (here / "rules.yml").write_text(RULES.replace("> 2", "> 5"), encoding="utf-8")
    changed = CliRunner().invoke(command, ["test", "rules_test.yml"])
    assert changed.exit_code == 1
    assert '- {alertname="cart_slow", severity="warning"}' in changed.output


@contextmanager
def a_monitor(folder: Path) -> Iterator[None]:
    """What `otelmon query`, `status` and `reload` ask: an engine behind the control socket."""
    empty = folder / "engine" / "otelmon.yaml"
    empty.parent.mkdir()
    empty.write_text("", encoding="utf-8")
    simulation = Simulation(empty)
    clock, stop = simulation.clock, threading.Event()
    files = RuleFiles(simulation.settings, lambda: simulation.settings)
    reloader = Reloader(files, simulation.engine, now=clock.now, on_reload=lambda _: None, faults=simulation.faults)
    ticks = Ticks(interval_seconds=15.0, monotonic=clock.monotonic, faults=simulation.faults)
    answers = Answers(
        simulation.engine,
        reloader,
        now=clock.now,
        monotonic=clock.monotonic,
        delivery=Delivery(["discord"], [], []),
        vitals=Vitals(simulation.settings, simulation.engine, ticks, simulation.faults, pages=True),
    )
    server = ControlServer(
        folder / "state" / "shop", answers.answer, clock=SystemClock(), stop=stop, faults=simulation.faults
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until((folder / "state" / "shop" / SOCKET_FILE).exists)
        yield
    finally:
        stop.set()
        server.wake()
        thread.join(30)


DAILY_TEAM = """
people: {ana: {discord: 112233445566778899}, bo: {discord: 223344556677889900}}
schedules:
  backend:
    time_zone: Europe/Lisbon
    layers: [{rotation: daily, start: 2026-01-05 09:00, participants: [ana, bo]}]
"""


def test_each_otelmon_command_does_what_it_is_shown_for(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_an_incident(here / "state" / "shop" / "state.db", "7KQ2")
    keep_rules_and_their_test(here)
    lines = [shlex.split(line) for line in LINES if line.startswith("otelmon ")]
    assert len(lines) >= 5
    with DiscordStandIn() as discord, a_monitor(here):
        monkeypatch.setenv("DISCORD_WEBHOOK_URL", discord.webhook_url)
        monkeypatch.setenv("DISCORD_ROLE_ID", "123456789012345678")
        for _, *arguments in lines:
            if arguments[0] == "init":
                (here / "otelmon.yaml").unlink(missing_ok=True)
            if arguments[0] == "oncall":
                (here / "otelmon.yaml").write_text(DAILY_TEAM, encoding="utf-8")
            if arguments[0] == "run":
                continue  # it serves until it is stopped: tests/e2e/test_run.py
            result = CliRunner().invoke(command, arguments)
            assert result.exit_code == 0, f"{arguments}: {result.output}"
        assert [ping.id for ping in discord.pings] == ["123456789012345678"]


def test_each_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"\bmake ([\w-]+)", README)
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_each_link_leads_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        if not link.startswith("http"):
            assert (ROOT / link).exists(), link


def test_each_link_within_leads_to_a_heading() -> None:
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    )
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    links = set(re.findall(r"\]\(#([^)]+)\)", README))
    assert links
    assert links <= anchors


def test_each_built_in_alert_is_listed_with_a_runbook() -> None:
    groups = load_rule_file(ROOT / "otelmon" / "rules" / "builtin.yml")
    names = {rule.name for group in groups for rule in group.rules}
    assert names == set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE))
    # All SLOs share one.
    assert {*names, "error_budget"} == {path.stem for path in (ROOT / "runbooks").glob("*.md")}
