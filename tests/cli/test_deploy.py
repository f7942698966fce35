"""`otelmon deploy`: what goes live is noted where the running monitor finds it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from otelmon.cli.main import app
from otelmon.incidents.noted import NotedKind
from otelmon.storage.sqlite import STATE_FILE, SqliteStorage

RUN = CliRunner()


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OTELMON_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    return tmp_path / "shop" / STATE_FILE


def test_a_deploy_is_noted(state: Path) -> None:
    SqliteStorage(state).close()
    result = RUN.invoke(app, ["deploy", "v2.3.1"])
    assert (result.exit_code, result.stdout) == (0, "noted the deploy of v2.3.1\n")
    storage = SqliteStorage(state)
    assert [(noted.kind, noted.text) for noted in storage.noted()] == [(NotedKind.DEPLOY, "v2.3.1")]
    storage.close()


@pytest.mark.parametrize("version", ["", " ", "a\nb", "x" * 201])
def test_what_is_no_version_is_refused(state: Path, version: str) -> None:
    SqliteStorage(state).close()
    result = RUN.invoke(app, ["deploy", version])
    assert result.exit_code == 1
    assert "a version is 1 to 200 printable characters" in result.stderr
