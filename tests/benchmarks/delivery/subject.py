"""What the faults are tried on: a process that watches one alert and tells a stand-in for Discord of it."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from otelmon.testing import DiscordStandIn, PostedMessage

_POLL_SECONDS = 0.02


class Subject(Protocol):
    """A process that pages. ``fire`` and ``end`` are the fault it watches, which goes on whether or not it runs."""

    discord: DiscordStandIn

    def start(self) -> None:
        """Start it, or start it again with the state that it left; returns when it watches."""

    def kill(self) -> None:
        """End it as ``kill -9`` does."""

    def fire(self) -> None:
        """The fault begins."""

    def end(self) -> None:
        """The fault ends."""

    def silence(self) -> None:
        """Somebody silences the alert, and is told that it was done."""

    def wait_decided(self) -> None:
        """Return once it means to page, and has not done so."""

    def wait_recorded(self) -> None:
        """Return once it knows that its page arrived, as far as that can be seen."""

    def sees_the_fault(self) -> bool:
        """Whether it holds the alert for firing now, whoever is told."""

    def close(self) -> None:
        """End it."""


def lasting_port() -> int:
    """A free port that nobody is handed by chance while it is closed for a while."""
    for port in random.sample(range(15_000, 32_000), 200):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise RuntimeError("no port is free below 32000")


def pages(discord: DiscordStandIn) -> list[PostedMessage]:
    """The messages that say that the alert fires."""
    return [message for message in discord.messages if not _says_resolved(message)]


def resolves(discord: DiscordStandIn) -> list[PostedMessage]:
    """The messages that say that it is over."""
    return [message for message in discord.messages if _says_resolved(message)]


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for the condition, so many seconds at most; whether it came to hold."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def watch(seconds: float) -> None:
    """Let time pass, to see that nothing happens."""
    time.sleep(seconds)


def log_tail(path: Path) -> str:
    """The end of a log, for the message of a failure."""
    return path.read_text(encoding="utf-8", errors="replace")[-2000:] if path.exists() else ""


def _says_resolved(message: PostedMessage) -> bool:
    # otelmon edits its first message, so its own words count; Alertmanager has them in the embed's title.
    first = message.content or str(message.embeds[0].get("title", "") if message.embeds else "")
    return "resolved" in first.lower() and message.edits == 0
