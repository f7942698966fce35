"""A fleet that sends to `otelmon serve`: one evaluation, one page, and somebody is told when all are dead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from otelmon.testing import DiscordStandIn
from tests.e2e.fleet import Replica, Server

pytestmark = pytest.mark.slow


@pytest.fixture
def discord() -> Iterator[DiscordStandIn]:
    with DiscordStandIn() as stand_in:
        yield stand_in


def test_one_fault_in_five_replicas_is_one_page_and_their_end_another(tmp_path: Path, discord: DiscordStandIn) -> None:
    with Server(tmp_path, webhook_url=discord.webhook_url) as server:
        replicas = [Replica(server.endpoint, f"shop-{number}") for number in range(1, 6)]

        def all_serve(*, bad: int) -> None:
            for number, each in enumerate(replicas, start=1):
                each.serve(good=10 * number, bad=bad * number)
                each.send()

        server.until(lambda: len(server.query("otelmon_instance_up == 1")) == 5, doing=lambda: all_serve(bad=0))
        server.pass_ticks(3, doing=lambda: all_serve(bad=0))
        assert server.page("/-/ready").status_code == 200
        assert discord.messages == []

        server.until(lambda: len(discord.messages) == 1, doing=lambda: all_serve(bad=10))
        server.stop()
