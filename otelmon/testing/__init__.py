"""The test kit: what otelmon's own tests stand on, for your tests too.

In:    your rules, your application, a time that you make pass.
Out:   what Discord would have shown, who would have been pinged, or silence.
Owns:  a clock that is moved by hand, a stand-in for Discord, captured pages, the hunt for leaked secrets.
Never: is imported by the running monitor.

A page over a real socket, and nothing after it::

    from otelmon.testing import DiscordStandIn

    def test_an_outage_pages_the_person_on_call(client):
        with DiscordStandIn() as discord:
            app = make_app(webhook_url=discord.webhook_url)
            break_the_database(app)
            message = discord.wait_for(lambda message: "Error rate" in message.content, timeout=10)
            assert [ping.id for ping in discord.pings] == ["123456789012345678"]
            discord.expect_silence_after(message)

All that is named in ``__all__`` can be imported from here: FakeClock; DiscordStandIn with its RateLimits (or NO_LIMITS)
and the PostedMessages and Pings it keeps; the faults it can be told to have (Answer, Limited, Hang, Drop, Drip);
CapturedPages, a notifier that keeps what it is given; MemoryOutbox; assert_no_secret.
``python -m otelmon.testing.discord --port 8999`` runs the stand-in by itself and shows the channel on its front page.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otelmon.testing.channel import PostedMessage
    from otelmon.testing.clock import FakeClock
    from otelmon.testing.discord import DiscordStandIn
    from otelmon.testing.discord_limits import NO_LIMITS, RateLimits
    from otelmon.testing.discord_rules import Ping
    from otelmon.testing.faults import Answer, Drip, Drop, Hang, Limited
    from otelmon.testing.outbox import MemoryOutbox
    from otelmon.testing.pages import CapturedPages
    from otelmon.testing.secrets import assert_no_secret

__all__ = [
    "NO_LIMITS",
    "Answer",
    "CapturedPages",
    "DiscordStandIn",
    "Drip",
    "Drop",
    "FakeClock",
    "Hang",
    "Limited",
    "MemoryOutbox",
    "Ping",
    "PostedMessage",
    "RateLimits",
    "assert_no_secret",
]

_MODULES = {
    "FakeClock": "clock",
    "DiscordStandIn": "discord",
    "PostedMessage": "channel",
    "NO_LIMITS": "discord_limits",
    "RateLimits": "discord_limits",
    "Ping": "discord_rules",
    "Answer": "faults",
    "Drip": "faults",
    "Drop": "faults",
    "Hang": "faults",
    "Limited": "faults",
    "MemoryOutbox": "outbox",
    "CapturedPages": "pages",
    "assert_no_secret": "secrets",
}


def __getattr__(name: str) -> Any:
    # Looked up when asked for, so that `python -m otelmon.testing.discord` does not find itself imported already.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
