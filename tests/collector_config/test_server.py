"""`otelmon serve` takes the configuration that is given to it, and listens where everything else here sends to."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from otelmon.cli.main import app as command
from otelmon.config.load import load_settings
from otelmon.config.serve import ServeSettings
from tests.collector_config.documents import FOLDER, GRPC, HTTP, PUBLIC, ROOT

ENVIRONMENT = {
    "OTELMON_TOKEN": "0123456789abcdef",
    "DISCORD_WEBHOOK_URL": "https://discord.com/api/webhooks/123456789012345678/" + "x" * 68,
    "BACKEND_ENDPOINT": "http://tempo:4317",
    "BACKEND_TOKEN": "abc",
}


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_configuration_is_taken_and_the_ports_are_those_of_all_other_files(host: str) -> None:
    environ = {**ENVIRONMENT, "LISTEN": host}
    settings = load_settings(FOLDER / "otelmon.yaml", environ=environ, directory=FOLDER, server=True)
    listens = settings.serve
    assert (listens.host, listens.grpc_port, listens.http_port) == (host, GRPC, HTTP)
    assert (listens.public.host, listens.public.port) == (host, PUBLIC)
    assert listens.tokens.keys() == {"fleet"}
    assert not settings.forward
    assert {path.name for path in settings.rule_files} == {"host.yml", "scrape.yml"}
    assert settings.alerting_rule("target_down") is not None


def test_what_is_shown_of_forwarding_is_taken_as_it_stands(tmp_path: Path) -> None:
    text = (FOLDER / "otelmon.yaml").read_text(encoding="utf-8")
    (line,) = re.findall(r"^# (forward: .*)$", text, re.MULTILINE)
    (tmp_path / "otelmon.yaml").write_text(line, encoding="utf-8")
    settings = load_settings(tmp_path / "otelmon.yaml", environ=ENVIRONMENT, directory=tmp_path, server=True)
    (target,) = settings.forward
    assert target.place == "tempo:4317"
    assert target.protocol == "grpc"


def test_the_ports_are_the_ones_that_serve_has_by_itself() -> None:
    own = ServeSettings()
    assert (own.host, own.grpc_port, own.http_port) == ("127.0.0.1", GRPC, HTTP)
    assert (own.public.host, own.public.port) == ("127.0.0.1", PUBLIC)


def test_what_the_image_installs_is_there() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    (extra, version) = re.findall(
        r"otelmon\[(\w+)\]==([\d.]+)", (FOLDER / "Containerfile").read_text(encoding="utf-8")
    )[0]
    assert extra in project["optional-dependencies"]
    assert version == project["version"]


def test_the_check_before_the_start_takes_it_and_says_when_a_token_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(command, ["check", str(FOLDER / "otelmon.yaml")])
    assert done.exit_code == 0, done.output
    monkeypatch.setenv("OTELMON_TOKEN", "")
    done = CliRunner().invoke(command, ["check", str(FOLDER / "otelmon.yaml")])
    assert done.exit_code == 1
    assert "serve.tokens" in done.output
