"""Evidence in a running monitor: with its threads, its state and a Discord that answers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import otelmon
from otelmon.instrument.diagnostics import Diagnostics
from otelmon.instrument.sources import SOURCES
from otelmon.testing.discord import DiscordStandIn


@pytest.fixture
def discord(configure: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[DiscordStandIn]:
    with DiscordStandIn() as stand_in:
        monkeypatch.setenv("DISCORD_WEBHOOK_URL", stand_in.webhook_url)
        configure("paging: on\n")
        SOURCES.diagnostics, kept = Diagnostics(), SOURCES.diagnostics
        yield stand_in
        otelmon.stop()
        SOURCES.diagnostics = kept


def test_the_page_is_there_before_its_evidence_and_is_edited_then(discord: DiscordStandIn) -> None:
    @otelmon.diagnostic("error_rate", name="Who asks")
    def who_asks() -> str:
        return f"{threading.current_thread().name} says hello"

    otelmon.start()
    otelmon.process_alert("error_rate", 0.06)
    discord.wait_for(lambda message: "CRITICAL" in message.content, 30)
    _until(lambda: "otelmon-diagnostic says hello" in str(discord.messages[0].embeds))
    assert len(discord.messages) == 1
    assert discord.messages[0].edits == 1
    posted, edited = (json.dumps(request.json()) for request in discord.requests)
    assert "says hello" not in posted
    assert "says hello" in edited


def test_a_monitor_that_pages_nobody_asks_nobody(here: Path) -> None:
    asked: list[int] = []
    SOURCES.diagnostics, kept = Diagnostics(), SOURCES.diagnostics
    otelmon.diagnostic("error_rate")(lambda: asked.append(1))
    monitor = otelmon.start(paging="off")
    otelmon.process_alert("error_rate", 0.06)
    otelmon.snapshot()
    monitor.stop()
    SOURCES.diagnostics = kept
    assert asked == []


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)
