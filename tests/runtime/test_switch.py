"""Who is paged when: what `auto` decides, and that on and off are taken as said."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from fastapi import FastAPI

import otelmon
from otelmon.config.settings import PagingMode
from otelmon.errors import ConfigError
from otelmon.runtime.switch import decide_paging, development_sign

WEBHOOK = "https://discord.com/api/webhooks/123456789012345678/abcdefghijklmnopqrstuvwxyz0123456789"


@pytest.mark.parametrize(
    ("environment", "has_webhook", "development", "on", "reason"),
    [
        ("production", True, None, True, "this is production"),
        ("Production", False, None, True, "this is production"),
        ("prod", True, None, True, "this is production"),
        (None, True, None, True, "a webhook is set and no environment is declared"),
        (None, False, None, False, "neither an environment nor a webhook is set"),
        ("staging", True, None, False, "staging is not production"),
        ("development", True, None, False, "development is not production"),
        ("production", True, "running under pytest", False, "running under pytest"),
        (None, True, "the server runs with --reload", False, "--reload"),
    ],
)
def test_auto_pages_in_production_or_where_nothing_but_a_webhook_is_declared(
    environment: str | None, has_webhook: bool, development: str | None, on: bool, reason: str
) -> None:
    decision = decide_paging(PagingMode.AUTO, environment=environment, has_webhook=has_webhook, development=development)
    assert decision.on is on
    assert reason in decision.reason


@pytest.mark.parametrize("environment", ["production", "staging", None])
@pytest.mark.parametrize("has_webhook", [True, False])
@pytest.mark.parametrize("development", ["running under pytest", None])
def test_on_and_off_are_taken_as_said(environment: str | None, has_webhook: bool, development: str | None) -> None:
    for mode, on in ((PagingMode.ON, True), (PagingMode.OFF, False)):
        decision = decide_paging(mode, environment=environment, has_webhook=has_webhook, development=development)
        assert (decision.on, decision.reason) == (on, f"paging: {mode}")


UVICORN = ["/usr/bin/uvicorn", "app:app"]


@pytest.mark.parametrize(
    ("argv", "environ", "modules", "sign"),
    [
        (UVICORN, {}, {}, None),
        ([*UVICORN, "--reload"], {}, {}, "the server runs with --reload"),
        (UVICORN, {"UVICORN_RELOAD": "true"}, {}, "the server runs with --reload"),
        (["/usr/bin/fastapi", "dev", "app.py"], {}, {}, "the server runs as `fastapi dev`"),
        (["/usr/bin/fastapi", "run", "app.py"], {}, {}, None),
        (UVICORN, {"PYTEST_CURRENT_TEST": "test_app.py::test_x"}, {}, "running under pytest"),
        (UVICORN, {}, {"_pytest.runner": object()}, "running under pytest"),
        (UVICORN, {}, {"pytest": object()}, None),  # imported by somebody is not run by it
    ],
)
def test_what_tells_a_developers_process(
    argv: list[str], environ: dict[str, str], modules: dict[str, object], sign: str | None
) -> None:
    assert development_sign(FastAPI(), argv=argv, environ=environ, modules=modules) == sign


def test_an_app_in_debug_mode_is_a_developers() -> None:
    quiet = {"argv": UVICORN, "environ": {}, "modules": {}}
    assert development_sign(FastAPI(debug=True), **quiet) == "the app runs with debug=True"
    assert development_sign(None, **quiet) is None


def started(app: object = None, **how: str) -> otelmon.runtime.monitor.Monitor:
    return otelmon.start(app, **how)


def test_this_very_test_pages_nobody_even_in_production_with_a_webhook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTELMON_ENVIRONMENT", "production")
    monkeypatch.setenv("DISCORD_WEBHOOK_URL", WEBHOOK)
    monitor = started()
    assert not monitor.paging.on
    assert monitor.paging.reason == "running under pytest"


def serve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process look like a server's, not like pytest's (which says before each phase of a test that it runs)."""
    monkeypatch.setattr(sys, "argv", UVICORN)
    monkeypatch.delitem(sys.modules, "_pytest.runner")
    monkeypatch.delenv("PYTEST_CURRENT_TEST")


@pytest.mark.parametrize(
    ("variable", "value", "on"),
    [
        ("OTELMON_ENVIRONMENT", "production", True),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=production", True),
        ("SENTRY_ENVIRONMENT", "production", True),
        ("OTELMON_ENVIRONMENT", "staging", False),
        ("SENTRY_ENVIRONMENT", "dev", False),
        ("DISCORD_WEBHOOK_URL", WEBHOOK, True),
        ("OTELMON_SERVICE", "shop", False),
    ],
)
def test_start_decides_by_the_declared_environment_and_the_webhook(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, on: bool
) -> None:
    serve(monkeypatch)
    monkeypatch.setenv(variable, value)
    assert started(FastAPI()).paging.on is on


def test_the_first_declared_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch)
    monkeypatch.setenv("SENTRY_ENVIRONMENT", "production")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging")
    assert not started(FastAPI()).paging.on


@pytest.mark.parametrize(
    ("file", "variable", "argument", "on"),
    [
        ("off", None, None, False),
        ("on", None, None, True),
        ("on", "off", None, False),
        ("off", "on", None, True),
        ("off", "on", "off", False),
        ("off", "off", "on", True),
        ("off", "off", "auto", True),  # a webhook is set and nothing else
    ],
)
def test_the_argument_outweighs_the_variable_and_that_the_file(
    monkeypatch: pytest.MonkeyPatch,
    here: Path,
    file: str,
    variable: str | None,
    argument: str | None,
    on: bool,
) -> None:
    serve(monkeypatch)
    monkeypatch.setenv("DISCORD_WEBHOOK_URL", WEBHOOK)
    (here / "otelmon.yaml").write_text(f"paging: {file}\n", encoding="utf-8")
    if variable is not None:
        monkeypatch.setenv("OTELMON_PAGING", variable)
    assert otelmon.start(FastAPI(), paging=argument).paging.on is on


def test_a_paging_mode_that_is_none_is_refused_and_nothing_runs() -> None:
    with pytest.raises(ConfigError, match='write "auto", "on" or "off"'):
        otelmon.start(paging="sometimes")
    otelmon.stop()
    assert otelmon.start(paging="off").paging.reason == "paging: off"


def test_pytest_is_found_as_it_runs_this_file() -> None:
    assert "PYTEST_CURRENT_TEST" in os.environ
    assert development_sign(None, argv=[], environ={}, modules=sys.modules) == "running under pytest"
