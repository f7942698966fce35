"""`python -m examples.demo [--all] [--port N] [--keep]`. Exit 1 if something is not as it should be."""

from __future__ import annotations

import argparse
import tempfile
import threading
from pathlib import Path

from rich.console import Console

from examples.demo.play import Play
from examples.demo.scenes import play_scenes
from examples.demo.shop_server import ROLE, ShopServer
from otelmon.testing.discord import DiscordStandIn


def main() -> int:
    """Run the story and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description="A shop, its faults, and the pages.")
    parser.add_argument("--port", type=int, default=0, help="port of the page that shows the channel (default: any)")
    parser.add_argument("--all", action="store_true", help="the scenes of `make demo-all` instead")
    parser.add_argument("--keep", action="store_true", help="go on showing the channel until interrupted")
    options = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    with (
        tempfile.TemporaryDirectory(prefix="otelmon-demo-") as state,
        DiscordStandIn(port=options.port, names={ROLE: "on-call"}) as discord,
    ):
        console.print(f"The channel, as Discord would show it: [bold]{discord.url}[/bold]")
        with ShopServer(webhook_url=discord.webhook_url, state_dir=Path(state)) as shop:
            well = play_scenes(shop, discord, console) if options.all else _play_story(shop, discord, console)
        if options.keep:
            console.print(f"{discord.url} shows the channel until you press Ctrl-C")
            threading.Event().wait()
    return 0 if well else 1


def _play_story(shop: ShopServer, discord: DiscordStandIn, console: Console) -> bool:
    report = Play(shop, discord, console).run()
    report.print(console)
    return report.as_expected


if __name__ == "__main__":
    raise SystemExit(main())
