"""Two servers on one state directory: the second one waits with closed ports, and takes over when the first ends."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from otelmon.testing import DiscordStandIn, PostedMessage
from tests.e2e.fleet import CONFIG, Replica, Server
from tests.e2e.served import Served

pytestmark = [pytest.mark.slow, pytest.mark.soak]


def is_page(message: PostedMessage) -> bool:
    return "Error rate" in f"{message.content} {message.embeds}"


@pytest.mark.parametrize("killed", [True, False])
def test_the_second_server_takes_over_and_pages_nothing_twice(tmp_path: Path, *, killed: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = CONFIG.replace("http: 0", f"http: {port}").replace("window: 10s", "window: 5m")
    # While nobody listens nobody is heard, for longer than the second that this fleet's intervals have.
    config = config.replace("service_silent: {keep_firing_for: 0s}", "service_silent: off")
    with DiscordStandIn() as discord:
        first = Server(tmp_path, config=config, webhook_url=discord.webhook_url)
        second = Server(tmp_path, config=config, webhook_url=discord.webhook_url)
        with first:
            replica = Replica(first.endpoint, "shop-1")

            def serve(bad: int, good: int = 1) -> None:
                replica.serve(good=good, bad=bad)
                replica.send()

            Served.__enter__(second)  # which does not wait until it listens
            try:
                first.until(lambda: bool(discord.messages), doing=lambda: serve(1))
                assert [is_page(message) for message in discord.messages] == [True]
                second.wait_for_log("health, metrics and pages")
                assert "taking OTLP" not in second.log
                if killed:
                    first.kill()
                else:
                    first.stop()
                assert f"http on port {port}" in second.wait_for_log("taking OTLP")
                # It goes on where the first one was: what fails still is no news.
                second.pass_ticks(8, doing=lambda: serve(1))
                assert len(discord.messages) == 1
                # It is healed by so much that the ratio is below the limit in the whole window.
                second.until(lambda: len(discord.messages) > 1, doing=lambda: serve(0, good=500))
                assert "RESOLVED" in f"{discord.messages[1].content} {discord.messages[1].embeds}"
            finally:
                second.__exit__(None, None, None)
            assert "Traceback" not in second.log
