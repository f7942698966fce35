"""What the commands have in common: which configuration, and how an error is said."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from otelmon.config.load import folder_name, load_settings
from otelmon.config.settings import Settings
from otelmon.errors import ConfigError, OtelmonError, StateError
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


ServiceOption = Annotated[
    str | None,
    typer.Option("--service", help="The service, where its name comes from the app's title or several keep state."),
]


@contextmanager
def opened_state(settings: Settings, service: str | None = None) -> Iterator[SqliteStorage]:
    """The state of the service, as its running monitor keeps it."""
    with open_existing(state_folder(settings, service) / STATE_FILE) as storage:
        yield storage


def state_folder(settings: Settings, service: str | None) -> Path:
    """Where the running monitor of the service keeps its state; StateError where it cannot be told which that is.

    The app may be called by its title, which a command line cannot know: where no state goes by the name that the
    settings give, the only one beside it is taken.
    """
    beside = settings.state_dir.parent
    wanted = settings.state_dir if service is None else beside / folder_name(service)
    if (wanted / STATE_FILE).exists():
        return wanted
    kept = sorted(path.parent for path in beside.glob(f"*/{STATE_FILE}"))
    if service is None and len(kept) == 1:
        return kept[0]
    if not kept:
        raise StateError(
            f"no service keeps state in {beside}; start the app first, or set OTELMON_STATE_DIR as the app has it"
        )
    names = ", ".join(path.name for path in kept)
    raise StateError(f"no state of {service or settings.service} in {beside}; write --service NAME, one of {names}")


def folder_in(state_dir: Path, service: str | None) -> Path:
    """The folder of a service in a state directory as OTELMON_STATE_DIR names it, or that folder itself."""
    if service is not None:
        return state_dir / folder_name(service)
    kept = [state_dir] if (state_dir / STATE_FILE).exists() else []
    kept = kept or sorted(path.parent for path in state_dir.glob(f"*/{STATE_FILE}"))
    if len(kept) == 1:
        return kept[0]
    if not kept:
        raise StateError(f"no service keeps state in {state_dir}")
    names = ", ".join(path.name for path in kept)
    raise StateError(f"several services keep state in {state_dir}; write --service NAME, one of {names}")


StateDirOption = Annotated[
    Path | None,
    typer.Option("--state-dir", help="The app's state directory; the configuration is not read then."),
]


def monitor_folder(config: Path | None, service: str | None, state_dir: Path | None) -> Path:
    """Where the app to be asked keeps its state. A configuration that is broken now need not be in the way of that."""
    if state_dir is not None:
        return folder_in(state_dir, service)
    try:
        return state_folder(settings_for(config), service)
    except ConfigError as error:
        hint = "the configuration is read only to find the app's state: write --state-dir PATH to do without"
        raise StateError(f"{error}\n{hint}") from error


@contextmanager
def errors_said() -> Iterator[None]:
    """Turn an error of otelmon's into its text on standard error and exit code 1."""
    try:
        yield
    except OtelmonError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
