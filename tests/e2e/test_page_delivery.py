"""Pages that do not arrive page the fallback: from the worker's figures through the rules to another channel."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from otelmon.alerts.by_hand import ByHand
from otelmon.collect.pipeline import open_pipeline
from otelmon.config.load import load_settings
from otelmon.faults import Faults
from otelmon.runtime.answers import Answers
from otelmon.runtime.assemble import assemble
from otelmon.runtime.member import join
from otelmon.testing import NO_LIMITS, DiscordStandIn, FakeClock, assert_no_secret
from otelmon.testing.faults import INTERNAL_ERROR
from tests.notify.receiver import Receiver

CONFIG = """
service: shop
paging: on
discord: {webhook_url: "${DISCORD}"}
notifiers:
  managers: {webhook: "${MANAGERS}"}
  checkout: {discord: "${CHECKOUT}", forum: true}
fallback: [managers]
routes:
  - {match: response_time, notify: [checkout]}
"""


class App:
    """A watching process whose time the test moves: 15 s a tick, then what is owed goes out."""

    def __init__(self, folder: Path, clock: FakeClock, **addresses: str) -> None:
        (folder / "otelmon.yaml").write_text(CONFIG, encoding="utf-8")
        environ = {**addresses, "HOME": str(folder)}
        settings = load_settings(None, environ=environ, directory=folder)
        self.clock = clock
        self.faults = Faults()
        self.pipeline = open_pipeline(service_name="shop", host="web-1", environment=None, faults=self.faults)
        self.member = join(settings, pipeline=self.pipeline, recorder=None, clock=clock, faults=self.faults)
        assert self.member.lease is not None
        assert self.member.lease.take()
        self.assembly = assemble(
            settings,
            self.member,
            pages=True,
            pipeline=self.pipeline,
            sample_host=lambda: None,
            clock=clock,
            faults=self.faults,
            at=clock.now(),
        )
        self.engine = self.assembly.engine
        answers = Answers(self.engine, None, now=clock.now, monotonic=clock.monotonic, delivery=self.assembly.delivery)
        self.ask = answers.answer

    def measures(self, name: str, value: float) -> None:
        self.engine.by_hand.append(ByHand(name=name, value=value, context={}))

    def run(self, seconds: float) -> None:
        for _ in range(int(seconds // 15)):
            self.clock.advance(15)
            self.engine.tick(self.clock.now())
            at = datetime.fromtimestamp(self.clock.now(), UTC)
            for worker in self.assembly.workers:
                worker.deliver_due(at)
            self.assembly.delivery.look(at)

    def close(self) -> None:
        self.assembly.close(1)
        self.member.close()
        self.pipeline.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(time.time())


@pytest.fixture
def discord(clock: FakeClock) -> Iterator[DiscordStandIn]:
    with DiscordStandIn(clock=clock, limits=NO_LIMITS) as opened:
        yield opened


@pytest.fixture
def forum(clock: FakeClock) -> Iterator[DiscordStandIn]:
    with DiscordStandIn(clock=clock, limits=NO_LIMITS, forum=True) as opened:
        yield opened


@pytest.fixture
def managers() -> Iterator[Receiver]:
    with Receiver() as opened:
        yield opened


@pytest.fixture
def app(
    tmp_path: Path, clock: FakeClock, discord: DiscordStandIn, forum: DiscordStandIn, managers: Receiver
) -> Iterator[App]:
    addresses = {"DISCORD": discord.webhook_url, "CHECKOUT": forum.webhook_url, "MANAGERS": managers.url}
    opened = App(tmp_path, clock, **addresses)
    opened.run(30)
    yield opened
    opened.close()
    state = b"".join(path.read_bytes() for path in tmp_path.rglob("state.db*"))
    assert state
    for secret in addresses.values():
        assert_no_secret(secret, state)


def names(managers: Receiver) -> list[tuple[str, str]]:
    return [(told.body["commonLabels"]["alertname"], told.body["status"]) for told in managers.told]


def test_a_broken_notifier_is_told_through_the_fallback_once_and_over_when_it_works(
    app: App, discord: DiscordStandIn, managers: Receiver
) -> None:
    discord.fail_always(INTERNAL_ERROR)
    app.measures("error_rate", 0.5)
    app.run(4 * 60)
    assert names(managers) == [("error_rate", "firing"), ("page_delivery", "firing")]
    assert managers.told[1].body["commonLabels"]["notifier"] == "discord"
    discord.fail_always(None)
    app.run(25 * 60)
    assert ("page_delivery", "resolved") in names(managers)
    assert not [message for message in discord.messages if "Page delivery" in message.text]
    assert [name for name, _ in names(managers)].count("page_delivery") == 2


def test_while_pages_arrive_nobody_is_told_of_delivery(app: App, discord: DiscordStandIn, managers: Receiver) -> None:
    app.measures("error_rate", 0.5)
    app.run(10 * 60)
    app.measures("error_rate", 0.0)
    app.run(5 * 60)
    assert managers.told == []
    assert [message.content.split()[0] for message in discord.messages] == ["✅", "✅"]


def test_a_route_leads_to_a_post_in_another_channel_where_the_incident_also_ends(
    app: App, discord: DiscordStandIn, forum: DiscordStandIn
) -> None:
    app.measures("response_time", 5000)
    app.run(60)
    (message,) = forum.messages
    (name,) = forum.threads.values()
    assert name.startswith("Response time")
    app.measures("response_time", 1)
    app.run(5 * 60)
    first, last = forum.messages
    assert (first.thread_id, last.thread_id, first.edits) == (message.id, message.id, 1)
    assert last.content.startswith("✅")
    assert discord.messages == ()


def test_the_control_socket_answers_how_delivery_goes(app: App, discord: DiscordStandIn) -> None:
    discord.forget_webhook()
    app.measures("error_rate", 0.5)
    app.run(30)
    answer = app.ask({"verb": "delivery"})
    found = {each["name"]: each for each in answer["notifiers"]}
    assert set(found) == {"log", "discord", "managers", "checkout"}
    assert (found["discord"]["rejected"], found["managers"]["delivered"]) == (1, 2)
    assert [each["notifier"] for each in answer["rejections"]] == ["discord"]
    assert_no_secret(discord.webhook_url, answer)
