"""Two people, a served app that fails and a channel: nobody answers the first step, the second one is answered."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from otelmon.cli.main import app as command
from otelmon.testing import DiscordStandIn
from tests.e2e.served import LASTING, Served

pytestmark = pytest.mark.slow

ANA, BO = "112233445566778899", "223344556677889900"
NAMES = {ANA: "ana", BO: "bo"}
TEAM = f"""\
people:
  ana: {{discord: {ANA}}}
  bo: {{discord: {BO}}}
schedules:
  backend:
    time_zone: UTC
    layers:
      - {{rotation: weekly, start: 2026-01-05 09:00, participants: [ana, bo]}}
escalation:
  default:
    steps:
      - {{notify: [schedule: backend]}}
      - {{wait: 4s, notify: [next: backend]}}
      - {{wait: 20s, notify: [everyone: backend]}}
"""


def test_an_escalation_that_goes_unanswered_to_the_second_step_and_is_then_acknowledged(tmp_path: Path) -> None:
    with (
        DiscordStandIn() as discord,
        Served(tmp_path / "app", config=LASTING + TEAM, webhook_url=discord.webhook_url) as app,
    ):
        app.until(lambda: len(discord.messages) >= 2, doing=lambda: app.get("/fail"))
        first, second = discord.messages
        # Whoever is on call today is paged first, and the other one next.
        on_call, following = (ping.id for ping in discord.pings)
        assert [ping.message_id for ping in discord.pings] == [first.id, second.id]
        assert {on_call, following} == {ANA, BO}
        posted = [request.json()["content"] for request in discord.requests if request.method == "POST"]
        assert "Escalated to step 2, nobody acknowledged for" in posted[1]
        assert "Escalated" in second.content  # also once what explains it is in it
        assert f"Paged: {NAMES[on_call]}, {NAMES[following]}" in second.text
        assert "Next: ana, bo in 20 s, at " in second.text
        (incident_id,) = set(re.findall(r"otelmon ack (\w+)", second.text))
        # In this process: to start another may take longer than it is until the third step.
        asked = ["ack", incident_id, "--by", NAMES[following], "--config", str(app.folder / "otelmon.yaml")]
        taken = CliRunner().invoke(command, asked, env={"OTELMON_STATE_DIR": str(app.state_dir)})
        assert taken.exit_code == 0, taken.output
        app.until(lambda: "ACKNOWLEDGED" in discord.messages[1].content, doing=lambda: app.get("/fail"))
        assert NAMES[following] in discord.messages[1].content
        assert "Next:" not in discord.messages[1].text
        # A third step would have been due meanwhile.
        app.pass_ticks(20, doing=lambda: app.get("/fail"))
        assert len(discord.messages) == 2
        assert len(discord.pings) == 2
