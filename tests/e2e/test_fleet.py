"""A fleet that sends to a real `otelmon serve`: one evaluation, one page, and somebody is told when all are dead."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from otelmon.runtime.control import ask
from otelmon.testing import DiscordStandIn, PostedMessage
from tests.collect.receiver import http_receiver
from tests.conformance import prometheus
from tests.e2e.fleet import CONFIG, Link, Replica, Server
from tests.e2e.served import APP, Served, clean_environ

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
        assert re.search(r'otelmon_service_instances\{instance="",job="shop"\} 0', metrics)
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


# So long that starting a delivery is little of it.
INTERVAL_SECONDS = 5.0
SHOPS = (
    CONFIG.replace("interval: 1s", f"interval: {INTERVAL_SECONDS:g}s")
    .replace("threshold: 20%, window: 10s", "threshold: 4%, window: 20s")
    .replace("threshold: 4, ", "")
)
CHECKOUTS = 'http_server_request_duration_seconds{http_route="/checkout"}'
# A process with the OpenTelemetry SDK as any user has it.
SDK_APP = """\
import time
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

provider = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())])
provider.get_meter("test").create_counter("orders").add(1)
time.sleep(600)
"""


def shop(folder: Path, server_url: str, number: int, webhook_url: str | None) -> Served:
    """A replica of the shop of the examples, which sends to the server."""
    return Served(
        folder,
        config=SHOPS,
        target="examples.shop.app:app",
        webhook_url=webhook_url,
        environ={
            "OTELMON_CONFIG": str(folder / "otelmon.yaml"),
            "OTELMON_ENDPOINT": server_url,
            "OTEL_SERVICE_NAME": "shop",
            "OTEL_RESOURCE_ATTRIBUTES": f"service.instance.id=shop-{number}",
        },
    )


def asked(shop: Served, expr: str) -> float:
    """What a shop itself makes of what it has served, alone."""
    ((found,),) = (ask(shop.state_dir / "shop", {"verb": "query", "expr": expr}, timeout_seconds=20)["vector"],)
    return float(found["value"])


def assert_page_in_time(discord: DiscordStandIn, killed_at: float, interval: float) -> None:
    silent = discord.wait_for(lambda message: says(message, "Service silent"), _WAIT_SECONDS)
    took = time.monotonic() - killed_at
    print(f"paged {took:.2f} s after the last of five was killed, at an interval of {interval:g} s")
    assert says(silent, "instances missing: 5")
    assert took <= 2 * interval


@pytest.mark.soak
def test_five_shops_fail_restart_and_die(tmp_path: Path, discord: DiscordStandIn) -> None:
    with Server(tmp_path / "server", config=SHOPS, webhook_url=discord.webhook_url) as server, ExitStack() as running:
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
        answers: Counter[tuple[int, int]] = Counter()

        def check_out() -> None:
            for number, each in enumerate(shops, start=1):
                answers[number, each._client.post(f"{each.url}/checkout").status_code] += 1

        def errors_of(*numbers: int) -> list[PostedMessage]:
            """The pages that say so, with the fault switched on in these shops alone, until it is over."""
            before = len(discord.messages)
            for number in numbers:
                shops[number - 1]._client.put(f"{shops[number - 1].url}/faults/errors").raise_for_status()
            server.until(lambda: len(discord.messages) > before, doing=check_out)
            server.pass_ticks(4, doing=check_out)
            for number in numbers:
                shops[number - 1]._client.delete(f"{shops[number - 1].url}/faults/errors").raise_for_status()
            return [message for message in discord.messages[before:] if says(message, "Error rate")]

        (page,) = errors_of(3)
        assert says(page, "Worst instances: shop-3/")
        assert not any(says(page, f"shop-{number}/") for number in (1, 2, 4, 5))
        resolved = len(discord.messages) + 1
        server.until(lambda: len(discord.messages) == resolved, doing=check_out)
        (page,) = errors_of(1, 2, 3, 4, 5)
        assert says(page, "Worst instances: shop-")

        total, failed = sum(answers.values()), sum(count for (_, status), count in answers.items() if status >= 500)
        assert min(status for _, status in answers) == 201
        assert failed > 0
        server.until(lambda: server.query(f"histogram_count(sum({CHECKOUTS}))") == {"": total}, doing=lambda: None)
        by_instance = server.query(f"histogram_count(sum by (instance) ({CHECKOUTS}))")
        assert {name.split("/")[0]: count for name, count in by_instance.items()} == {
            f"shop-{number}": sum(count for (whose, _), count in answers.items() if whose == number)
            for number in range(1, 6)
        }
        wrong = CHECKOUTS.replace("}", ', http_response_status_code=~"5.."}')
        ratio = server.query(f"histogram_count(sum({wrong})) / histogram_count(sum({CHECKOUTS}))")
        assert ratio == {"": pytest.approx(failed / total, rel=1e-12)}
        p95 = server.query(f"histogram_quantile(0.95, sum({CHECKOUTS}))")[""]
        faster = f"histogram_fraction(0, {p95!r}, sum({CHECKOUTS})) * histogram_count(sum({CHECKOUTS}))"
        assert sum(asked(each, faster) for each in shops) == pytest.approx(0.95 * total, rel=1e-9)

        killed_at = 0.0
        for each in shops:
            killed_at = time.monotonic()
            each.kill()
        assert_page_in_time(discord, killed_at, INTERVAL_SECONDS)


@pytest.mark.soak
def test_five_processes_with_an_sdk_alone_are_missed_as_soon(tmp_path: Path, discord: DiscordStandIn) -> None:
    with Server(tmp_path, config=SHOPS, webhook_url=discord.webhook_url) as server, ExitStack() as running:
        processes = []
        for number in range(1, 6):
            environ = clean_environ(
                OTEL_SERVICE_NAME="shop",
                OTEL_RESOURCE_ATTRIBUTES=f"service.instance.id=shop-{number}",
                OTEL_EXPORTER_OTLP_ENDPOINT=server.endpoint,
                OTEL_METRIC_EXPORT_INTERVAL=f"{INTERVAL_SECONDS * 1000:.0f}",
            )
            process = subprocess.Popen([sys.executable, "-c", SDK_APP], env=environ)
            running.callback(process.wait)
            running.callback(process.kill)
            processes.append(process)
        server.until(lambda: len(server.query("otelmon_instance_up == 1")) == 5, doing=lambda: None)
        server.pass_ticks(10)  # how often they send is known by now
        assert discord.messages == ()
        killed_at = 0.0
        for process in processes:
            killed_at = time.monotonic()
            process.kill()
        assert_page_in_time(discord, killed_at, INTERVAL_SECONDS)


@pytest.mark.soak
def test_a_network_that_is_cut_for_thirty_seconds_loses_no_page_and_sends_none_twice(
    tmp_path: Path, discord: DiscordStandIn
) -> None:
    quiet = CONFIG.replace("service_silent: {threshold: 4, keep_firing_for: 0s}", "service_silent: off")
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
