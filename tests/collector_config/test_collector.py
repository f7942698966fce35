"""Each collector configuration is one that its components' documentation allows, and the check sees what is not."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.collector_config.collector import problems, statements, variables
from tests.collector_config.components import VERSION
from tests.collector_config.documents import FOLDER, document

CONFIGURATIONS = ("agent.yaml", "gateway.yaml", "sidecar.yaml", "prometheus.yaml", "kubernetes/agent-config.yaml")

Breaking = Callable[[dict[str, Any]], Any]


def read(name: str) -> dict[str, Any]:
    found = document((FOLDER / name).read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_configuration_has_no_problem(name: str) -> None:
    assert problems(read(name)) == []


def test_no_configuration_is_forgotten() -> None:
    found = {
        str(path.relative_to(FOLDER))
        for path in FOLDER.rglob("*.yaml")
        if re.search(r"^(receivers|exporters):", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert found == set(CONFIGURATIONS)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_otelmon_is_sent_to_with_a_token_from_the_environment_and_for_as_long_as_it_decides_about_pages(
    name: str,
) -> None:
    exporter = read(name)["exporters"]["otlp/otelmon"]
    assert exporter["headers"] == {"authorization": "Bearer ${env:OTELMON_TOKEN}"}
    assert exporter["endpoint"] == "${env:OTELMON_ENDPOINT}"
    assert exporter["retry_on_failure"]["max_elapsed_time"] == "5m"


@pytest.mark.parametrize("name", [name for name in CONFIGURATIONS if "/" not in name])
def test_its_comment_says_which_variables_it_needs(name: str) -> None:
    head, _, rest = (FOLDER / name).read_text(encoding="utf-8").partition("receivers:")
    needed, _ = variables(rest)
    assert needed == set(re.findall(r"\b([A-Z_]{5,})=", head)) - {"LISTEN", "OTEL_EXPORTER_OTLP_ENDPOINT"}


def test_the_node_agent_differs_from_the_agent_only_where_a_pod_does() -> None:
    agent, node = read("agent.yaml"), read("kubernetes/agent-config.yaml")
    assert node["exporters"] == agent["exporters"]
    assert set(node["service"]["pipelines"]) == set(agent["service"]["pipelines"])
    for name in ("memory_limiter", "batch", "resource/host"):
        assert node["processors"][name] == agent["processors"][name]
    host, node_host = agent["receivers"]["hostmetrics"], node["receivers"]["hostmetrics"]
    assert set(host["scrapers"]) - set(node_host["scrapers"]) == {"network"}
    assert node_host["scrapers"]["filesystem"] == host["scrapers"]["filesystem"]


def _set(*path: Any, to: Any) -> Breaking:
    def breaking(config: dict[str, Any]) -> None:
        at: Any = config
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = to

    return breaking


_PIPELINES = ("service", "pipelines")
BROKEN: dict[str, tuple[Breaking, str]] = {
    "a section of no collector": (_set("recievers", to={}), "no section"),
    "an unknown component": (lambda c: c["processors"].update({"batcher": {}}), "no component of this name"),
    "an option that is not there": (_set("processors", "batch", "timout", to="1s"), "timout is no option"),
    "an option deep inside": (_set("exporters", "otlp/otelmon", "tls", "insecur", to=True), "insecur is no option"),
    "an option in a list": (_set("connectors", "spanmetrics/requests", "dimensions", 0, "nam", to="x"), "nam is no"),
    "options that are a text": (_set("exporters", "otlp/otelmon", "tls", to="off"), "a section of options"),
    "an option of service": (_set("service", "pipeline", to={}), "pipeline is no option"),
    "an undefined receiver": (_set(*_PIPELINES, "logs", "receivers", to=["otlp", "otlp/2"]), "otlp/2 is not defined"),
    "an undefined processor": (
        _set(*_PIPELINES, "logs", "processors", to=["memory_limiter", "nothing", "batch"]),
        "nothing is not defined",
    ),
    "an undefined exporter": (_set(*_PIPELINES, "logs", "exporters", to=["otlp"]), "otlp is not defined"),
    "an undefined extension": (_set("service", "extensions", to=["health_check"]), "health_check is not defined"),
    "nothing that receives": (_set(*_PIPELINES, "logs", "receivers", to=[]), "has no receivers"),
    "a signal that there is not": (_set(*_PIPELINES, "events", to={"receivers": ["otlp"]}), "no signal"),
    "an unused processor": (lambda c: c["processors"].update({"batch/2": {}}), "batch/2 is defined and not used"),
    "an unused receiver": (lambda c: c["receivers"].update({"hostmetrics": {}}), "hostmetrics is defined and not used"),
    "a signal that is not taken": (
        lambda c: c.update(receivers={"otlp": c["receivers"].pop("otlp"), "hostmetrics": {}})
        or c["service"]["pipelines"]["logs"]["receivers"].append("hostmetrics"),
        "hostmetrics takes no logs",
    ),
    "a connector with one end": (
        lambda c: c["service"]["pipelines"]["traces"].update({"exporters": ["otlp/backend"]}),
        "forward/requests joins no two",
    ),
    "a connector of other signals": (
        lambda c: c["service"]["pipelines"]["logs"]["receivers"].append("spanmetrics/requests"),
        "makes no logs of traces",
    ),
    "memory_limiter second": (
        _set(*_PIPELINES, "logs", "processors", to=["batch", "memory_limiter", "batch"]),
        "memory_limiter is not its first",
    ),
    "memory_limiter behind a connector": (
        lambda c: c["service"]["pipelines"]["traces/requests"]["processors"].insert(0, "memory_limiter"),
        "behind a connector",
    ),
    "batch not last": (
        _set(*_PIPELINES, "logs", "processors", to=["memory_limiter", "batch", "transform/instance"]),
        "batch is not its last",
    ),
    "a token written out": (
        _set("exporters", "otlp/otelmon", "headers", to={"authorization": "Bearer abc"}),
        "written out",
    ),
    "a password in an address": (
        _set("exporters", "otlp/backend", "endpoint", to="http://ana:secret@tempo:4317"),
        "a password in an address",
    ),
    "a variable in the old way": (_set("exporters", "otlp/otelmon", "endpoint", to="${OTELMON}"), "write ${env:NAME}"),
    "a bare dollar sign": (_set("exporters", "otlp/otelmon", "endpoint", to="http://$HOST:4317"), "write ${env:NAME}"),
    "a port that nobody sends to": (
        _set("receivers", "otlp", "protocols", "grpc", "endpoint", to="127.0.0.1:4417"),
        "and not on port 4317",
    ),
    "the other protocol's port": (
        _set("exporters", "otlp/otelmon", "endpoint", to="http://otelmon:4318"),
        "another protocol's port",
    ),
    "a function that OTTL has not": (
        _set("processors", "transform/requests", "metric_statements", 0, to='sett(metric.name, "x")'),
        "no function of OTTL is called sett",
    ),
    "a path that OTTL has not": (
        _set("processors", "transform/requests", "metric_statements", 0, to='set(metrics.name, "x")'),
        "metrics.name is no path",
    ),
    "a condition of another context": (
        _set("processors", "filter/requests", "traces", "span", 0, to="severity_number < 9"),
        "severity_number is no path",
    ),
    "a bracket left open": (
        _set("processors", "transform/requests", "metric_statements", 0, to='set(metric.name, "x"'),
        "not closed",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_the_check_sees(what: str) -> None:
    breaking, words = BROKEN[what]
    config = read("gateway.yaml")
    breaking(config)
    found = problems(config)
    assert any(words in problem for problem in found), found


def test_the_check_sees_a_detector_that_there_is_not() -> None:
    config = read("agent.yaml")
    config["processors"]["resourcedetection"]["detectors"] = ["env", "sytem"]
    assert problems(config) == ["processors.resourcedetection: no detector is called sytem"]


@pytest.mark.parametrize("text", ["a: !!python/object/apply:os.getcwd []", "batch: {timeout: 1s, timeout: 2s}"])
def test_a_file_that_makes_objects_or_says_a_thing_twice_is_not_read(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        document(text)


def test_statements_are_found_where_they_stand() -> None:
    assert len(list(statements(read("gateway.yaml")))) == 11


def test_one_version_of_the_collector_is_meant_everywhere() -> None:
    images = [
        image
        for path in FOLDER.rglob("*")
        if path.is_file()
        for image in re.findall(r"opentelemetry-collector-contrib:([\w.]+)", path.read_text(encoding="utf-8"))
    ]
    assert images
    assert set(images) == {VERSION}


def test_the_readme_names_each_file_and_what_it_links_to_is_there() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    links = set(re.findall(r"\]\(([^)#]+)\)", text))
    assert all((FOLDER / link).exists() for link in links)
    assert {path.name for path in FOLDER.iterdir()} - {link.rstrip("/") for link in links} == {"README.md"}
    assert f"`otelcol-contrib` {VERSION}" in text
