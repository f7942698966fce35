"""What was recorded while the live engine ran gives, replayed, what the live engine gave."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from typer.testing import CliRunner

from otelmon.cli.main import app as command
from otelmon.collect.reader import Reader
from otelmon.paging.model import PageAction, PageReason
from otelmon.replay.backtest import Backtest, Outcome
from otelmon.replay.recording import Recording
from otelmon.runtime.assemble import window_for
from otelmon.runtime.evaluate import RuleRunner
from tests.e2e.recorded import Recorded

HOUR = 3600.0
CONFIG = """
service: shop
interval: 15s
repeat_every: {critical: 10m}
alerts:
  carts: {expr: 'sum by (job) (rate(shop_carts_total[5m])) < 0.5', for: 2m}
  slow_buckets:
    expr: 'histogram_quantile(0.9, sum by (job, le) (rate(http_server_request_duration_seconds_bucket[5m]))) > 0.8'
    for: 1m
    resolve_when: 0.5
  queue: {expr: 'shop_queue_length > 20', no_data: keep}
  gone: {expr: 'absent(shop_queue_length)', for: 3m}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "otelmon.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def faulty_traffic(simulation: Recorded, provider: MeterProvider) -> Callable[[], None]:
    """Random traffic on ten routes, some of which come late; errors, slowness and silence by turns."""
    chance = random.Random(7)
    meter = provider.get_meter("shop")
    carts = meter.create_counter("shop.carts")
    queue = meter.create_gauge("shop.queue.length")
    second = 0

    def pass_second() -> None:
        nonlocal second
        second += 1
        phase = second % 5400
        if 4800 < phase < 5300:
            return  # nobody asks
        for _ in range(chance.randrange(4)):
            route = f"/route/{chance.randrange(2 + second // 1800)}"
            fails = (600 < phase < 900 and chance.random() < 0.3) or (3000 < phase < 3900 and route == "/route/1")
            took = chance.lognormvariate(-4, 1) + (chance.random() * 3 if 1800 < phase < 2300 else 0)
            simulation.request(route, 500 if fails else 200, seconds=took)
        if not 2500 < phase < 2900:
            carts.add(1, {"kind": chance.choice("ab")})
        queue.set(30 if 3600 < phase < 3700 else chance.randrange(21))

    return pass_second


def replayed(simulation: Recorded, recording: Path | None = None) -> tuple[Outcome, Recording]:
    settings = simulation.settings
    run = Backtest(
        rules=RuleRunner(settings.groups, interval_seconds=settings.interval_seconds, faults=simulation.faults),
        window=window_for(settings.groups, interval_seconds=settings.interval_seconds, max_series=10_000),
        interval_seconds=settings.interval_seconds,
        policy=settings.policy,
    )
    read = Recording(recording or simulation.recording)
    for collection in read.collections():
        run.feed(collection)
    return run.outcome(), read


# The traffic repeats itself each hour and a half.
@pytest.mark.parametrize("hours", [1.75, pytest.param(6.0, marks=pytest.mark.soak)])
def test_a_backtest_of_what_was_recorded_gives_exactly_the_alerts_of_the_live_engine(
    config: Path, hours: float
) -> None:
    reader = Reader()
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    live = Recorded(config, reader=reader)
    live.run(hours * HOUR, faulty_traffic(live, provider))
    outcome, read = replayed(live)

    assert read.problems == []
    assert not read.skipped
    found = [(each.name, each.labels, each.fired_at, each.resolved_at) for each in outcome.firings]
    assert found == live.fired
    assert {name for name, *_ in found} == {
        "error_rate", "route_error_rate", "response_time", "carts", "slow_buckets", "queue",
    }  # fmt: skip
    pinged = [
        (at, page.reason)
        for at, page in live.paged_at
        if page.action is PageAction.POST and page.reason is not PageReason.RESOLVED
    ]
    assert sorted((page.at.timestamp(), page.reason) for page in outcome.pages) == sorted(pinged)
    assert PageReason.REMINDER in {reason for _, reason in pinged}


def test_rules_that_do_not_fire_live_do_not_fire_replayed(config: Path) -> None:
    live = Recorded(config)
    live.run(HOUR / 2, lambda: live.request(times=3))
    outcome, _ = replayed(live)
    assert [name for name, *_ in live.fired] == ["gone"]
    assert [firing.name for firing in outcome.firings] == ["gone"]
    assert "queue" in outcome.unmatched
    assert "error_rate" not in outcome.unmatched


def test_collections_from_before_the_clock_was_set_back_are_not_counted_twice(config: Path) -> None:
    live = Recorded(config)
    live.run(600, lambda: live.request(times=3))
    lines = live.recording.read_text(encoding="utf-8").splitlines()
    live.recording.write_text("\n".join([*lines, *lines[-5:]]), encoding="utf-8")
    outcome, _ = replayed(live)
    assert outcome.evaluations == len(lines) == 40
    assert outcome.set_back == 4  # the newest is there twice, and the same


def test_the_command_tells_of_them_in_80_columns_and_in_a_pipe(config: Path) -> None:
    live = Recorded(config)
    live.run(10 * 60, lambda: live.request(times=2))
    live.run(10 * 60, lambda: live.request(status=500))
    live.run(20 * 60, lambda: live.request(times=2))
    with live.recording.open("a", encoding="utf-8") as file:
        file.write('{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "x", "gauge": ')
    said = CliRunner().invoke(command, ["backtest", str(config), "--data", str(live.recording)])
    assert said.exit_code == 0, said.output
    assert f"{live.recording}:161: no JSON" in said.stderr
    assert "error_rate (critical): fired once" in said.stdout
    assert "█" in said.stdout
    assert max(map(len, said.stdout.splitlines())) <= 80
    told = CliRunner().invoke(command, ["backtest", str(config), "--data", str(live.recording), "--json"])
    outcome = json.loads(told.stdout)
    assert [each["fired_at"] for each in outcome["alerts"] if each["name"] == "error_rate"] == [
        fired_at.isoformat() for name, _, fired_at, _ in live.fired if name == "error_rate"
    ]
