"""The compose file fits together, and the check sees what would not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.collector_config.compose import problems
from tests.collector_config.documents import FOLDER, GRPC, HTTP, PUBLIC, document, is_pinned
from tests.collector_config.test_collector import read


def compose() -> dict[str, Any]:
    found = document((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def test_the_compose_file_has_no_problem() -> None:
    assert problems(compose(), FOLDER) == []


def test_the_gateway_sends_to_otelmon_by_its_name_and_applications_reach_the_gateway() -> None:
    services = compose()["services"]
    assert services["gateway"]["environment"]["OTELMON_ENDPOINT"] == f"http://otelmon:{GRPC}"
    assert services["gateway"]["ports"] == [f"127.0.0.1:{port}:{port}" for port in (GRPC, HTTP)]
    assert services["otelmon"]["ports"] == [f"127.0.0.1:{PUBLIC}:{PUBLIC}"]
    listens = [each["endpoint"] for each in read("gateway.yaml")["receivers"]["otlp"]["protocols"].values()]
    assert listens == [f"${{env:LISTEN:-127.0.0.1}}:{port}" for port in (GRPC, HTTP)]
    assert {each["environment"]["LISTEN"] for each in services.values()} == {"0.0.0.0"}


def test_otelmon_keeps_its_state_on_a_volume_and_is_asked_where_it_answers() -> None:
    otelmon = compose()["services"]["otelmon"]
    config = document((FOLDER / "otelmon.yaml").read_text(encoding="utf-8"))
    assert f"state:{config['state_dir']}" in otelmon["volumes"]
    assert f"http://127.0.0.1:{PUBLIC}/-/healthy" in otelmon["healthcheck"]["test"][-1]
    compile(otelmon["healthcheck"]["test"][-1], "healthcheck", "exec")


def test_the_image_is_built_of_one_version_and_runs_as_nobody_special() -> None:
    text = (FOLDER / "Containerfile").read_text(encoding="utf-8")
    (base,) = re.findall(r"^FROM (\S+)$", text, re.MULTILINE)
    assert is_pinned(base)
    (version,) = re.findall(r"otelmon\[server\]==([\d.]+)", text)
    assert compose()["services"]["otelmon"]["image"] == f"otelmon:{version}"
    assert "\nUSER 10001:10001\n" in text
    assert re.search(rf"^EXPOSE {GRPC} {HTTP} {PUBLIC}$", text, re.MULTILINE)
    kustomization = document((FOLDER / "kustomization.yaml").read_text(encoding="utf-8"))
    assert kustomization["images"][0]["newTag"] == version


VARIABLES = {
    "OTELMON_TOKEN": "0123456789abcdef",
    "DISCORD_WEBHOOK_URL": "http://discord",
    "BACKEND_ENDPOINT": "http://tempo:4317",
    "BACKEND_TOKEN": "abc",
}


def test_compose_itself_takes_the_file_and_asks_for_what_is_missing() -> None:
    command = _compose_command()
    if command is None:
        pytest.skip("neither docker-compose nor docker's plugin is there: compose itself has not read compose.yaml")

    def config(**variables: str) -> subprocess.CompletedProcess[str]:
        environ = {name: text for name, text in os.environ.items() if name not in VARIABLES} | variables
        return subprocess.run(
            [*command, "--file", str(FOLDER / "compose.yaml"), "config"],
            env=environ, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    done = config(**VARIABLES)
    assert done.returncode == 0, done.stderr
    assert document(done.stdout)["services"].keys() == {"otelmon", "gateway"}
    done = config(**{**VARIABLES, "OTELMON_TOKEN": ""})
    assert done.returncode != 0
    assert "a token of 16 characters or more" in done.stderr


def _compose_command() -> list[str] | None:
    docker = shutil.which("docker")
    if docker is not None:
        asked = subprocess.run([docker, "compose", "version"], capture_output=True, check=False, timeout=60)
        if asked.returncode == 0:
            return [docker, "compose"]
    alone = shutil.which("docker-compose")
    return None if alone is None else [alone]


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "an unknown section": (lambda c: c.update(service={}), "no key of a compose file"),
    "an unknown key": (lambda c: c["services"]["gateway"].update(imag="x"), "imag is no key of a service"),
    "an unknown key of health": (
        lambda c: c["services"]["otelmon"]["healthcheck"].update(period="1s"),
        "period is no key of a healthcheck",
    ),
    "latest": (lambda c: c["services"]["gateway"].update(image="otel/collector:latest"), "is no one version"),
    "no file to build from": (
        lambda c: c["services"]["otelmon"]["build"].update(dockerfile="Dockerfile"),
        "there is no Dockerfile",
    ),
    "a service that is not there": (
        lambda c: c["services"]["gateway"].update(depends_on={"server": {"condition": "service_started"}}),
        "server, which is no service",
    ),
    "health that nobody checks": (lambda c: c["services"]["otelmon"].pop("healthcheck"), "no healthcheck to wait for"),
    "a container that may all": (lambda c: c["services"]["gateway"].pop("cap_drop"), "more than it needs"),
    "a port for everybody": (lambda c: c["services"]["gateway"].update(ports=["4317:4317"]), "open to other machines"),
    "a volume that is not declared": (lambda c: c.pop("volumes"), "no volume is called state"),
    "a volume that is not used": (lambda c: c["volumes"].update(cache=None), "cache is not used"),
    "a file that is not there": (
        lambda c: c["services"]["gateway"].update(volumes=["./gate.yaml:/etc/x:ro"]),
        "there is no ./gate.yaml",
    ),
    "a file that may be written": (
        lambda c: c["services"]["gateway"].update(volumes=["./gateway.yaml:/etc/x"]),
        "may be written",
    ),
    "a variable that is not set": (
        lambda c: c["services"]["gateway"]["environment"].pop("BACKEND_ENDPOINT"),
        "reads BACKEND_ENDPOINT",
    ),
    "a secret written out": (
        lambda c: c["services"]["otelmon"]["environment"].update(OTELMON_TOKEN="x" * 32),
        "OTELMON_TOKEN: a secret",
    ),
    "a secret that may be missing": (
        lambda c: c["services"]["otelmon"]["environment"].update(OTELMON_TOKEN="${OTELMON_TOKEN:-}"),
        "OTELMON_TOKEN: a secret",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_the_check_sees(what: str) -> None:
    breaking, words = BROKEN[what]
    found = compose()
    breaking(found)
    assert any(words in problem for problem in problems(found, FOLDER)), problems(found, FOLDER)
