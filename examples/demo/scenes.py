"""`make demo-all`: scenes, one after another on the same running shop. A new one is a function and a line in SCENES."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console

from examples.demo import breakdowns, on_call, outage
from examples.demo.backends import Backends
from examples.demo.load import Load
from examples.demo.shop_server import ShopServer
from examples.demo.stage import Scene, Stage
from examples.demo.story import REQUESTS_PER_SECOND
from otelmon.testing.discord import DiscordStandIn

# Redis takes its time to be down for sure: the others are played meanwhile.
SCENES = (*breakdowns.BEFORE, *outage.SCENES, *on_call.SCENES, *breakdowns.AFTER)
# Those that take seconds, for a test.
SHORT = (*on_call.SCENES, breakdowns.AFTER[1])
# None takes as long as it may: this is what all of them may take together.
_MOST_SECONDS = 180.0


def play_scenes(
    shop: ShopServer, discord: DiscordStandIn, backends: Backends, console: Console, scenes: Sequence[Scene] = SCENES
) -> bool:
    """Play the scenes; whether each showed what it should, and the channel nothing else."""
    bound = min(_MOST_SECONDS, sum(scene.seconds for scene in scenes))
    console.print(f"{len(scenes)} scenes, at most {bound:.0f} s, on {backends.database} and Valkey")
    began = time.monotonic()
    stage = Stage(shop=shop, discord=discord, console=console, backends=backends, deadline=began + bound)
    well = True
    with Load(shop.url, per_second=REQUESTS_PER_SECOND):
        try:
            for number, scene in enumerate(scenes, start=1):
                console.print(f"[bold]{number}. {scene.title}[/bold] (at most {scene.seconds:.0f} s)")
                scene.play(stage)
            stage.check_messages()
            stage.check_causes()
        except AssertionError as error:
            console.print("[red]not as it should be:[/red]", end=" ")
            console.print(str(error), markup=False)
            well = False
    stage.print_table()
    if well:
        console.print(f"[green]Every scene showed what it should, in {time.monotonic() - began:.0f} s.[/green]")
    return well
