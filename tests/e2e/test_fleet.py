"""A fleet that sends to a real `otelmon serve`: one evaluation, one page, and somebody is told when all are dead."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from otelmon.testing import DiscordStandIn, PostedMessage
from tests.collect.receiver import http_receiver
from tests.conformance import prometheus
from tests.e2e.fleet import CONFIG, Link, Replica, Server
from tests.e2e.served import APP, Served

pytestmark = pytest.mark.slow

_WAIT_SECONDS = 60.0


@pytest.fixture
def discord() -> Iterator[DiscordStandIn]:
    with DiscordStandIn() as stand_in:
        yield stand_in


def says(message: PostedMessage, words: str) -> bool:
    return words in f"{message.content} {message.embeds}".replace("\\", "")


def test_five_replicas_with_one_fault_are_one_page_and_their_end_is_another(
    tmp_path: Path, discord: DiscordStandIn
) -> None:
    with Server(tmp_path, webhook_url=discord.webhook_url) as server:
        replicas = [Replica(server.endpoint, f"shop-{number}") for number in range(1, 6)]

        def serve(bad: int) -> None:
            for each in replicas:
                each.serve(good=1, bad=bad)
                each.send()

        server.until(lambda: len(server.query("otelmon_instance_up == 1")) == 5, doing=lambda: serve(0))
        server.pass_ticks(3, doing=lambda: serve(0))
        assert discord.messages == ()
        assert server.page("/-/ready").status_code == server.page("/-/healthy").status_code == 200
        server.until(lambda: len(discord.messages) == 1, doing=lambda: serve(1))
        (page,) = discord.messages
        assert says(page, "Error rate")
        assert says(page, "Worst instances: shop-")
        assert sum(server.query("http_server_request_duration_seconds_count").values()) > 0
        for each in replicas:
            each.die()
        silent = discord.wait_for(lambda message: says(message, "Service silent"), _WAIT_SECONDS)
        assert says(silent, "instances missing: 5")
        assert sum(says(each, "Service silent") for each in discord.messages) == 1
        metrics = server.page("/metrics").text
        assert re.search(r'otelmon_service_instances\{job="shop"\} 0', metrics)
        server.stop()
        assert server.process.returncode == 0


def test_what_comes_in_goes_on_to_a_backend_and_so_does_what_the_server_makes_of_it(tmp_path: Path) -> None:
    rules = CONFIG + "  orders: {expr: 'shop_orders_total > 2', severity: warning, summary: many}\n"
    with http_receiver() as backend:
        drop = "process: [{drop: 'http_route=\"/secret\"'}]\n"
        targets = f"{drop}forward: {{endpoint: '{backend.url}', signals: [metrics, logs]}}\n"
        with Server(tmp_path, config=targets + rules) as server:
            points = [
                {"asInt": "3", "timeUnixNano": str(time.time_ns()), "startTimeUnixNano": str(time.time_ns() - 10**10)}
            ]
            orders = {
                "name": "shop.orders",
                "sum": {"dataPoints": points, "aggregationTemporality": 2, "isMonotonic": True},
            }
            resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
            request = {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": [orders]}]}]}
            sent = httpx.post(f"{server.endpoint}/v1/metrics", json=request, timeout=_WAIT_SECONDS)
            assert sent.status_code == 200
            replica = Replica(server.endpoint, "shop-1")
            replica.serve(good=5)
            replica.send()

            def names() -> set[str]:
                every = [backend.requests[index] for index in range(len(backend.requests))]
                return {
                    metric.name
                    for each in every
                    for resource in each.resource_metrics
                    for scope in resource.scope_metrics
                    for metric in scope.metrics
                }

            wanted = {"shop.orders", "http.server.request.duration", "otelmon.alert.state", "otelmon.tick.duration"}
            server.until(lambda: wanted <= names(), doing=replica.send)
            server.until(lambda: bool(backend.log_records()), doing=replica.send)
            server.stop()
        assert server.process.returncode == 0
        (point,) = [
            point
            for index in range(len(backend.requests))
            if (metric := backend.metric("shop.orders", index)) is not None
            for point in metric.sum.data_points
        ]
        assert point.as_int == 3


@pytest.mark.soak
def test_a_second_server_cannot_take_the_port_and_says_so(tmp_path: Path) -> None:
    with Server(tmp_path / "first") as first:
        config = CONFIG.replace("http: 0", f"http: {first.otlp_port}")
        (tmp_path / "second").mkdir()
        (tmp_path / "second" / "otelmon.yaml").write_text(config, encoding="utf-8")
        ended = subprocess.run(
            [sys.executable, "-m", "otelmon", "serve", "--config", "otelmon.yaml"],
            cwd=tmp_path / "second",
            env={**first.environ, "OTELMON_STATE_DIR": str(tmp_path / "second" / "state")},
            capture_output=True,
            text=True,
            timeout=_WAIT_SECONDS,
            check=False,
        )
    assert ended.returncode == 1
    assert "cannot listen" in ended.stderr
    assert "serve: {http: PORT}" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.soak
def test_prometheus_scrapes_the_server(tmp_path: Path) -> None:
    if not prometheus.installed():
        pytest.skip(prometheus.MISSING)
    with Server(tmp_path) as server:
        replica = Replica(server.endpoint, "shop-1")
        server.until(lambda: bool(server.query("otelmon_instance_up == 1")), doing=replica.send)
        text = server.page("/metrics").text
        checked = subprocess.run(
            ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
        )
        faults = [line for line in checked.stderr.splitlines() if "error while linting" in line or "parse" in line]
        assert faults == []


def shop(folder: Path, server_url: str, number: int, webhook_url: str | None) -> Served:
    """A replica of the shop of the examples, which sends to the server."""
    return Served(
        folder,
        config=CONFIG,
        target="examples.shop.app:app",
        webhook_url=webhook_url,
        environ={
            "OTELMON_CONFIG": str(folder / "otelmon.yaml"),
            "OTELMON_ENDPOINT": server_url,
            "OTEL_SERVICE_NAME": "shop",
            "OTEL_RESOURCE_ATTRIBUTES": f"service.instance.id=shop-{number}",
        },
    )


@pytest.mark.soak
def test_five_shops_fail_restart_and_die(tmp_path: Path, discord: DiscordStandIn) -> None:
    with Server(tmp_path / "server", webhook_url=discord.webhook_url) as server, ExitStack() as running:
        folders = [tmp_path / f"shop-{number}" for number in range(1, 6)]
        shops = [
            running.enter_context(shop(folder, server.endpoint, number, discord.webhook_url))
            for number, folder in enumerate(folders, start=1)
        ]

        def visit() -> None:
            for each in shops:
                each.get("/products", times=2)

        server.until(lambda: len(server.query("otelmon_instance_up == 1")) == 5, doing=visit)
        for number, folder in enumerate(folders, start=1):  # a rolling restart
            shops[number - 1].stop()
            shops[number - 1] = running.enter_context(shop(folder, server.endpoint, number, discord.webhook_url))
            server.until(lambda: len(server.query("otelmon_instance_up == 1")) == 5, doing=visit)
        server.pass_ticks(5, doing=visit)
        assert discord.messages == ()
        for each in shops:
            each._client.put(f"{each.url}/faults/errors")

        def check_out() -> None:
            for each in shops:
                each._client.post(f"{each.url}/checkout")

        server.until(lambda: bool(discord.messages), doing=check_out)
        server.pass_ticks(8, doing=check_out)
        assert sum(says(message, "Error rate") for message in discord.messages) == 1
        for each in shops:
            each.kill()
        killed_at = time.monotonic()
        discord.wait_for(lambda message: says(message, "Service silent"), _WAIT_SECONDS)
        print(f"paged {time.monotonic() - killed_at:.1f} s after the last of five was killed, at an interval of 1 s")


@pytest.mark.soak
def test_a_network_that_is_cut_for_thirty_seconds_loses_no_page_and_sends_none_twice(
    tmp_path: Path, discord: DiscordStandIn
) -> None:
    quiet = CONFIG.replace("service_silent: {keep_firing_for: 0s}", "service_silent: off")
    with (
        Server(tmp_path / "server", config=quiet, webhook_url=discord.webhook_url) as server,
        Link(server.otlp_port) as link,
        Served(
            tmp_path / "app",
            app=APP,
            config=quiet.replace("interval: 1s", "interval: 1s\nservice: shop"),
            webhook_url=discord.webhook_url,
            environ={"OTELMON_ENDPOINT": link.url},
        ) as app,
    ):
        server.until(lambda: bool(server.query("otelmon_instance_up == 1")), doing=lambda: app.get("/items/1"))
        server.pass_ticks(4, doing=lambda: app.get("/items/1"))
        link.cut()
        cut_at = time.monotonic()
        app.wait_for_log("this process pages until it answers", _WAIT_SECONDS)
        app.until(lambda: bool(discord.messages), doing=lambda: app.get("/fail"))
        app.until(lambda: time.monotonic() > cut_at + 30, doing=lambda: app.get("/fail"))
        link.mend()
        app.wait_for_log("answers again", _WAIT_SECONDS)
        server.pass_ticks(10, doing=lambda: app.get("/fail"))
        pages = [message for message in discord.messages if "resolved" not in message.content.lower()]
        assert len(pages) == 1
        app.until(lambda: len(discord.messages) == 2, timeout=120, doing=lambda: app.get("/items/1", times=5))
        server.pass_ticks(10, doing=lambda: app.get("/items/1"))
        assert len(discord.messages) == 2
