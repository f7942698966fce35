"""What the commands have in common: which configuration, and how an error is said."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from otelmon.config import Settings, load_settings
from otelmon.errors import OtelmonError
from otelmon.storage.sqlite import STATE_FILE, SqliteStorage, open_existing

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="The otelmon.yaml to use; default: OTELMON_CONFIG, else the one in this folder."),
]

ByOption = Annotated[str | None, typer.Option(help="Who you are; default: your user name.")]


def user_name() -> str:
    """Who asks, for the timeline."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "somebody at the command line"


def settings_for(config: Path | None) -> Settings:
    """The settings that the app would have in this folder and environment."""
    return load_settings(config, environ=os.environ, directory=Path.cwd(), application=None)


@contextmanager
def opened_state(settings: Settings) -> Iterator[SqliteStorage]:
    """The state of the service, as its running monitor keeps it; StateError where nothing was kept yet."""
    with open_existing(settings.state_dir / STATE_FILE) as storage:
        yield storage


@contextmanager
def errors_said() -> Iterator[None]:
    """Turn an error of otelmon's into its text on standard error and exit code 1."""
    try:
        yield
    except OtelmonError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
