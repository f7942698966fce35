"""A chart in the page: with its evidence, a little later where drawing takes long, and once more at the end."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otelmon.incidents.chart import Chart
from otelmon.incidents.model import Finding
from otelmon.notify.discord import DiscordNotifier
from otelmon.notify.pictures import LATE_SECONDS, Pictures
from otelmon.paging.discord import chart_field
from otelmon.paging.model import Field, Page, PageAction, PageReason
from otelmon.runtime.evidence import Question
from otelmon.storage.codec import decode_page, encode_page
from otelmon.testing import NO_LIMITS, DiscordStandIn, FakeClock
from tests.charts.test_pictures import wait_until
from tests.e2e.simulation import Simulation
from tests.evidence.stories import broken, now, pages, simulated

ANSWER = "import os, sys\nfor line in sys.stdin.buffer: os.write(1, (7).to_bytes(4, 'big') + b'picture')"


@pytest.fixture
def pictures(tmp_path: Path) -> Iterator[Pictures]:
    """Drawn by a process that answers at once."""
    drawn = Pictures(tmp_path / "fonts", command=(sys.executable, "-I", "-c", ANSWER))
    yield drawn
    drawn.close()


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[tuple[Pictures, Callable[[], None]]]:
    """Drawn by a process that answers once it is told to."""
    go = tmp_path / "go"
    waits = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
    # No time passes for the one who waits: the picture is late at once.
    drawn = Pictures(tmp_path / "fonts", command=(sys.executable, "-I", "-c", waits + ANSWER))
    yield drawn, go.touch
    drawn.close()


class Asked:
    """A source that counts how often it is asked, and knows nothing."""

    def __init__(self) -> None:
        self.times = 0

    def begin(self, question: Question) -> None:
        self.times += 1

    def findings(self, question: Question) -> tuple[Finding, ...]:
        return ()


def shown(page: Page) -> tuple[Field, Chart]:
    """The field that a chart says, and the chart."""
    field = chart_field(page.message)
    assert field is not None
    assert field.chart is not None
    return field, field.chart


def recover(simulation: Simulation) -> None:
    while not any(page.reason is PageReason.RESOLVED for page in pages(simulation)):
        simulation.run(60, lambda: simulation.request("/items", times=3))


def edits(simulation: Simulation) -> list[Page]:
    return [page for page in pages(simulation) if page.action is PageAction.EDIT]


def test_the_page_has_a_chart_with_limit_firing_and_deploy(tmp_path: Path, pictures: Pictures) -> None:
    simulation = simulated(tmp_path, pictures=pictures)
    simulation.notes.start("v1", simulation.clock.now())
    simulation.run(300, lambda: simulation.request("/items", times=3))
    simulation.notes.start("v2", simulation.clock.now())
    deployed_at = simulation.clock.now()
    broken(simulation, "/pay", before=300)
    assert chart_field(pages(simulation)[-1].message) is None
    simulation.explain()
    field, chart = shown(pages(simulation)[-1])
    fired_at = now(simulation).timestamp()
    assert field.name.startswith("The last ")
    assert (chart.bound, chart.deploys) == (0.05, ((deployed_at, "v2"),))
    assert chart.firing == ((fired_at, None),)
    assert chart.points[-1] == (pytest.approx(fired_at, abs=1e-5), pytest.approx(0.05, abs=0.02))
    assert [value for _, value in chart.points[:5]] == [None] * 5  # nothing failed yet, so there was no rate of it
    assert pictures.ready(chart) == b"picture"
    assert len(edits(simulation)) == 1


def test_without_the_extra_there_is_the_row_of_blocks_alone(tmp_path: Path) -> None:
    simulation = simulated(tmp_path)
    broken(simulation, "/pay", before=600)
    simulation.explain()
    assert chart_field(pages(simulation)[-1].message) is None
    assert any(field.name.startswith("The last ") for field in pages(simulation)[-1].message.fields)
    recover(simulation)
    simulation.explain()
    assert [page.reason for page in edits(simulation)] == [PageReason.EVIDENCE, PageReason.RESOLVED]


def test_when_it_is_over_the_chart_shows_how_it_ended(tmp_path: Path, pictures: Pictures) -> None:
    simulation = simulated(tmp_path, pictures=pictures)
    broken(simulation, "/pay", before=600)
    simulation.explain()
    found = [field.name for field in pages(simulation)[-1].message.fields]
    others = Asked()
    simulation.gatherer._sources = [*simulation.gatherer._sources, others]
    recover(simulation)
    over_at = now(simulation).timestamp()
    _, before = shown(edits(simulation)[-1])
    assert before.firing[0][1] is None
    simulation.explain()
    last = pages(simulation)[-1]
    _, chart = shown(last)
    assert (last.action, last.message.resolved) == (PageAction.EDIT, True)
    assert len(chart.firing) == 1
    assert chart.firing[0][1] == over_at
    assert chart.points[-1][0] == over_at
    assert chart.points[-1][1] is None or chart.points[-1][1] < 0.05
    assert {"Routes", "Errors"} <= set(found) & {field.name for field in last.message.fields}
    assert others.times == 0  # the rest is told of how it began
    assert pictures.ready(chart) == b"picture"
    assert [page.reason for page in edits(simulation)] == [
        PageReason.EVIDENCE,
        PageReason.RESOLVED,
        PageReason.EVIDENCE,
    ]


def test_an_alert_that_comes_back_has_two_spans(tmp_path: Path, pictures: Pictures) -> None:
    simulation = simulated(tmp_path, pictures=pictures)
    broken(simulation, "/pay", before=600)
    simulation.explain()
    recover(simulation)
    simulation.explain()
    while pages(simulation)[-1].reason is not PageReason.REOPENED:
        simulation.run(15, lambda: simulation.request("/pay", 500, times=3))
    simulation.explain()
    _, chart = shown(pages(simulation)[-1])
    assert len(chart.firing) == 2
    assert chart.firing[0][1] is not None
    assert chart.firing[1][1] is None


def test_a_picture_that_is_late_comes_with_an_edit_of_its_own(
    tmp_path: Path, slow: tuple[Pictures, Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otelmon.runtime.evidence.LIMIT_SECONDS", 0.0)
    pictures, go = slow
    simulation = simulated(tmp_path, pictures=pictures)
    broken(simulation, "/pay", before=600)
    simulation.explain()
    assert chart_field(pages(simulation)[-1].message) is None
    assert any(field.name.startswith("The last ") for field in pages(simulation)[-1].message.fields)
    simulation.gatherer.look_at_pictures()
    simulation.explain()
    assert len(edits(simulation)) == 1
    go()
    (late, _) = simulation.gatherer._late[0]
    chart = next(finding.chart for finding in late.findings if finding.chart is not None)
    wait_until(lambda: pictures.ready(chart) is not None)
    simulation.gatherer.look_at_pictures()
    simulation.explain()
    assert shown(edits(simulation)[1])[1] == chart
    simulation.gatherer.look_at_pictures()
    simulation.explain()
    assert len(edits(simulation)) == 2


def test_one_that_never_comes_is_forgotten(
    tmp_path: Path, slow: tuple[Pictures, Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otelmon.runtime.evidence.LIMIT_SECONDS", 0.0)
    simulation = simulated(tmp_path, pictures=slow[0])
    broken(simulation, "/pay", before=600)
    simulation.explain()
    assert len(simulation.gatherer._late) == 1
    simulation.clock.advance(LATE_SECONDS + 1)
    simulation.gatherer.look_at_pictures()
    assert simulation.gatherer._late == []
    assert simulation.faults.counts["evidence.chart"] == 1
    simulation.explain()
    assert len(edits(simulation)) == 1


def test_it_is_seen_on_discord(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib (the extra `charts`) is not installed")
    drawn = Pictures(tmp_path / "fonts")
    clock = FakeClock()
    with DiscordStandIn(clock=clock, limits=NO_LIMITS) as discord:
        notifier = DiscordNotifier("discord", discord.webhook_url, clock=clock, pictures=drawn.ready)
        simulation = simulated(tmp_path, clock=clock, notifier=notifier, pictures=drawn)
        drawn.begin()
        simulation.run(600, lambda: simulation.request("/items", times=3))
        simulation.run(120, lambda: simulation.request("/pay", 500))
        assert discord.messages[0].attachments == ()
        simulation.explain()
        wait_until(lambda: not simulation.gatherer._late or simulation.gatherer.look_at_pictures())
        simulation.explain()
        (message,) = discord.messages
        picture = message.image(message.embeds[0])
        assert picture is not None
        assert picture.content.startswith(b"\x89PNG")
        assert "limit 5 %" in picture.description
        assert "▁" not in message.text
        simulation.run(900, lambda: simulation.request("/items", times=3))
        simulation.explain()
        ended = discord.messages[0].image(discord.messages[0].embeds[0])
        assert ended is not None
        assert ended.content != picture.content
        assert len(discord.messages[0].attachments) == 1
    drawn.close()
    notifier.close()


def test_a_chart_is_stored_with_its_page_and_its_incident(tmp_path: Path, pictures: Pictures) -> None:
    simulation = simulated(tmp_path, pictures=pictures)
    broken(simulation, "/pay", before=600)
    simulation.explain()
    page = pages(simulation)[-1]
    kept = decode_page(json.loads(json.dumps(encode_page(page))))
    assert shown(kept) == shown(page)
    (incident,) = simulation.disk.restore().incidents.values()
    assert shown(page)[1] in [finding.chart for finding in incident.evidence]
