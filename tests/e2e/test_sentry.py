"""A real uvicorn with SENTRY_DSN set: its errors with their traces, its critical alerts, and the link in the page."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from otelmon.testing import DiscordStandIn, PostedMessage
from tests.e2e.served import CONFIG, Served
from tests.notify.sentry_stand_in import PUBLIC_KEY, Answer, SentryStandIn

pytestmark = pytest.mark.slow

APP = """\
import otelmon
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider

{before}
trace.set_tracer_provider(TracerProvider())
app = FastAPI()
otelmon.start(app)
FastAPIInstrumentor.instrument_app(app)
seen = []


@app.get("/items/{{item_id}}")
async def show_item(item_id: int) -> int:
    return item_id


@app.get("/fail")
async def fail() -> None:
    seen.append(format(trace.get_current_span().get_span_context().trace_id, "032x"))
    raise ValueError("broken")


@app.get("/vitals")
def traces() -> list[str]:
    return seen
"""
OWN = """
import os, sentry_sdk
sentry_sdk.init(dsn=os.environ["SENTRY_DSN"], environment="own", release="shop@7")
"""


def fail(app: Served) -> int:
    """One request whose exception leaves the app: uvicorn then closes the connection, so it is one of its own."""
    return httpx.get(f"{app.url}/fail", trust_env=False, timeout=45).status_code


def is_page(message: PostedMessage) -> bool:
    return "Error rate" in message.content and "RESOLVED" not in message.content


def test_errors_and_critical_alerts_are_in_sentry_and_the_page_links_them(tmp_path: Path) -> None:
    config = f"{CONFIG}sentry_url: https://acme.sentry.io\n"
    with (
        SentryStandIn() as sentry,
        DiscordStandIn() as discord,
        Served(
            tmp_path,
            app=APP.format(before=""),
            config=config,
            webhook_url=discord.webhook_url,
            environ={"SENTRY_DSN": sentry.dsn, "SENTRY_ENVIRONMENT": "staging", "OTEL_METRICS_EXPORTER": "none"},
        ) as app,
    ):
        app.pass_ticks(2, doing=lambda: app.get("/items/1"))
        assert sentry.events == []
        assert {fail(app) for _ in range(10)} == {500}
        traces = app.vitals()
        error = sentry.wait_for(lambda event: "exception" in event)
        assert error["environment"] == "staging"
        assert error["exception"]["values"][-1]["value"] == "broken"
        assert error["contexts"]["trace"]["trace_id"] in traces
        page = discord.wait_for(is_page, 45)
        fields = page.body["embeds"][0]["fields"]
        (field,) = (each for each in fields if each["name"] == "Newest error")
        found = re.fullmatch(
            r"\[Open in Sentry\]\(https://acme\.sentry\.io/issues/\?project=42&query=([0-9a-f]{32})\)", field["value"]
        )
        assert found is not None, field
        sentry.wait_for(lambda event: event["event_id"] == found[1])
        alert = sentry.wait_for(lambda event: event.get("logger") == "otelmon")
        assert (alert["level"], alert["environment"], alert["tags"]["otelmon.alert"]) == (
            "fatal",
            "staging",
            "error_rate",
        )
        app.until(
            lambda: any(event.get("tags", {}).get("otelmon.state") == "resolved" for event in sentry.events),
            doing=lambda: app.get("/items/1"),
        )
        errors = [event for event in sentry.events if "exception" in event]
        assert len(errors) == 10  # each once, although Sentry's own integration saw them too
        over = sentry.wait_for(lambda event: event.get("tags", {}).get("otelmon.state") == "resolved")
        assert over["fingerprint"] == alert["fingerprint"]
        assert PUBLIC_KEY not in app.log
        assert not any(PUBLIC_KEY in str(message.body) for message in discord.messages)


def test_an_sdk_that_the_app_started_is_left_as_it_is(tmp_path: Path) -> None:
    with (
        SentryStandIn() as sentry,
        DiscordStandIn() as discord,
        Served(
            tmp_path,
            app=APP.format(before=OWN),
            webhook_url=discord.webhook_url,
            environ={"SENTRY_DSN": sentry.dsn, "SENTRY_ENVIRONMENT": "staging", "OTEL_METRICS_EXPORTER": "none"},
        ) as app,
    ):
        app.pass_ticks(1, doing=lambda: app.get("/items/1"))
        assert fail(app) == 500
        error = sentry.wait_for(lambda event: "exception" in event)
        assert (error["environment"], error["release"]) == ("own", "shop@7")
        assert [error["contexts"]["trace"]["trace_id"]] == app.vitals()


def test_a_sentry_that_hangs_holds_up_no_page(tmp_path: Path) -> None:
    with SentryStandIn() as sentry, DiscordStandIn() as discord:
        sentry.answers += [Answer(hang=True)] * 50
        with Served(
            tmp_path,
            webhook_url=discord.webhook_url,
            config=f"{CONFIG}fallback: [log]\n",
            environ={"SENTRY_DSN": sentry.dsn},
        ) as app:
            app.pass_ticks(2, doing=lambda: app.get("/items/1"))
            assert app.get("/fail", times=10) == 500
            discord.wait_for(is_page, 45)
            app.until(
                lambda: any("after" in message.content for message in discord.messages),
                doing=lambda: app.get("/items/1"),
            )
            assert len(discord.messages) == 2  # the page, and that it is over
