"""An app and its server lose one another and meet again: each page comes once, and none is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from otelmon.alerts.by_hand import ByHand
from otelmon.paging.model import Page, PageAction, PageReason
from otelmon.testing.clock import FakeClock
from tests.e2e.fleet_simulation import AppSimulation, ServerSimulation, run
from tests.e2e.simulation import Simulation

MINUTE = 60.0
CONFIG = """
interval: 5s
alerts:
  error_rate: {window: 1m, keep_firing_for: 15s}
  response_time: off
  route_error_rate: off
"""


class Pair:
    """An app that sends to a server; both tick each 5 s, and both would page."""

    def __init__(self, folder: Path) -> None:
        for name in ("app", "server"):
            (folder / name).mkdir()
            (folder / name / "otelmon.yaml").write_text(CONFIG, encoding="utf-8")
        self.clock = FakeClock()
        self.server = ServerSimulation(folder / "server" / "otelmon.yaml", clock=self.clock)
        self.app = AppSimulation(folder / "app" / "otelmon.yaml", self.server)

    def run(self, seconds: float, *, errors: bool = False) -> None:
        def second() -> None:
            self.app.request(times=4)
            if errors:
                self.app.request(status=500, times=4)

        parts: list[Simulation] = [self.app] if self.server.down else [self.app, self.server]
        run(seconds, self.clock, parts, second)

    def cut(self) -> None:
        self.app.wire.cut = True

    def mend(self) -> None:
        self.app.wire.cut = False

    def pages(self, alert: str = "error_rate") -> tuple[int, int]:
        """How many pages the app and the server have sent that this alert fires."""
        app, server = (
            sum(self.fires(each, page, alert) for page in each.pages.pages) for each in (self.app, self.server)
        )
        return app, server

    def fires(self, of: Simulation, page: Page, alert: str) -> bool:
        said = page.action is PageAction.POST and page.reason is not PageReason.RESOLVED
        return said and of.alert_of(page) == alert


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def test_while_the_server_answers_it_alone_pages(pair: Pair) -> None:
    pair.run(MINUTE)
    pair.run(2 * MINUTE, errors=True)
    pair.run(3 * MINUTE)
    assert pair.pages() == (0, 1)
    assert not pair.app.pages.pages
    assert [name for _, name in pair.server.resolved] == ["error_rate"]


def test_what_begins_while_the_network_is_cut_is_paged_by_the_app_and_by_nobody_else(pair: Pair) -> None:
    pair.run(2 * MINUTE)
    pair.cut()
    pair.run(5)
    pair.run(25, errors=True)
    assert pair.pages() == (1, 0)
    pair.mend()
    pair.run(3 * MINUTE, errors=True)  # it goes on: the server sees it too, and knows whose it is
    assert pair.pages() == (1, 0)
    pair.run(8 * MINUTE)
    assert pair.pages() == (1, 0)
    assert [name for _, name in pair.app.resolved] == ["error_rate"]
    assert [name for _, name in pair.server.resolved if name == "error_rate"] == []
    pair.run(2 * MINUTE, errors=True)  # the next one is the server's again
    assert pair.pages() == (1, 1)


@pytest.mark.soak
def test_a_fault_that_came_and_went_while_the_network_was_cut_is_not_paged_again_by_the_server(pair: Pair) -> None:
    pair.run(2 * MINUTE)
    pair.cut()
    pair.run(30, errors=True)
    pair.run(2 * MINUTE)
    assert [name for _, name in pair.app.resolved] == ["error_rate"]
    pair.mend()
    pair.run(5 * MINUTE)
    assert pair.pages() == (1, 0)


def test_what_the_server_had_paged_before_the_cut_is_not_paged_again_by_the_app(pair: Pair) -> None:
    pair.run(2 * MINUTE)
    pair.run(MINUTE, errors=True)
    assert pair.pages() == (0, 1)
    pair.cut()
    pair.run(30, errors=True)
    pair.mend()
    pair.run(MINUTE, errors=True)
    pair.run(3 * MINUTE)
    assert pair.pages() == (0, 1)
    assert [name for _, name in pair.server.resolved if name == "error_rate"] == ["error_rate"]


@pytest.mark.soak
def test_a_server_that_stays_away_does_not_keep_its_pages_for_ever(pair: Pair) -> None:
    pair.run(2 * MINUTE)
    pair.run(MINUTE, errors=True)
    pair.server.down = True
    pair.run(10 * MINUTE, errors=True)
    assert pair.pages() == (0, 1)
    pair.run(MINUTE, errors=True)
    assert pair.pages() == (1, 1)  # nobody may have seen to it: the server that escalates is gone


def test_a_fault_that_begins_before_the_app_knows_that_the_server_is_lost_is_paged(pair: Pair) -> None:
    pair.run(2 * MINUTE)
    pair.cut()
    pair.run(10, errors=True)  # two sends have failed: the app is silent still
    assert pair.pages() == (0, 0)
    pair.run(15, errors=True)
    assert pair.pages() == (1, 0)


@pytest.mark.soak
def test_an_app_that_is_gone_with_its_claim_leaves_the_alert_to_the_server(pair: Pair) -> None:
    pair.run(2 * MINUTE)
    pair.cut()
    pair.run(30, errors=True)
    pair.mend()
    pair.run(20, errors=True)
    assert pair.pages() == (1, 0)
    claims: Callable[[], object] = pair.app.wire.hand_over.claims
    assert claims() == {"error_rate": True}
    pair.app.wire.cut = True  # killed; nobody counts, ticks or sends any more
    run(20, pair.clock, [pair.server], None)
    assert ("error_rate" in {name for _, name in pair.server.triggered}) or pair.server.pages.pages


def test_values_by_hand_are_paged_by_the_app_in_any_case(pair: Pair) -> None:
    pair.run(MINUTE)
    pair.app.engine.by_hand.append(ByHand(name="error_rate", value=0.9))
    pair.run(10)
    assert pair.pages() == (1, 0)
