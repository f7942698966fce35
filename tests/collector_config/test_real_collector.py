"""Collectors themselves read the configurations, where one is installed: as much of them as it has components for."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.collector_config.components import VERSION
from tests.collector_config.documents import FOLDER, document, documents
from tests.collector_config.test_collector import CONFIGURATIONS, read

_NAMES = ("otelcol-contrib", "otelcontribcol", "otelcol")
_SECTIONS = ("receivers", "processors", "exporters", "connectors", "extensions")
_ENVIRONMENT = {
    "OTELMON_ENDPOINT": "http://127.0.0.1:4317",
    "BACKEND_ENDPOINT": "https://127.0.0.1:4317",
    "OTELMON_TOKEN": "token",
    "BACKEND_TOKEN": "token",
    "POD_IP": "127.0.0.1",
    "NODE_NAME": "node",
    "KUBERNETES_SERVICE_HOST": "127.0.0.1",
    "KUBERNETES_SERVICE_PORT": "443",
}


@pytest.fixture(scope="module")
def collector() -> str:
    """A collector on PATH."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(
            "no collector on PATH (otelcol-contrib): whether a real one takes the configurations, OTTL's grammar and"
            " what spanmetrics makes of spans were not checked, only options, names and order as they are documented"
        )
    return found


@pytest.fixture(scope="module")
def components(collector: str) -> dict[str, set[str]]:
    """The names of the components that it is built of."""
    text = subprocess.run([collector, "components"], capture_output=True, text=True, check=True, timeout=60).stdout
    (listed,) = documents(text)
    return {section: {each["name"] for each in listed.get(section) or []} for section in _SECTIONS}


def _validate(collector: str, config: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [collector, "validate", f"--config={path}"]
    return subprocess.run(
        command, env={**os.environ, **_ENVIRONMENT}, capture_output=True, text=True, check=False, timeout=60
    )


def _missing(config: dict[str, Any], components: dict[str, set[str]]) -> list[str]:
    return [
        f"{name} ({section})"
        for section in _SECTIONS
        for name in config.get(section) or {}
        if name.partition("/")[0] not in components[section]
    ]


def _cut(config: dict[str, Any], components: dict[str, set[str]]) -> dict[str, Any]:
    """What is left of it where some components are missing: one pipeline of logs, with all processors that there are.

    exporters are tried as otlphttp where there is no otlp: what is set here is called the same there.
    """

    def known(section: str) -> dict[str, Any]:
        return {
            name: options
            for name, options in (config.get(section) or {}).items()
            if name.partition("/")[0] in components[section]
        }

    exporters = known("exporters") or {
        name.replace("otlp/", "otlphttp/"): options for name, options in config["exporters"].items()
    }
    receivers = known("receivers") or {"filelog": {"include": ["/nowhere"]}}
    processors = known("processors")
    pipeline = {"receivers": [*receivers], "processors": [*processors], "exporters": [*exporters]}
    service = {**config["service"], "extensions": [*known("extensions")], "pipelines": {"logs": pipeline}}
    return {"receivers": receivers, "processors": processors, "exporters": exporters, "service": service}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_collector_takes_the_configuration(
    name: str, collector: str, components: dict[str, set[str]], tmp_path: Path
) -> None:
    config = read(name)
    missing = _missing(config, components)
    done = _validate(collector, _cut(config, components) if missing else config, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    if missing:
        pytest.skip(f"{Path(collector).name} took what it knows of it; it has no {', '.join(missing)}")


def test_a_collector_refuses_what_the_check_refuses(
    collector: str, components: dict[str, set[str]], tmp_path: Path
) -> None:
    for section, name, option in (
        ("processors", "batch", "timout"),
        ("processors", "memory_limiter", "limit_mb"),
        ("exporters", "otlp/otelmon", "insecure"),
    ):
        config = document((FOLDER / "agent.yaml").read_text(encoding="utf-8"))
        config[section][name][option] = 1
        done = _validate(collector, _cut(config, components) if _missing(config, components) else config, tmp_path)
        assert done.returncode != 0
        assert option in done.stdout + done.stderr


def test_it_is_of_the_version_that_the_options_are_of(collector: str) -> None:
    done = subprocess.run([collector, "--version"], capture_output=True, text=True, check=True, timeout=60)
    if VERSION not in done.stdout:
        pytest.skip(f"{done.stdout.strip()}: not {VERSION}, which the files and the table of options are for")
