"""Sentry's SDK: imported only where a DSN is set, and missed in words where it is not installed."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

import otelmon
from otelmon.errors import ConfigError
from tests.notify.sentry_stand_in import PUBLIC_KEY

DSN = f"https://{PUBLIC_KEY}@o1.ingest.sentry.io/42"


def test_without_a_dsn_nothing_of_sentry_is_imported(tmp_path: Path) -> None:
    program = """
import sys
from fastapi import FastAPI
from fastapi.testclient import TestClient
import otelmon

app = FastAPI(title="shop")
otelmon.start(app, paging="on")
with TestClient(app) as client:
    otelmon.snapshot()
print([name for name in sys.modules if name.startswith("sentry_sdk")])
"""
    environ = {name: text for name, text in os.environ.items() if not name.startswith(("OTEL", "DISCORD", "SENTRY"))}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**environ, "OTELMON_STATE_DIR": str(tmp_path), "PYTHONPATH": str(Path(otelmon.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_a_dsn_without_the_sdk_is_one_warning_that_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OTELMON_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("SENTRY_DSN", DSN)
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)  # what an import finds where it is not installed
    with caplog.at_level(logging.INFO):
        otelmon.start(paging="off")
        otelmon.snapshot()
        otelmon.stop()
    (warning,) = (record.getMessage() for record in caplog.records if "SENTRY_DSN" in record.getMessage())
    assert "pip install 'otelmon[sentry]'" in warning
    assert PUBLIC_KEY not in caplog.text


def test_what_is_no_dsn_is_an_error_that_names_the_variable_and_not_its_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SENTRY_DSN", f"https://{PUBLIC_KEY}@sentry.io/")
    with pytest.raises(ConfigError, match="SENTRY_DSN") as raised:
        otelmon.start(paging="off")
    assert PUBLIC_KEY not in str(raised.value)
