"""Plays the story on a running shop and keeps the report."""

from __future__ import annotations

import re
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from examples.demo.evidence import cause, trace_id
from examples.demo.load import Load
from examples.demo.report import Report, Seen
from examples.demo.shop_server import ShopServer
from examples.demo.story import ACTS, END_SECONDS, HEALTHY_SECONDS, REQUESTS_PER_SECOND, Act
from otelmon.testing.channel import PostedMessage
from otelmon.testing.discord import DiscordStandIn

# The page says how to acknowledge it.
_ACKNOWLEDGE = re.compile(r"otelmon ack (\w+)")
_LOOK_SECONDS = 0.1


class Play:
    """One performance: faults by the clock, pages as they come."""

    def __init__(self, shop: ShopServer, discord: DiscordStandIn, console: Console) -> None:
        self.report = Report()
        self._shop = shop
        self._discord = discord
        self._console = console
        self._began = time.time()
        self._edits: dict[str, int] = {}

    def run(self) -> Report:
        """Play until everything is resolved, or until the end."""
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with (
            Load(self._shop.url, per_second=REQUESTS_PER_SECOND) as load,
            Progress(*columns, console=self._console) as progress,
        ):
            bar = progress.add_task("", total=END_SECONDS)
            self._began = time.time()
            self._say(f"healthy traffic of {REQUESTS_PER_SECOND} requests a second for {HEALTHY_SECONDS:.0f} s")
            while (at := time.time() - self._began) < END_SECONDS and not self._over(at):
                progress.update(bar, completed=at, description=f"{self._scene(at)}, {load.sent} requests sent")
                self._switch(at)
                self._look()
                time.sleep(_LOOK_SECONDS)
        return self.report

    def _scene(self, at: float) -> str:
        faults = [act.fault for act in ACTS if act.on_at <= at < act.off_at]
        return f"fault {', '.join(faults)}" if faults else "healthy"

    def _over(self, at: float) -> bool:
        resolved = all(self.report.page_of(act, resolved=True) for act in ACTS)
        return at > max(act.off_at for act in ACTS) and resolved

    def _switch(self, at: float) -> None:
        for act in ACTS:
            for on, due_at in ((True, act.on_at), (False, act.off_at)):
                key = f"{act.fault} {'on' if on else 'off'}"
                if at >= due_at and key not in self.report.switched:
                    self._shop.switch(act.fault, on=on)
                    self.report.switched[key] = time.time() - self._began
                    self._say(f"[bold]{act.fault}[/bold] switched {'on' if on else 'off'}")

    def _look(self) -> None:
        for message in self._discord.messages[len(self.report.seen) :]:
            at = message.posted_at - self._began
            pinged = tuple(f"{ping.kind} {self._discord.names.get(ping.id, ping.id)}" for ping in message.pings)
            self.report.seen.append(Seen(at=at, id=message.id, text=message.text, pinged=pinged))
            self._say(f"[yellow]page:[/yellow] {_shown(message)}{_pinging(pinged)}", at)
            self._acknowledge(message.text)
        for message in self._discord.messages:
            if message.edits > self._edits.get(message.id, 0):
                self._edits[message.id] = message.edits
                self._say(f"[cyan]edit:[/cyan] {_shown(message)}")
                self._explain(message)

    def _explain(self, message: PostedMessage) -> None:
        """Keep what an edited page says of its cause."""
        for act in ACTS:
            page = self.report.page_of(act, resolved=False)
            if page is None or page.id != message.id or act.fault in self.report.causes:
                continue
            if said := cause(message, act.breakdown):
                self.report.causes[act.fault] = said
                self._say(f"[green]cause:[/green] {said}")
            found = trace_id(message, act.trace)
            if found and self._shop.has_trace(found):
                self.report.traces[act.fault] = found
                self._say(f"{act.trace.lower()}: {found}, which the shop has exported")

    def _acknowledge(self, text: str) -> None:
        act = next((act for act in ACTS if act.acknowledged and act.title in text), None)
        command = _ACKNOWLEDGE.search(text)
        if act is None or command is None or not _pages(act, text):
            return
        said = self._shop.otelmon("ack", command[1], "--by", "the demo")
        self.report.acknowledged.append(said)
        self._say(f"[cyan]$ {command[0]}[/cyan] -> {said}")

    def _say(self, text: str, at: float | None = None) -> None:
        at = time.time() - self._began if at is None else at
        self._console.print(f"{at:6.1f} s  {text}")


def _shown(message: PostedMessage) -> str:
    """The first line as a person reads it: without the marks for bold and for mentions."""
    return re.sub(r"\*\*|\s*<@&?\d+>", "", message.content.splitlines()[0])


def _pinging(pinged: tuple[str, ...]) -> str:
    return f" [dim](pings {', '.join(pinged)})[/dim]" if pinged else ""


def _pages(act: Act, text: str) -> bool:
    return act.title in text and "resolved" not in text.lower()
