"""`otelmon status`: how the app and its monitor fare now, asked of the monitor that runs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from otelmon.cli.options import ConfigOption, ServiceOption, StateDirOption, monitor_folder
from otelmon.cli.status_text import Status, status_lines
from otelmon.errors import OtelmonError
from otelmon.runtime.control import ask

FINE, NO_MONITOR, CRITICAL = 0, 1, 2
_VERBS = ("monitor", "snapshot", "rules", "delivery")
_STYLES = {"!": "bold red", "*": "yellow"}


def status(
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until Ctrl-C, drawn anew each time.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="All of it as JSON; with --watch, a line each time.")] = False,
    every: Annotated[float, typer.Option(help="Seconds between two looks with --watch.", min=0.2, max=3600)] = 2.0,
    service: ServiceOption = None,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
) -> None:
    """Show how the app and its monitor fare; exit 0: fine, 1: no monitor answers, 2: something critical fires.

    What is silenced or muted does not count, what is acknowledged does. With --watch it is 0 on Ctrl-C, and 1 once no
    monitor answers.
    """
    try:
        folder = monitor_folder(config, service, state_dir)
        found = _asked(folder)
        if watch:
            _watch(folder, found, as_json=as_json, every=every)
            return
    except OtelmonError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(NO_MONITOR) from error
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        Console(soft_wrap=True, highlight=False).print(_drawn(found, None))
    if is_critical(found):
        raise typer.Exit(CRITICAL)


def is_critical(found: Status) -> bool:
    """Whether an alert that is critical fires in an open incident, and is not muted."""
    return any(each["severity"] == "critical" and each["visible"] for each in found["monitor"]["incidents"])


def _asked(folder: Path) -> Status:
    """What the monitor says of everything; raises StateError where none answers."""
    return {verb: _answer(ask(folder, {"verb": verb}), verb) for verb in _VERBS}


def _answer(said: dict[str, Any], verb: str) -> Any:
    """The one thing in an answer that has nothing else."""
    return said[verb] if set(said) == {verb} else said


def _watch(folder: Path, found: Status, *, as_json: bool, every: float) -> None:
    console = Console(highlight=False)
    try:
        if console.is_terminal and not as_json:
            with Live(_drawn(found, console.width), console=console, screen=True, auto_refresh=False) as live:
                while True:
                    time.sleep(every)
                    live.update(_drawn(_asked(folder), console.width), refresh=True)
        while True:
            typer.echo(json.dumps(found) if as_json else "\n".join(text for _, text in status_lines(found)) + "\n")
            time.sleep(every)
            found = _asked(folder)
    except KeyboardInterrupt:
        return


def _drawn(found: Status, width: int | None) -> Text:
    """The lines with colour; cut at the width of a terminal that is redrawn."""
    drawn = Text("\n").join(Text(text, style=_STYLES.get(mark, "")) for mark, text in status_lines(found))
    if width is not None:
        drawn.no_wrap, drawn.overflow = True, "ellipsis"
    return drawn
