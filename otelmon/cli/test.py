"""`otelmon test FILE...`: run promtool's rule unit tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from otelmon.errors import OtelmonError
from otelmon.replay.run import run_test_file


def run_tests(
    files: Annotated[list[Path], typer.Argument(help="Files of rule unit tests, as `promtool test rules` takes them.")],
    ignore_unknown_fields: Annotated[
        bool, typer.Option("--ignore-unknown-fields", help="Pass over keys of rule files that Prometheus lacks.")
    ] = False,
) -> None:
    """Run rule unit tests, promtool's format and verdicts; exit 1 and show what differs if any does not hold."""
    failed = False
    for path in files:
        try:
            verdict = run_test_file(path, ignore_unknown=ignore_unknown_fields)
        except OtelmonError as error:
            failed = True
            typer.echo(f"{path}: FAILED\n{error}", err=True)
            continue
        for warning in verdict.warnings:
            typer.echo(f"warning: {warning}", err=True)
        if verdict.passed:
            typer.echo(f"{path}: passed")
            continue
        failed = True
        typer.echo(f"{path}: FAILED", err=True)
        for failure in verdict.failures:
            typer.echo(str(failure), err=True)
    if failed:
        raise typer.Exit(1)
