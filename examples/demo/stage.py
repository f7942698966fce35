"""What the scenes of `make demo-all` play on, and what came of each fault."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from examples.demo.backends import Backends
from examples.demo.evidence import cause, fields, trace_id
from examples.demo.shop_server import ShopServer
from otelmon.testing.channel import PostedMessage
from otelmon.testing.discord import DiscordStandIn

_INCIDENT = re.compile(r"incident (\w+)")


@dataclass(slots=True, kw_only=True)
class Fault:
    """A fault and what the channel showed of it: by ``title`` the messages that are about it, ``messages`` in number.

    Its page has a field ``breakdown`` that begins with ``cause``; where ``trace`` is named, a field of that name has
    the id of a trace. Instants are unix seconds, as the stand-in for Discord has them.
    """

    scene: str
    title: str
    broken_at: float
    breakdown: str
    cause: str
    trace: str = ""
    messages: int = 2
    mended_at: float = 0.0
    page: PostedMessage | None = None
    resolved: PostedMessage | None = None

    @property
    def paged(self) -> PostedMessage:
        """Its page; AssertionError where there is none yet."""
        if self.page is None:
            raise AssertionError(f"{self.title!r} was not paged yet")
        return self.page

    @property
    def incident(self) -> str:
        """The incident's id, as the page shows it."""
        found = _INCIDENT.search(self.paged.text)
        if found is None:
            raise AssertionError("the page does not name its incident")
        return found[1]


@dataclass(slots=True, kw_only=True)
class Stage:
    """The running shop, what it depends on, the channel. Nothing is waited for beyond ``deadline`` (monotonic)."""

    shop: ShopServer
    discord: DiscordStandIn
    console: Console
    backends: Backends
    deadline: float
    faults: dict[str, Fault] = field(default_factory=dict)

    def say(self, text: str) -> None:
        """Print a line of the play."""
        self.console.print(f"  {text}", markup=False)

    def breaks(self, scene: str, title: str, text: str, *, breakdown: str, cause: str, trace: str = "") -> Fault:
        """Note that something is broken from now on, and say it; ``title`` is how its pages are called."""
        fault = self.faults[title] = Fault(
            scene=scene, title=title, broken_at=time.time(), breakdown=breakdown, cause=cause, trace=trace
        )
        self.say(text)
        return fault

    def mended(self, fault: Fault, text: str) -> None:
        """Note that it is mended from now on, and say it."""
        fault.mended_at = time.time()
        self.say(text)

    def wait(self, what: str, predicate: Callable[[PostedMessage], bool], seconds: float) -> PostedMessage:
        """The first message like that; AssertionError that says what did not come in time."""
        limit = max(0.0, min(seconds, self.deadline - time.monotonic()))
        try:
            return self.discord.wait_for(predicate, limit)
        except AssertionError as error:
            raise AssertionError(f"{what} did not come within {limit:.0f} s: {error}") from None

    def wait_page(self, fault: Fault, seconds: float) -> None:
        """Wait for a fault's page."""
        fault.page = self.wait(f"the page {fault.title!r}", lambda message: fault.title in message.content, seconds)
        self.say(f"after {fault.page.posted_at - fault.broken_at:.1f} s: {shown(fault.page)}")

    def wait_resolved(self, fault: Fault, seconds: float) -> None:
        """Wait for the message that a fault is over; the page that is edited is not it."""

        def is_it(message: PostedMessage) -> bool:
            return fault.title in message.content and "RESOLVED" in message.content and message.id != fault.paged.id

        fault.resolved = self.wait(f"the resolve of {fault.title!r}", is_it, seconds)
        self.say(f"after {fault.resolved.posted_at - fault.mended_at:.1f} s: {shown(fault.resolved)}")

    def print_table(self) -> None:
        """Each fault: what was paged, and after how long."""
        table = Table(title="What came of it", title_justify="left")
        for heading in ("scene", "paged", "fault to page", "recovery to resolved", "pinged"):
            table.add_column(heading)
        for fault in self.faults.values():
            page, over = fault.page, fault.resolved
            table.add_row(
                fault.scene,
                fault.title,
                f"{page.posted_at - fault.broken_at:.1f} s" if page else "-",
                f"{over.posted_at - fault.mended_at:.1f} s" if over else "-",
                ", ".join(self._pinged(fault)) or "nobody",
            )
        self.console.print(table)

    def check_messages(self) -> None:
        """AssertionError unless each fault had its messages, and nothing else was posted."""
        for fault in self.faults.values():
            found = [message for message in self.discord.messages if fault.title in message.content]
            if len(found) != fault.messages:
                lines = "".join(f"\n  {shown(message)}" for message in found)
                raise AssertionError(f"{fault.title!r}: {len(found)} messages instead of {fault.messages}:{lines}")
        for message in self.discord.messages:
            if not any(title in message.content for title in self.faults):
                raise AssertionError(f"not expected: {shown(message)}")

    def check_causes(self) -> None:
        """AssertionError unless each page says first what broke, and where it names a trace, that there is one."""
        for fault in self.faults.values():
            page = next(message for message in self.discord.messages if message.id == fault.paged.id)
            if not (said := cause(page, fault.breakdown)).startswith(fault.cause):
                raise AssertionError(f"{fault.title!r} does not say first {fault.cause!r}: {fields(page)}")
            self.say(f"{fault.scene}: the page says of {fault.breakdown.lower()}: {said}")
            if fault.trace:
                found = trace_id(page, fault.trace)
                if not found or not self.shop.has_trace(found):
                    raise AssertionError(f"{fault.title!r} has no {fault.trace.lower()} that there is: {fields(page)}")
                self.say(f"{fault.scene}: {fault.trace.lower()}: {found}, which the shop has exported")

    def _pinged(self, fault: Fault) -> list[str]:
        about = [message for message in self.discord.messages if fault.title in message.content]
        names = [self.discord.names.get(ping.id, ping.id) for message in about for ping in message.pings]
        return list(dict.fromkeys(names))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A scene: it raises AssertionError where what should be seen is not; ``seconds`` is how long it may take."""

    title: str
    seconds: float
    play: Callable[[Stage], None]


def shown(message: PostedMessage) -> str:
    """The first line as a person reads it: without the marks for bold and for mentions."""
    return re.sub(r"\*\*|\s*<@&?\d+>", "", message.content.splitlines()[0])
