"""An outage, from its page to the timeline of its incident."""

from __future__ import annotations

import time

import httpx

from examples.demo.stage import Scene, Stage, shown

PERSON = "Ada Lovelace"
TITLE = "Error rate"
# The shop is healthy for so long first, so that an outage is a part of its window and not the whole of it.
_HEALTHY_SECONDS = 8.0


def page(stage: Stage) -> None:
    """A fault, and the page for it."""
    time.sleep(_HEALTHY_SECONDS)
    stage.shop.switch("errors", on=True)
    fault = stage.breaks(
        "an outage",
        TITLE,
        "every other checkout fails",
        breakdown="Routes",
        cause="POST /checkout: 100 % of the errors",
        trace="Trace of an error",
    )
    stage.wait_page(fault, 15)
    if "Acknowledge" not in fault.paged.buttons:
        raise AssertionError("the page has no button to acknowledge it by")


def acknowledge(stage: Stage) -> None:
    """What a browser does: it opens the button's address, and sends the form of the page there."""
    fault = stage.faults[TITLE]
    link = fault.paged.buttons["Acknowledge"]
    with httpx.Client(follow_redirects=True, timeout=8, trust_env=False) as browser:
        opened = browser.get(link)
        if opened.status_code != 200 or "Who are you?" not in opened.text:
            raise AssertionError(f"the page behind the button is not what it should be: HTTP {opened.status_code}")
        stage.say(f"the button opens a page with a form; the incident {fault.incident} stays triggered")
        pressed = browser.post(link, data={"name": PERSON})
        if f"Acknowledged by {PERSON}" not in pressed.text:
            raise AssertionError(f"the page does not say who acknowledged: HTTP {pressed.status_code}")
        stage.say(f"{PERSON} types her name and presses Acknowledge; the page says by whom")
    edited = stage.wait(
        "the edit that it is acknowledged",
        lambda message: TITLE in message.content and "ACKNOWLEDGED" in message.content,
        9,
    )
    stage.say(f"edited: {shown(edited)}")


def resolve(stage: Stage) -> None:
    """The fault is mended; the alert resolves when it has left the window."""
    fault = stage.faults[TITLE]
    stage.shop.switch("errors", on=False)
    stage.mended(fault, "the checkouts are mended; the window of 20 s empties")
    stage.wait_resolved(fault, 30)


def timeline(stage: Stage) -> None:
    """What happened, who did it and what was sent."""
    show_timeline(stage, TITLE, by=PERSON)


def show_timeline(stage: Stage, title: str, *, by: str) -> None:
    """Print an incident's timeline; AssertionError unless it says who acknowledged and that it is over."""
    command = ("incidents", "show", stage.faults[title].incident)
    said = stage.shop.otelmon(*command)
    stage.say(f"$ otelmon {' '.join(command)}")
    stage.console.print("\n".join(f"    {line}" for line in said.splitlines()), markup=False)
    if f"acknowledged by {by}" not in said or "resolved" not in said:
        raise AssertionError("the timeline does not say what happened")


SCENES = (
    Scene(title="An outage pages the role", seconds=25, play=page),
    Scene(title="Somebody takes the incident on its web page", seconds=20, play=acknowledge),
    Scene(title="It is mended, and the incident resolves", seconds=30, play=resolve),
    Scene(title="The incident's timeline", seconds=10, play=timeline),
)
