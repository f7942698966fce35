from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from opentelemetry.metrics import _internal as api
from opentelemetry.util._once import Once

import otelmon
from otelmon.collect import pipeline
from otelmon.runtime import monitor
from tests.waiting import PATIENCE_SECONDS


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of its own, a process in which nothing is declared or set; whatever was started is stopped."""
    for name in list(os.environ):
        if name.startswith(("OTEL", "DISCORD", "SENTRY", "UVICORN")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("OTELMON_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(api, "_METER_PROVIDER", None)
    monkeypatch.setattr(api, "_METER_PROVIDER_SET_ONCE", Once())
    monkeypatch.setattr(api, "_PROXY_METER_PROVIDER", api._ProxyMeterProvider())
    monkeypatch.setattr(pipeline, "_own", [])
    # How long an application waits for the engine, and for the last page, is too short for a machine full of tests.
    monkeypatch.setattr(monitor, "_READY_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(monitor, "_STOP_SECONDS", PATIENCE_SECONDS)
    yield tmp_path
    otelmon.stop()


@pytest.fixture
def configure(here: Path) -> Callable[[str], Path]:
    """Write otelmon.yaml."""

    def write(text: str) -> Path:
        path = here / "otelmon.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "otelmon")
