"""`otelmon check [FILE...]`: say what is wrong with configurations and rule files, before anything starts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from otelmon.cli.options import errors_said, settings_for
from otelmon.config import Settings, load_settings
from otelmon.document.load import read_document
from otelmon.document.model import Section
from otelmon.errors import OtelmonError
from otelmon.rules.load import load_rule_file


def check(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Configurations and Prometheus rule files; default: the one that the app would use."),
    ] = None,
) -> None:
    """Check configurations and Prometheus rule files; exit 1 and say file, line and what to write if any is wrong."""
    if not files:
        with errors_said():
            typer.echo(_summary(settings_for(None)))
        return
    wrong = False
    for path in files:
        try:
            typer.echo(f"{path}: {_check(path)}")
        except OtelmonError as error:
            wrong = True
            typer.echo(str(error), err=True)
    if wrong:
        raise typer.Exit(1)


def _check(path: Path) -> str:
    document = read_document(path, name=str(path), environ=os.environ)
    if isinstance(document, Section) and "groups" in document.entries:
        groups = load_rule_file(path)
        return f"{sum(len(group.rules) for group in groups)} rules in {len(groups)} groups, all well"
    return _summary(load_settings(path, environ=os.environ, directory=path.parent))


def _summary(settings: Settings) -> str:
    rules = sum(len(group.rules) for group in settings.groups)
    where = settings.config_file or "no otelmon.yaml here; built-in configuration"
    return f"{where}: service {settings.service}, {rules} rules, paging {settings.paging}, all well"
