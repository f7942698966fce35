"""Delivery through several notifiers, over real sockets and a real state file: the fallback, the figures, no secret."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otelmon.config.load import load_settings
from otelmon.notify.worker import Worker
from otelmon.paging.decide import Context, decide
from otelmon.paging.routing import routed
from otelmon.runtime.assemble import make_notifiers, make_routing
from otelmon.runtime.delivery import Delivery
from otelmon.storage.sqlite import SqliteStorage
from otelmon.testing import NO_LIMITS, DiscordStandIn, FakeClock, assert_no_secret
from otelmon.testing.faults import INTERNAL_ERROR
from tests.alerts.build import minute
from tests.incidents.test_step import Story, fires, resolves
from tests.notify.receiver import Answer, Receiver
from tests.storage.build import firing

TOKEN = "a-bearer-token-that-must-not-show"
CONFIG = """
service: shop
discord: {webhook_url: "${DISCORD}"}
notifiers:
  managers: {webhook: "${MANAGERS}", token: "${TOKEN}"}
fallback: [managers]
"""


class World:
    """A service whose settings name a Discord channel and a fallback, both on this machine."""

    def __init__(self, folder: Path, discord: DiscordStandIn, managers: Receiver, clock: FakeClock) -> None:
        (folder / "otelmon.yaml").write_text(CONFIG, encoding="utf-8")
        environ = {"DISCORD": discord.webhook_url, "MANAGERS": managers.url, "TOKEN": TOKEN, "HOME": str(folder)}
        settings = load_settings(None, environ=environ, directory=folder)
        self.settings = settings
        self.clock = clock
        self.path = folder / "state.db"
        self.storage = SqliteStorage(self.path)
        self.notifiers = make_notifiers(settings, clock)
        self.routing = make_routing(settings)
        self.worker = Worker(self.storage, self.notifiers, clock, fallback=self.routing.fallback)
        self.delivery = Delivery(list(self.notifiers), [self.worker], [self.storage])
        self.story = Story()

    def happens(self, number: float, *transitions: object) -> None:
        made = routed(self.story.at(number, transitions), self.routing)
        self.story.open, self.story.recent = dict(made.incidents), dict(made.recent)
        pages = decide(made.changes, routing=self.routing, about=Context(service="shop"))
        self.storage.save(minute(number), alerts={}, changes=made.changes, pages=pages)

    def works(self, number: float) -> None:
        self.clock.advance((minute(number) - datetime.fromtimestamp(self.clock.now(), UTC)).total_seconds())
        self.worker.deliver_due(minute(number))
        self.delivery.look(minute(number))

    def close(self) -> None:
        for notifier in self.notifiers.values():
            notifier.close()
        self.storage.close()


@pytest.fixture
def clock():
    return FakeClock(minute(0).timestamp())


@pytest.fixture
def discord(clock):
    with DiscordStandIn(clock=clock, limits=NO_LIMITS) as stand_in:
        yield stand_in


@pytest.fixture
def managers():
    with Receiver() as opened:
        yield opened


@pytest.fixture
def world(tmp_path, discord, managers, clock, caplog):
    caplog.set_level(logging.DEBUG)
    opened = World(tmp_path, discord, managers, clock)
    yield opened
    answered = json.dumps(opened.delivery.answer())
    opened.close()
    written = [path.read_bytes() for path in tmp_path.glob("state.db*")]
    for secret in (discord.webhook_url, managers.url, TOKEN):
        assert_no_secret(
            secret, answered, *written, *caplog.records, opened.settings, *map(repr, opened.notifiers.values())
        )


def test_a_deleted_webhook_pages_through_the_fallback_which_hears_the_end_too(world, discord, managers):
    discord.forget_webhook()
    world.happens(0, fires(firing("a")))
    world.works(0)
    (told,) = managers.told
    assert (told.body["status"], told.headers["Authorization"]) == ("firing", f"Bearer {TOKEN}")
    note = told.body["commonAnnotations"]["otelmon_note"]
    assert note.startswith("Not delivered to discord: the webhook does not take pages any more (HTTP 404 Unknown")
    world.happens(3, resolves(firing("a"), minute(3)))
    world.works(3)
    _, over = managers.told
    assert (over.body["status"], over.body["groupKey"]) == ("resolved", told.body["groupKey"])
    assert over.body["alerts"][0]["fingerprint"] == told.body["alerts"][0]["fingerprint"]
    world.works(60)
    assert len(managers.told) == 2


def test_an_outage_of_discord_pages_the_fallback_after_two_minutes_and_discord_once_it_is_back(
    world, discord, managers
):
    discord.fail_always(INTERNAL_ERROR)
    world.happens(0, fires(firing("a")))
    world.works(0)
    world.works(1.5)
    assert managers.told == []
    world.works(2)
    assert "within 2m: HTTP 500" in managers.told[0].body["commonAnnotations"]["otelmon_note"]
    discord.fail_always(None)
    world.works(20)
    assert (len(discord.messages), len(managers.told)) == (1, 1)


def test_ninety_seconds_of_errors_bother_nobody_else(world, discord, managers):
    discord.fail_always(INTERNAL_ERROR)
    world.happens(0, fires(firing("a")))
    for second in range(0, 91, 5):
        world.works(second / 60)
    discord.fail_always(None)
    for second in range(95, 1200, 5):
        world.works(second / 60)
    assert (len(discord.messages), managers.told) == (1, [])


def test_what_goes_wrong_is_counted_by_notifier_and_can_be_asked_for(world, discord, managers):
    discord.forget_webhook()
    managers.answers = [Answer(503)]
    world.happens(0, fires(firing("a")))
    world.works(0)
    found = {each["name"]: each for each in world.delivery.answer()["notifiers"]}
    assert (found["discord"]["rejected"], found["discord"]["owed"]) == (1, 0)
    assert found["discord"]["last_error"].startswith("the webhook does not take pages any more")
    assert (found["managers"]["retried"], found["managers"]["owed"]) == (1, 1)
    assert found["managers"]["oldest_at"] == minute(0).timestamp()
    (rejection,) = world.delivery.answer()["rejections"]
    assert (rejection["notifier"], rejection["incident"]) == ("discord", next(iter(world.story.open)))
    world.works(10)
    found = {each["name"]: each for each in world.delivery.answer()["notifiers"]}
    assert (found["managers"]["delivered"], found["managers"]["owed"], found["managers"]["oldest_at"]) == (1, 0, None)


def test_the_figures_are_metrics_that_rules_can_see(world, discord):
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    world.delivery.measure(provider.get_meter("otelmon"))
    discord.fail_always(INTERNAL_ERROR)
    world.happens(0, fires(firing("a")))
    world.works(0)
    world.works(3)
    metrics = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
    found = {
        (metric.name, point.attributes["notifier"]): point.value
        for metric in metrics
        for point in metric.data.data_points
    }
    assert found["otelmon.page.failed", "discord"] == 2
    assert found["otelmon.page.sent", "managers"] == 1
    assert (found["otelmon.outbox.depth", "discord"], found["otelmon.outbox.late", "discord"]) == (1, 1)
    assert found["otelmon.page.rejected", "log"] == 0
    provider.shutdown()


def test_a_notifier_that_is_no_longer_configured_rejects_with_its_reason_and_the_fallback_gets_the_page(
    world, managers
):
    world.happens(0, fires(firing("a")))
    del world.notifiers["discord"]
    world.worker = Worker(world.storage, world.notifiers, world.clock, fallback=("managers",))
    world.works(0)
    assert managers.told[0].body["commonAnnotations"]["otelmon_note"].endswith("no notifier is named 'discord'")
