"""`kill -9` of a whole server that forwards and pages: what it has taken goes on, and what it owed is said."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from otelmon.collect.otlp import GRPC, HTTP, Signal
from otelmon.notify.worker import LEASE_SECONDS
from otelmon.testing import NO_LIMITS, DiscordStandIn, PostedMessage
from otelmon.testing.faults import BAD_GATEWAY, Drip
from tests.e2e.fleet import Server
from tests.e2e.pipeline import SERVER, Feeder, arrived, check_arrived_in_order, forwarding, place, twice
from tests.server.forward.backend import OK, Backend, Say, http_backend
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

FAULT = """\
  shop_fault:
    {expr: shop_fault == 1, severity: critical, keep_firing_for: 0s, summary: 'round {{ $labels.round }} has failed'}
"""
CONFIG = SERVER + FAULT + "group_by: [alertname, round]\nstorm_after: 1000\n"
KILLS = 30
LASTING = 10
"""A fault goes on for so many rounds."""


def is_page(message: PostedMessage, name: str) -> bool:
    """Its text stays, by an edit, when it is over."""
    return f"round {name} has failed" in message.text


def is_end(message: PostedMessage, name: str) -> bool:
    return "RESOLVED" in message.content and f"for {name} on shop after" in message.content


def said(discord: DiscordStandIn, which: Callable[[PostedMessage, str], bool], name: str) -> list[PostedMessage]:
    """The pages, or the ends, of a round."""
    return [message for message in discord.messages if which(message, name)]


def test_what_was_owed_when_it_was_killed_arrives_once(tmp_path: Path) -> None:
    with http_backend() as backend, DiscordStandIn(limits=NO_LIMITS) as discord:
        backend.answer = lambda _signal, _body: Say(status=503)
        discord.fail_always(BAD_GATEWAY)
        config = forwarding(backend.url, HTTP, config=CONFIG)
        with (
            Server(tmp_path, config=config, webhook_url=discord.webhook_url) as server,
            Feeder("web-1", HTTP, server.endpoint) as feeder,
        ):
            feeder.faults = {"1": 1}
            tried = "SELECT count(*) FROM pages WHERE attempts > 0"
            wait_until(lambda: server._ask(tried) == 1, f"a page is owed\n{server.log}")
            server.kill()
            assert backend.taken == []
            assert discord.messages == ()
            backend.answer = lambda _signal, _body: OK
            discord.fail_always(None)
            with Server(tmp_path, config=config, webhook_url=discord.webhook_url) as again:
                feeder.url = again.endpoint
                discord.wait_for(lambda message: is_page(message, "1"), 2 * LEASE_SECONDS)
                feeder.stop()
                again.stop()
        check_arrived_in_order([feeder], backend)
        assert twice(arrived(backend)["web-1"]) <= feeder.unsure
        assert len(discord.messages) == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """One of many: when, and how many requests the backend had taken before the next server started."""

    at: float
    taken: int
    owed: int


def check_only_what_was_under_way_came_again(
    kills: Sequence[Kill], feeders: Sequence[Feeder], backend: Backend
) -> None:
    """That is what the last request before a kill had in it, and what its client had no answer for."""
    for feeder in feeders:
        of_kills = [arrived(backend, kill.taken - 1, kill.taken + 1).get(feeder.instance, ()) for kill in kills]
        assert twice(arrived(backend)[feeder.instance]) <= feeder.unsure.union(*of_kills)


def check_pages(kills: Sequence[Kill], discord: DiscordStandIn) -> None:
    """Each page and each end once, and once more for a kill between Discord's taking it and our noting that."""
    names = [str(number) for number in range(len(kills))]
    found = [said(discord, which, name) for name in names for which in (is_page, is_end)]
    assert all(found)
    for messages in found:
        for first, second in pairwise(message.posted_at for message in messages):
            assert any(first <= kill.at <= min(second, first + LEASE_SECONDS) for kill in kills)
    assert sum(map(len, found)) == len(discord.messages)


def report(kills: Sequence[Kill], feeders: Sequence[Feeder], backend: Backend, discord: DiscordStandIn) -> None:
    """Prints what was seen."""
    pages, ends = ([len(said(discord, which, str(n))) for n in range(len(kills))] for which in (is_page, is_end))
    again = {feeder.instance: len(twice(arrived(backend)[feeder.instance])) for feeder in feeders}
    taken = sum(len(feeder.taken) for feeder in feeders)
    print(f"{len(kills)} kills, {sum(kill.owed > 0 for kill in kills)} with pages owed; {taken} numbers taken")
    print(f"came again: {again}, of these sent again by clients: {[len(feeder.unsure) for feeder in feeders]}")
    print(f"pages: {Counter(pages)}, ends: {Counter(ends)}, messages in all {len(discord.messages)}")


@pytest.mark.soak
def test_thirty_kills_at_any_moment_lose_nothing_that_was_taken_and_no_page(tmp_path: Path) -> None:
    """Each round has a fault of its own, which begins and ends at some moment of it; so does the server."""
    chance, pace = random.Random(8), threading.Event()
    kills: list[Kill] = []

    def slow(_signal: Signal, _body: bytes) -> Say:  # so that some kills come between its taking and its answer
        pace.wait(0.1)
        return OK

    with http_backend() as backend, DiscordStandIn(limits=NO_LIMITS) as discord, ExitStack() as stack:
        backend.answer = slow
        config = forwarding(backend.url, HTTP, config=CONFIG)
        feeders = [Feeder("web-1", HTTP, ""), Feeder("web-2", HTTP, ""), Feeder("web-3", GRPC, "")]
        for number in range(KILLS):
            with Server(tmp_path, config=config, webhook_url=discord.webhook_url) as server:
                for feeder in feeders:
                    feeder.url = place(server, GRPC if feeder.instance == "web-3" else HTTP)
                    if number == 0:
                        stack.enter_context(feeder)
                # Discord takes the page at once and says so later, or has trouble, or is well.
                slowly = number % 3 == 0
                discord.fail_always(Drip(seconds=0.005) if slowly else BAD_GATEWAY if number % 3 == 1 else None)
                pace.wait(chance.uniform(0.0, 1.0))
                over = {
                    name for name in feeders[0].faults if int(name) <= number - LASTING and said(discord, is_page, name)
                }
                feeders[0].faults = {name: int(name not in over) for name in (*feeders[0].faults, str(number))}
                if slowly:
                    wait_until(lambda name=str(number): said(discord, is_page, name), server.log)
                pace.wait(chance.uniform(0.0, 1.0 if slowly else 3.0))
                owed = server.open_pages()
                server.kill()
                kills.append(Kill(at=time.time(), taken=len(backend.taken), owed=owed))
            discord.fail_always(None)
        with Server(tmp_path, config=config, webhook_url=discord.webhook_url) as server:
            for feeder in feeders:
                feeder.url = place(server, GRPC if feeder.instance == "web-3" else HTTP)
            for which in (is_page, is_end):
                for name in feeders[0].faults:
                    wait_until(lambda name=name, which=which: said(discord, which, name), f"{name}: {server.log}")
                # What was under way at a kill is tried again once the claim of whoever died is over.
                wait_until(lambda: server.open_pages() == 0, server.log, timeout=4 * LEASE_SECONDS)
                feeders[0].faults = dict.fromkeys(feeders[0].faults, 0)
            server.pass_ticks(5)
            for feeder in feeders:
                feeder.stop()
            server.stop()
        report(kills, feeders, backend, discord)
        check_arrived_in_order(feeders, backend)
        check_only_what_was_under_way_came_again(kills, feeders, backend)
        check_pages(kills, discord)
