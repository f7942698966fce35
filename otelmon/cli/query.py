"""`otelmon query EXPR`: ask the running monitor."""

from __future__ import annotations

import json
import math
import re
import time
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from otelmon.cli.options import ConfigOption, ServiceOption, StateDirOption, errors_said, monitor_folder
from otelmon.duration import read_duration
from otelmon.errors import OtelmonError
from otelmon.labels import Labels
from otelmon.runtime.control import ask

_LEAST_STEPS = 10
_MOST_STEPS = 250
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")


class ArgumentError(OtelmonError):
    """An argument that cannot be meant."""


def query(
    expr: Annotated[str, typer.Argument(help="A PromQL expression.")],
    *,
    at: Annotated[
        str | None, typer.Option(help="When: unix seconds, 2026-03-01T12:00:00Z, or 5m for five minutes ago.")
    ] = None,
    over: Annotated[str | None, typer.Option("--range", help="Over this long up to then, such as 1h.")] = None,
    step: Annotated[str | None, typer.Option(help="With --range: how far apart; default: so that it fits.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
    service: ServiceOption = None,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
) -> None:
    """Evaluate an expression over what the running monitor has in memory."""
    with errors_said():
        request = _request(expr, at, over, step, now=time.time())
        said = ask(monitor_folder(config, service, state_dir), request)
    if as_json:
        typer.echo(json.dumps(said, indent=2))
        return
    console = Console()
    if "matrix" in said:
        _print_matrix(console, said, asked_from=request["start"])
        return
    if said["vector"]:
        table = Table(box=None, pad_edge=False)
        table.add_column("series", overflow="fold")
        table.add_column("value", justify="right")
        for found in said["vector"]:
            table.add_row(_series(found), _value(found["value"]))
        console.print(table, markup=False)
    else:
        found = said["selected_series"]
        typer.echo("nothing" if found else "nothing: no series matches")
    for warning in said["warnings"]:
        typer.echo(warning, err=True)


def _request(expr: str, at: str | None, over: str | None, step: str | None, *, now: float) -> dict[str, Any]:
    if over is None:
        if step is not None:
            raise ArgumentError("--step goes with --range")
        return {"verb": "query", "expr": expr} | ({} if at is None else {"at": _instant(at, now)})
    end, length = _instant(at, now) if at is not None else now, _duration("--range", over)
    if step is None:
        wanted = max(1.0, length / _MOST_STEPS)
        seconds = min(float(math.ceil(wanted)), length / _LEAST_STEPS)
    else:
        seconds = _duration("--step", step)
    return {"verb": "query_range", "expr": expr, "start": end - length, "end": end, "step": seconds}


def _instant(text: str, now: float) -> float:
    if _NUMBER.fullmatch(text):
        return float(text)
    try:
        return now - read_duration(text)
    except (ValueError, OverflowError):
        pass
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        raise ArgumentError(f"--at {text}: write unix seconds, 2026-03-01T12:00:00Z, or 5m for ago") from error


def _duration(name: str, text: str) -> float:
    try:
        seconds = read_duration(text)
    except (ValueError, OverflowError) as error:
        raise ArgumentError(f"{name} {text}: write a duration such as 30s, 5m or 1h") from error
    if seconds <= 0:
        raise ArgumentError(f"{name} {text}: write a duration of more than 0")
    return seconds


def _print_matrix(console: Console, said: dict[str, Any], *, asked_from: float) -> None:
    if not said["matrix"]:
        typer.echo("nothing")
    for found in said["matrix"]:
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column("at")
        table.add_column("value", justify="right")
        for at, value in found["values"]:
            table.add_row(f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M:%S}", _value(value))
        console.print(_series(found), markup=False, highlight=False)
        console.print(table, markup=False)
    oldest = said["oldest_at"]
    if oldest is not None and oldest > asked_from:
        since = datetime.fromtimestamp(oldest).astimezone()
        typer.echo(f"samples are kept as long as rules look back: since {since:%Y-%m-%d %H:%M:%S}", err=True)


def _series(found: dict[str, Any]) -> str:
    return str(Labels(found["labels"]))


def _value(value: str | dict[str, str]) -> str:
    return value if isinstance(value, str) else f"histogram of {value['count']}, sum {value['sum']}"
