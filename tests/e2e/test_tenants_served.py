"""A real `otelmon serve` with a token for each of two teams, and a channel for each."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from otelmon.testing import DiscordStandIn
from tests.e2e.fleet import CONFIG, Replica, Server

pytestmark = [pytest.mark.slow, pytest.mark.soak]

TOKENS = {"north": "token-of-the-north-1", "south": "token-of-the-south-2"}
TENANTS = CONFIG.replace(
    "serve: {", f"serve: {{tokens: {{{', '.join(f'{name}: {token}' for name, token in TOKENS.items())}}}, "
) + (
    'notifiers: {north: {discord: "${NORTH}"}, south: {discord: "${SOUTH}"}}\n'
    "routes:\n"
    "  - {match: 'tenant=\"north\"', notify: [north]}\n"
    "  - {match: 'tenant=\"south\"', notify: [south]}\n"
)


def said(discord: DiscordStandIn) -> str:
    return "\n".join(f"{message.content} {message.embeds}" for message in discord.messages).replace("\\", "")


def test_each_team_is_told_of_its_own(tmp_path: Path) -> None:
    with (
        DiscordStandIn() as everybody,
        DiscordStandIn() as north,
        DiscordStandIn() as south,
        Server(
            tmp_path,
            config=TENANTS,
            webhook_url=everybody.webhook_url,
            NORTH=north.webhook_url,
            SOUTH=south.webhook_url,
        ) as server,
    ):
        replicas = {
            name: Replica(server.endpoint, "shop-1", headers={"Authorization": f"Bearer {token}"})
            for name, token in TOKENS.items()
        }

        def serve(**bad: int) -> None:
            for name, replica in replicas.items():
                replica.serve(good=1, bad=bad.get(name, 0))
                replica.send()

        up = 'count(otelmon_instance_up{job="shop"} == 1)'
        server.until(lambda: server.query(up) == {"": 2.0}, doing=serve)
        server.pass_ticks(3, doing=serve)
        server.until(lambda: bool(north.messages), doing=lambda: serve(north=2))
        server.pass_ticks(3, doing=lambda: serve(north=2))
        assert "Error rate" in said(north)
        assert "'Tenant', 'value': 'north'" in said(north)
        assert south.messages == everybody.messages == ()
        for token, paged in ((TOKENS["north"], ["error_rate"]), (TOKENS["south"], [])):
            url, headers = f"{server.endpoint}/otelmon/paged?job=shop", {"Authorization": f"Bearer {token}"}
            assert httpx.get(url, headers=headers, timeout=60).json() == {"paged": paged}
        assert httpx.get(url, timeout=60).status_code == 401
        wrong = {"Authorization": "Bearer another"}
        assert httpx.post(f"{server.endpoint}/v1/metrics", headers=wrong, timeout=60).status_code == 401
        metrics = server.page("/metrics").text
        assert "tenant" not in metrics
        assert "shop" not in metrics
        assert "otelmon_" in metrics
        replicas.pop("south").die()
        server.until(lambda: bool(south.messages), doing=lambda: serve(north=2))
        assert "Service silent" in said(south)
        assert "Service silent" not in said(north)
        assert "north" not in said(south)
        assert everybody.messages == ()
        server.stop()
        assert server.process.returncode == 0
