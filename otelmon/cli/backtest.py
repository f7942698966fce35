"""`otelmon backtest RULES --data FILE`: what rules would have done with what was recorded."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from otelmon.cli.options import errors_said
from otelmon.config.load import load_settings
from otelmon.config.settings import DEFAULT_INTERVAL_SECONDS, DEFAULT_MAX_SERIES
from otelmon.document.load import read_document
from otelmon.document.model import Section
from otelmon.duration import read_duration
from otelmon.errors import ConfigError, Problem
from otelmon.faults import Faults
from otelmon.incidents.policy import Policy
from otelmon.replay.backtest import Backtest
from otelmon.replay.recording import Recording
from otelmon.replay.report import as_dict, report
from otelmon.rules.load import load_rule_file
from otelmon.rules.model import Group
from otelmon.runtime.assemble import window_for
from otelmon.runtime.evaluate import RuleRunner

_NARROWEST, _WIDEST = 60, 160


def backtest(
    rules: Annotated[Path, typer.Argument(help="An otelmon.yaml, or a Prometheus rule file.")],
    *,
    data: Annotated[
        Path,
        typer.Option(help="What was recorded: OTLP/JSON lines, or OpenMetrics text with timestamps; also gzipped."),
    ],
    interval: Annotated[
        str | None, typer.Option(help="How often rules are evaluated; default: as otelmon.yaml says, else 15s.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Say when each alert would have fired, for how long, and how many pages a week that is."""
    with errors_said():
        groups, policy, seconds, max_series = _rules(rules)
        seconds = seconds if interval is None else _interval(interval)
        run = Backtest(
            rules=RuleRunner(groups, interval_seconds=seconds, faults=Faults()),
            window=window_for(groups, interval_seconds=seconds, max_series=max_series),
            interval_seconds=seconds,
            policy=policy,
        )
        with _progress(data) as on_bytes:
            recording = Recording(data, on_bytes=on_bytes)
            for collection in recording.collections():
                run.feed(collection)
        outcome = run.outcome()
        if not outcome.samples:
            problem = Problem(file=str(data), message="there is no sample in it that rules can use")
            raise ConfigError([*recording.problems, problem])
    _say_left_out(recording)
    if as_json:
        typer.echo(json.dumps(as_dict(outcome), indent=2))
        return
    width = min(_WIDEST, max(_NARROWEST, shutil.get_terminal_size().columns)) if sys.stdout.isatty() else 80
    for line in report(outcome, width=width, plain=not _can_print("█·")):
        typer.echo(line)


def _rules(path: Path) -> tuple[tuple[Group, ...], Policy, float, int]:
    """The groups of a file, with the rest that counts: when people are paged again, the interval, the bound."""
    document = read_document(path, name=str(path))
    if isinstance(document, Section) and "groups" in document.entries:
        return load_rule_file(path), Policy(), DEFAULT_INTERVAL_SECONDS, DEFAULT_MAX_SERIES
    settings = load_settings(path, environ=os.environ, directory=Path.cwd())
    if not settings.groups:
        message = f"no rules are read: {settings.disabled_by} switches otelmon off"
        raise ConfigError([Problem(file=str(path), message=message)])
    return settings.groups, settings.policy, settings.interval_seconds, settings.max_series


def _interval(text: str) -> float:
    try:
        seconds = read_duration(text)
    except (ValueError, OverflowError):
        seconds = 0.0
    if not 1.0 <= seconds <= 3600.0:
        raise ConfigError([Problem(key="--interval", message=f"{text!r}: write a duration from 1s to 1h")])
    return seconds


def _say_left_out(recording: Recording) -> None:
    for problem in recording.problems:
        typer.echo(str(problem), err=True)
    if recording.bad_lines > len(recording.problems):
        typer.echo(f"{recording.path}: {recording.bad_lines} lines in all cannot be read", err=True)
    for reason, count in recording.skipped.items():
        hint = ""
        if reason == "delta":
            reason = "delta points, which have no meaning among cumulative series"  # noqa: PLW2901
            hint = "; put the collector's deltatocumulative processor before the file exporter"
        typer.echo(f"{recording.path}: left out: {count} {reason}{hint}", err=True)


def _can_print(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def _progress(path: Path) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        size = path.stat().st_size if path.is_file() else None
        task = bar.add_task(f"Reading {path.name}", total=size)
        yield lambda read: bar.update(task, completed=read)
