"""What collectors send is seen by a real `otelmon serve` with the rules that ship beside the configurations."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.collector_config.documents import FOLDER
from tests.collector_config.test_recordings import (
    Metric,
    as_the_connector_comes,
    attributes,
    of_a_full_host,
    through_the_gateway,
)
from tests.e2e.fleet import Server

pytestmark = pytest.mark.slow

RULES = ", ".join(str(FOLDER / "rules" / name) for name in ("host.yml", "scrape.yml", "traces.yml"))
CONFIG = f"""\
interval: 1s
paging: off
serve: {{http: 0, grpc: off, public: "127.0.0.1:0"}}
rule_files: [{RULES}]
"""


def of_a_target_that_is_down(_step: int) -> list[Metric]:
    """The prometheus receiver's own gauge, with the job and instance of the scrape as the resource."""
    return [{"name": "up", "gauge": {"dataPoints": [{"asDouble": 0.0}]}}]


SENDERS: dict[str, Callable[[int], list[Metric]]] = {
    "gateway": through_the_gateway,
    "connector": as_the_connector_comes,
    "host": of_a_full_host,
    "scraped": of_a_target_that_is_down,
}
WANTED = {
    ("gateway", "error_rate", "firing"),
    ("gateway", "response_time", "firing"),
    ("connector", "error_rate", "firing"),
    ("connector", "response_time", "firing"),
    ("host", "disk_usage", "pending"),  # they hold for minutes before they page
    ("host", "memory_usage", "pending"),
    ("scraped", "target_down", "pending"),
}


def request(step: int, start_at: float) -> dict[str, Any]:
    """What all of them send in one go, with the times of now."""
    times = {"startTimeUnixNano": str(int(start_at * 1e9)), "timeUnixNano": str(time.time_ns())}
    resources = []
    for job, metrics in SENDERS.items():
        made = metrics(step)
        for metric in made:
            for data in metric.values():
                if isinstance(data, dict):
                    for point in data["dataPoints"]:
                        point.update(times)
        resource = {"attributes": attributes({"service.name": job, "service.instance.id": f"{job}-1"})}
        resources.append({"resource": resource, "scopeMetrics": [{"metrics": made}]})
    return {"resourceMetrics": resources}


def test_the_built_in_alerts_hold_for_traces_machines_and_scraped_targets(tmp_path: Path) -> None:
    start_at = time.time()
    with Server(tmp_path, config=CONFIG) as server, httpx.Client(trust_env=False) as client:
        steps = iter(range(1, 1000))

        def send() -> None:
            answer = client.post(f"{server.endpoint}/v1/metrics", json=request(next(steps), start_at))
            assert answer.json() == {}

        def alerts() -> set[tuple[str, str, str]]:
            return {
                (job, name, state)
                for job, name, state in WANTED
                if server.query(f'ALERTS{{job="{job}", alertname="{name}", alertstate="{state}"}}')
            }

        server.until(lambda: alerts() == WANTED, doing=send)
        # One service's traces make no alert of another's, and scraping does not count as requests.
        assert not server.query('ALERTS{job=~"host|scraped", alertname=~"error_rate|response_time"}')
