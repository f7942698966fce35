"""What a person sees first: how bad, what, how much, since when, who was paged and what comes next."""

from __future__ import annotations

from pathlib import Path

from otelmon.incidents.model import Acknowledge
from otelmon.paging.discord import COLOURS, payload
from otelmon.rules.model import Severity
from otelmon.testing.discord_rules import check
from tests.evidence.stories import broken, finding, now, pages, simulated

_TEAM = (
    "people: {ana: {discord: 112233445566778899}, bo: {discord: 223344556677889900}}\n"
    "escalation: {default: {steps: [{notify: [person: ana]}, {wait: 5m, notify: [person: bo]}]}}\n"
)


def test_a_page_says_it_all_in_one_look(tmp_path: Path) -> None:
    simulation = simulated(tmp_path, more=_TEAM + "environment: production")
    broken(simulation, "/pay", before=400)
    body = payload(pages(simulation)[0].message)
    check(body)
    (embed,) = body["embeds"]
    assert embed["title"] == "Error rate 6.25 % (limit 5 %) on shop, production"
    assert embed["color"] == COLOURS[Severity.CRITICAL]
    assert body["content"].startswith("🔴 **CRITICAL** Error rate 6.25 % (limit 5 %) on shop, production")
    fields = {field["name"]: field["value"] for field in embed["fields"]}
    seconds = int(pages(simulation)[0].due_at.timestamp())
    assert fields["Since"] == f"<t:{seconds}:f>, <t:{seconds}:R>"
    assert fields["Paged"] == "ana"
    assert fields["Next"].startswith("bo in 5 min, ")


def test_without_an_escalation_it_says_when_the_page_comes_again(tmp_path: Path) -> None:
    simulation = simulated(tmp_path)
    broken(simulation, "/pay")
    assert finding(simulation, "Next") == "this page again in 30 min, unless somebody acknowledges"
    simulation.disk.ask(Acknowledge(incident_id=pages(simulation)[0].incident_id, by="ana"), now(simulation))
    simulation.run(15)
    assert finding(simulation, "Next") == ""


def test_where_nothing_is_repeated_nothing_is_promised(tmp_path: Path) -> None:
    simulation = simulated(tmp_path, more="repeat_every: {critical: off}")
    broken(simulation, "/pay")
    assert finding(simulation, "Next") == ""
