"""`make demo-all`: scenes, one after another on the same running shop. A new one is a function and a line in SCENES."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx
from rich.console import Console

from examples.demo.load import Load
from examples.demo.shop_server import ShopServer
from examples.demo.story import REQUESTS_PER_SECOND
from otelmon.testing.channel import PostedMessage
from otelmon.testing.discord import DiscordStandIn

PERSON = "Ada Lovelace"
# The shop is healthy for so long first, so that an outage is a part of its window and not the whole of it.
_HEALTHY_SECONDS = 8.0
_INCIDENT = re.compile(r"incident (\w+)")


@dataclass(slots=True, kw_only=True)
class Stage:
    """What a scene plays on. ``page`` is the message of the incident, once there is one."""

    shop: ShopServer
    discord: DiscordStandIn
    console: Console
    page: PostedMessage | None = None

    def say(self, text: str) -> None:
        """Print a line of the play."""
        self.console.print(f"  {text}", markup=False)

    @property
    def paged(self) -> PostedMessage:
        """The message of the incident; AssertionError where no scene before has seen it."""
        if self.page is None:
            raise AssertionError("no incident was paged yet")
        return self.page

    @property
    def incident(self) -> str:
        """The incident's id, as the message shows it."""
        found = _INCIDENT.search(self.paged.text)
        if found is None:
            raise AssertionError("the page does not name its incident")
        return found[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A scene: it raises AssertionError where what should be seen is not; ``seconds`` is how long it may take."""

    title: str
    seconds: float
    play: Callable[[Stage], None]


def page(stage: Stage) -> None:
    """A fault, and the page for it."""
    time.sleep(_HEALTHY_SECONDS)
    stage.shop.switch("errors", on=True)
    began = time.monotonic()
    stage.say("every other checkout fails")
    stage.page = stage.discord.wait_for(lambda message: "Error rate" in message.content, 15)
    stage.say(f"after {time.monotonic() - began:.1f} s: {_shown(stage.page)}")
    if "Acknowledge" not in stage.page.buttons:
        raise AssertionError("the page has no button to acknowledge it by")


def acknowledge(stage: Stage) -> None:
    """What a browser does: it opens the button's address, and sends the form of the page there."""
    link = stage.paged.buttons["Acknowledge"]
    with httpx.Client(follow_redirects=True, timeout=8, trust_env=False) as browser:
        opened = browser.get(link)
        if opened.status_code != 200 or "Who are you?" not in opened.text:
            raise AssertionError(f"the page behind the button is not what it should be: HTTP {opened.status_code}")
        stage.say(f"the button opens a page with a form; the incident {stage.incident} stays triggered")
        pressed = browser.post(link, data={"name": PERSON})
        if f"Acknowledged by {PERSON}" not in pressed.text:
            raise AssertionError(f"the page does not say who acknowledged: HTTP {pressed.status_code}")
        stage.say(f"{PERSON} types her name and presses Acknowledge; the page says by whom")
    edited = stage.discord.wait_for(lambda message: "ACKNOWLEDGED" in message.content, 9)
    stage.say(f"edited: {_shown(edited)}")


def resolve(stage: Stage) -> None:
    """The fault is mended; the alert resolves when it has left the window."""
    stage.shop.switch("errors", on=False)
    stage.say("the checkouts are mended; the window of 20 s empties")
    resolved = stage.discord.wait_for(lambda message: "RESOLVED" in message.content and not message.edits, 35)
    stage.say(_shown(resolved))


def timeline(stage: Stage) -> None:
    """What happened, who did it and what was sent."""
    command = ("incidents", "show", stage.incident)
    said = stage.shop.otelmon(*command)
    stage.say(f"$ otelmon {' '.join(command)}")
    stage.console.print("\n".join(f"    {line}" for line in said.splitlines()), markup=False)
    if f"acknowledged by {PERSON}" not in said or "resolved" not in said:
        raise AssertionError("the timeline does not say what happened")


SCENES = (
    Scene(title="An outage pages the person on call", seconds=25, play=page),
    Scene(title="Somebody takes the incident on its web page", seconds=25, play=acknowledge),
    Scene(title="It is mended, and the incident resolves", seconds=40, play=resolve),
    Scene(title="The incident's timeline", seconds=30, play=timeline),
)


def play_scenes(shop: ShopServer, discord: DiscordStandIn, console: Console) -> bool:
    """Play every scene; whether each showed what it should."""
    stage = Stage(shop=shop, discord=discord, console=console)
    bound = sum(scene.seconds for scene in SCENES)
    console.print(f"{len(SCENES)} scenes, at most {bound:.0f} s")
    began = time.monotonic()
    with Load(shop.url, per_second=REQUESTS_PER_SECOND):
        for number, scene in enumerate(SCENES, start=1):
            console.print(f"[bold]{number}. {scene.title}[/bold] (at most {scene.seconds:.0f} s)")
            try:
                scene.play(stage)
            except AssertionError as error:
                console.print(f"[red]not as it should be:[/red] {error}")
                return False
    console.print(f"[green]Every scene showed what it should, in {time.monotonic() - began:.0f} s.[/green]")
    return True


def _shown(message: PostedMessage) -> str:
    """The first line as a person reads it: without the marks for bold and for mentions."""
    return re.sub(r"\*\*|\s*<@&?\d+>", "", message.content.splitlines()[0])
