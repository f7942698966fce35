"""Two teams share a server: each is told of its own services, by its own channel, and nothing of the other's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from otelmon.paging.model import Page, PageAction, PageReason
from otelmon.storage.sqlite import MEMORY, SqliteStorage
from otelmon.storage.store import Storage
from otelmon.testing.clock import FakeClock
from otelmon.testing.pages import CapturedPages
from tests.e2e.fleet_simulation import AppSimulation, ReplicaSimulation, ServerSimulation
from tests.e2e.simulation import unpaced

MINUTE = 60.0
TOKENS = """\
serve: {tokens: {north: 0123456789abcdef, south: fedcba9876543210}}
"""
_SECRET = "x" * 60
SHARED = f"""\
instance: node
{TOKENS}
notifiers:
  north: {{discord: "https://discord.com/api/webhooks/123456789012345671/{_SECRET}"}}
  south: {{discord: "https://discord.com/api/webhooks/123456789012345672/{_SECRET}"}}
routes:
  - {{match: 'tenant="north"', notify: [north]}}
  - {{match: 'tenant="south"', notify: [south]}}
"""


class Teams:
    """A server, and two instances of a service called ``shop`` for each team; both teams use the same names."""

    def __init__(
        self, folder: Path, config: str = SHARED, *, clock: FakeClock | None = None, disk: Storage | None = None
    ) -> None:
        self.path = folder / "otelmon.yaml"
        self.path.write_text(config, encoding="utf-8")
        self.clock = clock or FakeClock()
        self.server = ServerSimulation(self.path, clock=self.clock, disk=disk)
        self.replicas = {
            (team, name): ReplicaSimulation(self.server, self.path, name, tenant=team)
            for team in self.server.settings.serve.tenants.names or ("",)
            for name in ("web-1", "web-2")
        }
        self.failing = dict.fromkeys(("north", "south", "apps", ""), 0)
        self.dead: set[tuple[str, str]] = set()
        self.also: Callable[[int], None] = lambda _: None

    def run(self, seconds: float) -> None:
        """Each second a request to every instance, and what fails; all send each 15 s, and the server ticks."""
        for moment in range(1, int(seconds) + 1):
            self.clock.advance(1.0)
            for (team, name), replica in self.replicas.items():
                if (team, name) in self.dead:
                    continue
                replica.request(f"/{team}", times=4 - self.failing[team])
                replica.request(f"/{team}", 500, times=self.failing[team])
                if moment % 15 == 5:
                    replica.send()
            self.also(moment)
            if moment % 15 == 0:
                with unpaced():
                    self.server.tick()
                    self.server.explain()
            self.server.turn()

    def of(self, team: str) -> CapturedPages:
        return self.server.channels.get(team, self.server.pages)


def new(pages: CapturedPages) -> list[Page]:
    """Those that say that something fires."""
    return [page for page in pages.pages if page.reason is PageReason.TRIGGERED and page.action is PageAction.POST]


def all_said(pages: CapturedPages) -> str:
    """Every word that was sent there."""
    return "\n".join(map(str, pages.pages))


def test_a_fault_of_one_team_pages_that_team_with_its_own_numbers_and_nobody_else(tmp_path: Path) -> None:
    teams = Teams(tmp_path, SHARED + "alerts: {error_rate: {window: 1m}, route_error_rate: off}\n")
    teams.run(MINUTE)
    teams.failing["north"] = 1
    teams.run(2 * MINUTE)
    (page,) = new(teams.of("north"))
    assert page.message.title.startswith("Error rate")
    assert page.message.title.endswith("on shop")
    assert {field.name: field.value for field in page.message.fields}["Tenant"] == "north"
    ((_, alert),) = [item for each in teams.server.engine.rules.alerts.values() for item in each.items()]
    assert alert.value == pytest.approx(0.25)  # of a minute, when all else was over
    assert new(teams.of("south")) == new(teams.server.pages) == []
    teams.failing["south"] = 3
    teams.run(2 * MINUTE)
    (others,) = new(teams.of("south"))
    assert "north" not in all_said(teams.of("south"))
    assert "south" not in all_said(teams.of("north"))
    assert "/south" in all_said(teams.of("south"))  # its evidence names its own routes
    assert "What changed" not in all_said(teams.of("south"))  # such as that another error rate had risen
    assert others.incident_id != page.incident_id
    assert teams.server.pages.pages == ()


def test_a_team_whose_instances_all_die_is_told_and_the_other_is_not(tmp_path: Path) -> None:
    teams = Teams(tmp_path)
    teams.run(2 * MINUTE)
    teams.dead = {("south", "web-1"), ("south", "web-2")}
    teams.run(3 * MINUTE)
    (page,) = new(teams.of("south"))
    assert page.message.title == "Service silent on shop"
    assert "instances missing: 2" in page.message.description
    assert teams.of("north").pages == teams.server.pages.pages == ()


def test_a_farewell_of_one_team_ends_nothing_of_the_other(tmp_path: Path) -> None:
    teams = Teams(tmp_path)
    teams.run(2 * MINUTE)
    teams.dead = {(team, name) for team in ("south", "north") for name in ("web-1", "web-2")}
    for name in ("web-1", "web-2"):
        teams.replicas["north", name].say_farewell()
    teams.run(3 * MINUTE)
    assert [page.message.title for page in new(teams.of("south"))] == ["Service silent on shop"]
    assert teams.of("north").pages == ()


def test_a_claim_of_one_team_mutes_nothing_of_the_other(tmp_path: Path) -> None:
    teams = Teams(tmp_path, SHARED + "alerts: {service_silent: off, instance_silent: off}\n")
    (tmp_path / "app").mkdir()
    config = tmp_path / "app" / "otelmon.yaml"
    config.write_text("service: shop\nalerts: {service_silent: off}\n", encoding="utf-8")
    app = AppSimulation(config, teams.server, tenant="north")

    def serve(moment: int) -> None:
        app.request(times=3)
        app.request(status=500, times=teams.failing["north"])
        if moment % 15 == 10:
            with unpaced():
                app.tick()

    teams.also = serve
    teams.run(2 * MINUTE)
    app.wire.cut = True
    teams.failing["north"] = 2
    for team in teams.replicas:  # only the app of the north is there, and only it fails
        if team[0] == "north":
            teams.dead.add(team)
    teams.run(3 * MINUTE)
    assert [page.reason for page in app.pages.pages] == [PageReason.UNMUTED]
    app.wire.cut = False
    teams.run(MINUTE)
    assert new(teams.of("north")) == []  # the app pages it
    teams.failing["south"] = 2
    teams.run(3 * MINUTE)
    assert [page.message.title[:10] for page in new(teams.of("south"))] == ["Error rate"]
    assert new(teams.of("north")) == []
    assert app.wire.hand_over._paged == frozenset()  # it is not told of the south's page either


def test_with_one_token_pages_look_as_without_one(tmp_path: Path) -> None:
    def page_of(config: str) -> Page:
        folder = tmp_path / str(len(config))
        folder.mkdir()
        teams = Teams(folder, f"instance: node\n{config}\n")
        teams.run(2 * MINUTE)
        teams.failing |= {"apps": 1, "": 1}
        teams.run(3 * MINUTE)
        (page,) = new(teams.server.pages)
        return page

    alone, apps = page_of(""), page_of("serve: {tokens: {apps: 0123456789abcdef}}")
    assert apps.message.title == alone.message.title
    assert apps.message.description == alone.message.description
    assert [field.name for field in apps.message.fields] == [field.name for field in alone.message.fields]


@pytest.mark.parametrize("before", ["", "serve: {tokens: {apps: 0123456789abcdef}}"])
def test_another_token_pages_nobody_anew_for_what_goes_on(tmp_path: Path, before: str) -> None:
    quick = "instance: node\nalerts: {error_rate: {window: 1m, keep_firing_for: 0s}, route_error_rate: off}\n"
    disk = SqliteStorage(MEMORY)
    first = Teams(tmp_path, f"{quick}{before}\n", disk=disk)
    first.run(MINUTE)
    first.failing |= {"apps": 1, "": 1}
    first.run(MINUTE)
    assert len(new(first.server.pages)) == 1
    tokens = "apps: 0123456789abcdef" + (", south: fedcba9876543210" if before else "")
    again = Teams(tmp_path, f"{quick}serve: {{tokens: {{{tokens}}}}}\n", clock=first.clock, disk=disk)
    again.failing |= {"apps": 1}
    again.run(2 * MINUTE)
    assert again.server.pages.pages == ()
    again.failing |= {"apps": 0}
    again.run(2 * MINUTE)
    assert [page.reason for page in again.server.pages.pages if page.action is PageAction.POST] == [PageReason.RESOLVED]
