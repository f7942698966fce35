"""An application without a line of otelmon in it is watched where the environment says so, and nowhere else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from otelmon.testing import DiscordStandIn, PostedMessage
from tests.collect.receiver import Received, http_receiver
from tests.e2e.served import APP, CONFIG, LASTING, Served

pytestmark = pytest.mark.slow

PLAIN = """\
from fastapi import FastAPI, HTTPException

app = FastAPI()


@app.get("/items/{item_id}")
async def show_item(item_id: int) -> int:
    return item_id


@app.get("/fail")
async def fail() -> None:
    raise HTTPException(500, "broken")
"""
# Nothing is exported and no other library measures: what is left is the SDK and the application.
QUIET = {"OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}
INSTRUMENT = str(Path(sys.executable).with_name("opentelemetry-instrument"))

INSTRUMENTED = (INSTRUMENT, sys.executable, "-m")
UVICORN = ("uvicorn", "--fd", "{fd}", "--no-access-log")
GUNICORN = ("gunicorn", "--worker-class", "asgi", "--bind", "fd://{fd}")
HYPERCORN = ("hypercorn", "--bind", "fd://{fd}")


def is_page(message: PostedMessage) -> bool:
    return "Error rate" in message.content and "resolved" not in message.content.lower()


SERVERS = [
    pytest.param(UVICORN, QUIET, id="uvicorn"),
    pytest.param(UVICORN, {**QUIET, "OTEL_METRICS_EXPORTER": "otelmon", "OTELMON_ENABLED": ""}, id="as an exporter"),
    pytest.param(UVICORN, {**QUIET, "OTEL_METRICS_EXPORTER": "otelmon"}, id="as an exporter and by its variable"),
    pytest.param(GUNICORN, QUIET, id="gunicorn"),
    pytest.param(HYPERCORN, QUIET, id="hypercorn"),
]


@pytest.mark.parametrize(("server", "environ"), SERVERS)
def test_an_app_without_a_line_of_otelmon_records_and_pages(
    tmp_path: Path, server: tuple[str, ...], environ: dict[str, str]
) -> None:
    with (
        DiscordStandIn() as discord,
        Served(
            tmp_path,
            app=PLAIN,
            config=LASTING,
            webhook_url=discord.webhook_url,
            environ={"OTELMON_ENABLED": "true", **environ},
            server=server,
            before=INSTRUMENTED,
        ) as app,
    ):
        app.pass_ticks(2, doing=lambda: app.get("/items/1"))
        discord.expect_silence_after()
        assert app.get("/fail", times=10) == 500
        discord.wait_for(is_page, 45)
        assert len(discord.messages) == 1
        assert app.log.count("otelmon: watching") == 1


def test_what_the_sdk_exports_goes_on_being_exported(tmp_path: Path) -> None:
    """Metrics go out as OTEL_METRICS_EXPORTER says, and the same requests page."""
    with (
        DiscordStandIn() as discord,
        http_receiver() as received,
        Served(
            tmp_path,
            app=PLAIN,
            webhook_url=discord.webhook_url,
            environ={
                **QUIET,
                "OTELMON_ENABLED": "true",
                "OTEL_METRICS_EXPORTER": "otlp",
                "OTEL_EXPORTER_OTLP_ENDPOINT": received.url,
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "OTEL_METRIC_EXPORT_INTERVAL": "500",
            },
            before=INSTRUMENTED,
        ) as app,
    ):
        app.until(lambda: bool(discord.messages), doing=lambda: app.get("/fail"))
        app.until(lambda: exported(received) > 0, doing=lambda: app.get("/fail"))
        app.until(lambda: len(discord.messages) > 1, doing=lambda: app.get("/items/1", times=5))
        assert "resolved" in discord.messages[-1].content.lower()


def exported(received: Received) -> int:
    """How many requests the last export counted, by whichever instrumentation measures."""
    metric = received.metric("http.server.request.duration") or received.metric("http.server.duration")
    return 0 if metric is None else sum(point.count for point in metric.histogram.data_points)


def test_without_being_asked_nothing_is_watched(tmp_path: Path) -> None:
    with (
        DiscordStandIn() as discord,
        Served(tmp_path, app=PLAIN, webhook_url=discord.webhook_url, environ=QUIET, before=INSTRUMENTED) as app,
    ):
        assert app.get("/fail", times=10) == 500
        app.stop()
        assert "otelmon" not in app.log
        assert not app.state_dir.exists()
        assert not discord.messages


def test_an_app_that_starts_otelmon_itself_is_watched_once(tmp_path: Path) -> None:
    with (
        DiscordStandIn() as discord,
        Served(
            tmp_path,
            app=APP,
            webhook_url=discord.webhook_url,
            environ={**QUIET, "OTELMON_ENABLED": "true"},
            before=INSTRUMENTED,
        ) as app,
    ):
        assert app.get("/items/1", times=20) == 200
        app.pass_ticks(2)
        assert app.vitals()["request_rate"] == pytest.approx(20 / 300, rel=0.2)
        assert app.log.count("otelmon: watching") == 1


def test_a_configuration_that_cannot_be_meant_is_logged_and_the_app_is_served(tmp_path: Path) -> None:
    with Served(
        tmp_path,
        app=PLAIN,
        config=CONFIG.replace("interval: 1s", "interval: soon"),
        environ={**QUIET, "OTELMON_ENABLED": "true"},
        before=INSTRUMENTED,
    ) as app:
        assert app.get("/items/1") == 200
        said = app.wait_for_log("the application is served, and not watched")
        assert "otelmon.yaml:2:11: interval" in said
