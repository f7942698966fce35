"""The systemd units are ones that systemd takes, and leave open what they have to and no more."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.collector_config.collector import variables
from tests.collector_config.documents import FOLDER, document
from tests.collector_config.units import problems, settings

UNIT = (FOLDER / "systemd" / "otelmon.service").read_text(encoding="utf-8")
DROP_IN = (FOLDER / "systemd" / "otelcol-contrib.service.d" / "otelmon.conf").read_text(encoding="utf-8")
# Its state, its secrets, and the network it listens on: 1.1 of 10 where this was written.
_MOST_EXPOSED = 15


def value(key: str, text: str = UNIT) -> str:
    (found,) = (each for _, name, each in settings(text) if name == key)
    return found


def test_the_units_have_no_problem() -> None:
    assert problems(UNIT) == []
    assert problems(DROP_IN, hardened=False) == []


def test_the_service_runs_what_there_is_where_it_may_write() -> None:
    config = document((FOLDER / "otelmon.yaml").read_text(encoding="utf-8"))
    assert value("ExecStart").partition(" ")[2] == "serve --config /etc/otelmon/otelmon.yaml"
    assert value("ExecStartPre").partition(" ")[2] == "check /etc/otelmon/otelmon.yaml"
    assert config["state_dir"] == f"/var/lib/{value('StateDirectory')}"


def test_the_environment_file_names_what_the_configuration_reads() -> None:
    text = (FOLDER / "systemd" / "otelmon.env").read_text(encoding="utf-8")
    given = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
    _, read = variables((FOLDER / "otelmon.yaml").read_text(encoding="utf-8"))
    assert given.keys() == read
    assert {name for name, each in given.items() if each} == {"LISTEN"}  # no secret comes with it
    assert value("EnvironmentFile") == "/etc/otelmon/otelmon.env"


def test_the_agents_drop_in_names_the_configuration_and_its_variables() -> None:
    needed, _ = variables((FOLDER / "agent.yaml").read_text(encoding="utf-8"))
    assert needed == set(re.findall(r"\b([A-Z_]+)=\S+,? ?", DROP_IN.partition("[Unit]")[0]))
    path = value("Environment", DROP_IN).removeprefix("OTELCOL_OPTIONS=--config=")
    assert f"cp agent.yaml {path}" in DROP_IN


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("RestartSec=", "RestartSecs=", "RestartSecs: there is no such setting"),
        ("[Install]", "[Installation]", "[Installation] WantedBy: there is no such setting"),
        ("UMask=0077", "Environment=OTELMON_TOKEN=abc", "a secret in a unit"),
        ("ExecStart=/opt/otelmon/bin/", "ExecStart=", "no absolute path"),
        ("NoNewPrivileges=yes", "NoNewPrivileges=no", "NoNewPrivileges=yes is missing"),
    ],
)
def test_the_check_sees(old: str, new: str, words: str) -> None:
    assert any(words in each for each in problems(UNIT.replace(old, new))), problems(UNIT.replace(old, new))


def test_the_check_sees_a_line_that_is_no_setting() -> None:
    with pytest.raises(ValueError, match="is no setting"):
        problems(UNIT + "WantedBy\n")


@pytest.fixture
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("no systemd-analyze on PATH: systemd itself has not read the units")
    return found


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with a command that this machine has."""
    path = tmp_path / "otelmon.service"
    path.write_text(UNIT.replace("/opt/otelmon/bin/otelmon", shutil.which("true") or "/bin/true"), encoding="utf-8")
    return path


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_systemd_takes_the_unit(analyze: str, unit: Path) -> None:
    done = run(analyze, "verify", unit)
    # Other units of the machine may have faults of their own.
    assert [line for line in done.stderr.splitlines() if "otelmon" in line] == []
    unit.write_text(unit.read_text(encoding="utf-8").replace("ProtectClock=", "ProtectClocks="), encoding="utf-8")
    assert "ProtectClocks" in run(analyze, "verify", unit).stderr


def test_little_is_left_open(analyze: str, unit: Path) -> None:
    done = run(analyze, "security", "--offline=yes", f"--threshold={_MOST_EXPOSED}", unit)
    if "unrecognized option" in done.stderr:
        pytest.skip("systemd-analyze cannot judge a unit that is not loaded: its exposure was not measured")
    assert done.returncode == 0, done.stdout + done.stderr
    unit.write_text(unit.read_text(encoding="utf-8").replace("CapabilityBoundingSet=\n", ""), encoding="utf-8")
    assert run(analyze, "security", "--offline=yes", f"--threshold={_MOST_EXPOSED}", unit).returncode != 0
