"""Any meter of the user's own can be alerted on: a counter, a gauge, a histogram, each with a rule in PromQL."""

from __future__ import annotations

from pathlib import Path

import pytest

from otelmon.testing import DiscordStandIn
from tests.e2e.served import CONFIG, Served

pytestmark = pytest.mark.slow

APP = """\
import otelmon
from fastapi import FastAPI
from opentelemetry import metrics

meter = metrics.get_meter("shop")
failures = meter.create_counter("cart.failures")  # made before otelmon starts: it counts all the same
app = FastAPI()
otelmon.start(app)
baskets = meter.create_gauge("cart.size")
waits = meter.create_histogram("cart.wait", unit="s")
stock = meter.create_up_down_counter("cart.stock", unit="{item}")


@app.get("/counter")
async def fail() -> None:
    failures.add(1, {"provider": "north"})


@app.get("/gauge")
async def fill() -> None:
    baskets.set(120)


@app.get("/histogram")
async def wait() -> None:
    waits.record(4.0)


@app.get("/up-down")
async def sell() -> None:
    stock.add(-3)
"""
RULES = """\
  cart_failures:
    expr: sum by (provider) (increase(cart_failures_total[4s])) > 0.5
    severity: warning
    summary: '{{ $labels.provider }} fails'
  cart_size: {expr: 'cart_size > 100', severity: warning}
  cart_slow:
    expr: histogram_quantile(0.95, sum by (le) (rate(cart_wait_seconds_bucket[4s]))) > 2
    severity: warning
  cart_stock: {expr: 'cart_stock < 0', severity: info}
"""


def test_a_counter_a_gauge_and_a_histogram_of_the_users_own_page_each_by_its_rule(tmp_path: Path) -> None:
    with (
        DiscordStandIn() as discord,
        Served(tmp_path, app=APP, config=CONFIG + RULES, webhook_url=discord.webhook_url) as app,
    ):
        app.get("/openapi.json")
        app.until(lambda: app.ticks() >= 2, doing=lambda: None)
        discord.expect_silence_after()
        expected = {"counter": "Cart failures", "gauge": "Cart size", "histogram": "Cart slow", "up-down": "Cart stock"}
        for path, title in expected.items():
            app.until(
                lambda title=title: any(title in message.content for message in discord.messages),
                doing=lambda path=path: app.get(f"/{path}"),
            )
        assert len({message.content for message in discord.messages if message.embeds}) >= 4
        (failures,) = (message for message in discord.messages if "Cart failures" in message.content)
        assert "provider: north" in failures.text
        assert "north fails" in failures.text
