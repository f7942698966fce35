"""Whoever counts the requests, the same routes and the same rules give the same page."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path

import pytest

from otelmon.testing import DiscordStandIn, PostedMessage
from tests.e2e.served import CONFIG, Served

pytestmark = pytest.mark.slow

ROUTES = """

@app.get("/items/{item_id}")
async def show_item(item_id: int) -> int:
    return item_id


@app.get("/broken/{part}")
async def fail(part: str) -> None:
    raise HTTPException(503)
"""
OURS = """\
import otelmon
from fastapi import FastAPI, HTTPException

app = FastAPI()
otelmon.start(app)
"""
# The user's own pipeline: a provider with a reader of its own.
PROVIDER = """\
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

metrics.set_meter_provider(MeterProvider(metric_readers=[InMemoryMetricReader()]))
"""
NATIVE = PROVIDER + OURS
CONTRIB = (
    PROVIDER
    + OURS
    + """
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

FastAPIInstrumentor.instrument_app(app, exclude_spans=["receive", "send"])
"""
)
# Fields whose values depend on the instant.
DIFFERING = ("Acknowledge", "Since", "Errors", "What changed", "The last")
APPS = {"ours": OURS + ROUTES, "native": NATIVE + ROUTES, "contrib": CONTRIB + ROUTES}
RULES = CONFIG.replace("route_error_rate: off", "route_error_rate: {window: 20s, at_least: 4, keep_firing_for: 0s}") + (
    """\
  seen:
    expr: >-
      group by (http_request_method, http_route, http_response_status_code, error_type, url_scheme)
      (http_server_request_duration_seconds_count > 0) > 0
    severity: info
    title: Requests
  slow:
    expr: histogram_quantile(0.5, sum(rate(http_server_request_duration_seconds[20s]))) < 5
    severity: info
    summary: The exponential histogram is there.
"""
)


def said(message: PostedMessage) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    """A page without what differs from run to run: when it was, the incident's id, measured durations and counts."""
    (embed,) = message.embeds
    fields = [(field["name"], field["value"]) for field in embed.get("fields", ())]
    content = re.sub(r"Slow [\d.e-]+", "Slow", message.content)
    return (
        content,
        embed.get("description", ""),
        tuple((name, value) for name, value in fields if not name.startswith(DIFFERING)),
    )


def test_native_contrib_and_ours_give_the_same_pages(tmp_path: Path) -> None:
    config = RULES.replace("  error_rate: {threshold: 5%, window: 4s, keep_firing_for: 0s}\n", "  error_rate: off\n")
    pages = {}
    with ExitStack() as stack:
        running = {}
        for name, source in APPS.items():
            discord = stack.enter_context(DiscordStandIn())
            app = Served(
                tmp_path / name,
                app=source,
                config=config,
                webhook_url=discord.webhook_url,
                environ={"OTEL_SEMCONV_STABILITY_OPT_IN": "http", "OTEL_TRACES_EXPORTER": "none"},
            )
            running[name] = (stack.enter_context(app), discord)
        for app, _ in running.values():
            app.get("/items/1")
        for app, discord in running.values():
            app.get("/items/2")
            assert app.get("/broken/left", times=8) == 503
            discord.wait_for(lambda message: "Error rate of a route 100 %" in message.content, 45)
            discord.wait_until(lambda discord: len(discord.messages) >= 4, 45)
        for name, (app, discord) in running.items():
            app.pass_ticks(2)
            pages[name] = {said(message) for message in discord.messages}
    assert pages["native"] == pages["ours"]
    assert pages["contrib"] == pages["ours"]
    assert len(pages["ours"]) == 4
