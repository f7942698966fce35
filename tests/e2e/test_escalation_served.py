"""Two people, a served app that fails and a channel: nobody answers the first step, the second one is answered."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from otelmon.testing import DiscordStandIn, PostedMessage
from tests.e2e.served import CONFIG, Served

pytestmark = pytest.mark.slow

ANA, BO = "112233445566778899", "223344556677889900"
TEAM = f"""\
people:
  ana: {{discord: {ANA}}}
  bo: {{discord: {BO}}}
schedules:
  backend:
    layers:
      - {{rotation: weekly, start: 2026-01-05 09:00, participants: [ana, bo]}}
escalation:
  default:
    steps:
      - {{notify: [schedule: backend]}}
      - {{wait: 4s, notify: [next: backend]}}
      - {{wait: 20s, notify: [everyone: backend]}}
"""


def mentioned(message: PostedMessage) -> list[str]:
    return [person for person in (ANA, BO) if f"<@{person}>" in message.content]


def test_an_escalation_that_goes_unanswered_to_the_second_step_and_is_then_acknowledged(tmp_path: Path) -> None:
    with DiscordStandIn() as discord, Served(tmp_path / "app", config=CONFIG + TEAM, webhook_url=discord.webhook_url) as app:
        app.until(lambda: len(discord.messages) >= 2, doing=lambda: app.get("/fail"))
        first, second = discord.messages
        # Whoever is on call today is paged first, and the other one next.
        (on_call,), (following,) = mentioned(first), mentioned(second)
        assert {on_call, following} == {ANA, BO}
        assert "Escalated to step 2, nobody acknowledged for" in second.content
        name = {ANA: "ana", BO: "bo"}[following]
        (incident_id,) = {word for word in str(first.embeds).replace("'", " ").split() if len(word) == 4 and word in second.json_text}
        command = [sys.executable, "-m", "otelmon", "ack", incident_id, "--by", name]
        subprocess.run(command, cwd=app.folder, env=app.environ, check=True, capture_output=True)
        app.until(lambda: "ACKNOWLEDGED" in discord.messages[1].content, doing=lambda: app.get("/fail"))
        assert name in discord.messages[1].content
        app.pass_ticks(4, doing=lambda: app.get("/fail"))
        assert len(discord.messages) == 2
        assert discord.pings.count(on_call) == discord.pings.count(following) == 1
