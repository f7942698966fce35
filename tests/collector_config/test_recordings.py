"""What collectors send, in OTLP/JSON as their file exporter writes it, fires the built-in alerts: names, labels, all.

The points are written as the components document them (v0.135.0); no collector made them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from otelmon.cli.main import app as command
from tests.collector_config.documents import FOLDER
from tests.collector_config.test_collector import read

START = 1_767_600_000
STEP, STEPS = 15, 60

Attributes = dict[str, Any]
Metric = dict[str, Any]


def attributes(values: Attributes) -> list[dict[str, Any]]:
    return [
        {"key": key, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
        for key, value in values.items()
    ]


def times(step: int) -> dict[str, str]:
    return {"startTimeUnixNano": f"{START}000000000", "timeUnixNano": f"{START + step * STEP}000000000"}


def duration(name: str, unit: str, bounds: list[float], step: int, *, spans: Attributes) -> Metric:
    """A tenth of 100 requests a step fails, all within the third bucket."""
    points = [
        {
            **times(step),
            "attributes": attributes({**spans, "http.response.status_code": status}),
            "count": str(count * step),
            "sum": count * step * bounds[2],
            "bucketCounts": [str(count * step if bucket == 2 else 0) for bucket in range(len(bounds) + 1)],
            "explicitBounds": bounds,
        }
        for status, count in ((200, 90), (503, 10))
    ]
    return {"name": name, "unit": unit, "histogram": {"aggregationTemporality": 2, "dataPoints": points}}


def through_the_gateway(step: int) -> list[Metric]:
    """After transform/requests of gateway.yaml, with its bounds: the third is 1 s here, so that p95 is known."""
    spans = {"http.request.method": "GET", "http.route": "/orders", "otelmon.source": "traces"}
    return [duration("http.server.request.duration", "s", [0.005, 1.0, 2.5, 5.0], step, spans=spans)]


def as_the_connector_comes(step: int) -> list[Metric]:
    """By its own names, in milliseconds, with its own labels, and with its other metric."""
    spans = {
        "service.name": "shop",
        "span.name": "GET /orders",
        "span.kind": "SPAN_KIND_SERVER",
        "status.code": "STATUS_CODE_UNSET",
        "http.request.method": "GET",
        "http.route": "/orders",
    }
    calls = {
        "name": "traces.span.metrics.calls",
        "sum": {
            "aggregationTemporality": 2,
            "isMonotonic": True,
            "dataPoints": [{**times(step), "attributes": attributes(spans), "asInt": str(100 * step)}],
        },
    }
    return [duration("traces.span.metrics.duration", "ms", [2, 1000, 2500, 5000], step, spans=spans), calls]


def of_a_full_host(step: int) -> list[Metric]:
    """The hostmetrics receiver's filesystem, memory and cpu scrapers by default."""
    disk = {"device": "/dev/sda1", "mode": "rw", "mountpoint": "/", "type": "ext4"}

    def usage(name: str, states: dict[str, int], **labels: str) -> Metric:
        points = [
            {**times(step), "attributes": attributes({**labels, "state": state}), "asInt": str(value)}
            for state, value in states.items()
        ]
        return {"name": name, "unit": "By", "sum": {"aggregationTemporality": 2, "dataPoints": points}}

    return [
        usage("system.filesystem.usage", {"used": 91, "free": 9, "reserved": 5}, **disk),
        usage("system.memory.usage", {"used": 95, "free": 2, "cached": 3, "slab_reclaimable": 1}),
    ]


def recording(path: Path, resource: Attributes, metrics: Callable[[int], list[Metric]]) -> Path:
    lines = [
        {
            "resourceMetrics": [
                {
                    "resource": {"attributes": attributes(resource)},
                    "scopeMetrics": [{"scope": {"name": "collector"}, "metrics": metrics(step)}],
                }
            ]
        }
        for step in range(1, STEPS)
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return path


def fired(folder: Path, data: Path, *rule_files: str) -> dict[str, dict[str, str]]:
    """The labels of each alert that would have fired, by its name."""
    config = folder / "otelmon.yaml"
    files = ", ".join(str(FOLDER / "rules" / name) for name in rule_files)
    config.write_text(f"service: fleet\nrule_files: [{files}]\n", encoding="utf-8")
    done = CliRunner().invoke(command, ["backtest", str(config), "--data", str(data), "--json"])
    assert done.exit_code == 0, done.output
    return {each["name"]: each["labels"] for each in json.loads(done.stdout)["alerts"]}


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)


SHOP = {"service.name": "shop", "service.instance.id": "web-1", "host.name": "web-1"}


def test_traces_through_the_gateway_page_without_a_rule_between(tmp_path: Path) -> None:
    data = recording(tmp_path / "data.jsonl", SHOP, through_the_gateway)
    assert fired(tmp_path, data).keys() == {"error_rate", "response_time"}


def test_the_connector_as_it_comes_pages_by_the_rules_for_traces_and_not_without_them(tmp_path: Path) -> None:
    data = recording(tmp_path / "data.jsonl", SHOP, as_the_connector_comes)
    assert fired(tmp_path, data).keys() == set()
    assert fired(tmp_path, data, "traces.yml").keys() == {"error_rate", "response_time"}


def test_a_full_host_pages_by_the_rules_for_hosts_and_not_without_them(tmp_path: Path) -> None:
    host = read("agent.yaml")["processors"]["resource/host"]["attributes"][0]
    resource = {host["key"]: host["value"], "service.instance.id": "web-1", "host.name": "web-1"}
    data = recording(tmp_path / "data.jsonl", resource, of_a_full_host)
    assert fired(tmp_path, data).keys() == set()
    found = fired(tmp_path, data, "host.yml")
    assert found.keys() == {"disk_usage", "memory_usage"}
    assert found["disk_usage"]["system_device"] == "/dev/sda1"
    assert found["disk_usage"]["instance"] == "web-1"
