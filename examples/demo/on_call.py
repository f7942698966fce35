"""Two people on call: the first one sleeps, the second one answers."""

from __future__ import annotations

from examples.demo.evidence import fullest_mount
from examples.demo.outage import show_timeline
from examples.demo.stage import Scene, Stage, shown

# As everything.yaml has them.
PEOPLE = {"112233445566778899": "ana", "223344556677889900": "bo"}
TITLE = "Disk nearly full"


def escalate(stage: Stage) -> None:
    """Whoever is on call is paged and does not answer; the next one is paged by a new message."""
    stage.shop.switch("disk", on=True)
    fault = stage.breaks(
        "on call",
        TITLE,
        "the disk fills; whoever is on call is paged",
        breakdown="Fullest mounts",
        cause=f"{fullest_mount()}: ",
    )
    fault.messages = 3
    stage.wait_page(fault, 10)
    first = _mentioned(stage, fault.paged.id)
    stage.say(f"{first} is mentioned, and does not answer")
    escalated = stage.wait(
        "the page of the second step",
        lambda message: TITLE in message.content and "Escalated to step 2" in message.content,
        15,
    )
    second = _mentioned(stage, escalated.id)
    if {first, second} != set(PEOPLE.values()):
        raise AssertionError(f"{first} was mentioned, and then {second}")
    stage.say(f"{second} is mentioned by a new message: {shown(escalated)}")
    said = stage.shop.otelmon("ack", fault.incident, "--by", second)
    stage.say(f"$ otelmon ack {fault.incident} --by {second} -> {said}")
    stage.wait(
        "the edit that it is acknowledged",
        lambda message: TITLE in message.content and f"ACKNOWLEDGED by {second}" in shown(message),
        9,
    )
    stage.shop.switch("disk", on=False)
    stage.mended(fault, f"{second} makes room")
    stage.wait_resolved(fault, 10)
    show_timeline(stage, TITLE, by=second)


def _mentioned(stage: Stage, message_id: str) -> str:
    """The one person whom a message mentions."""
    names = [PEOPLE.get(ping.id, ping.id) for ping in stage.discord.pings if ping.message_id == message_id]
    if len(names) != 1:
        raise AssertionError(f"one person should be mentioned, not {', '.join(names) or 'nobody'}")
    return names[0]


SCENES = (Scene(title="On call: nobody answers the first step, the second one is answered", seconds=45, play=escalate),)
