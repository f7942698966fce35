"""`otelmon reload`: let the running monitor read its rules again."""

from __future__ import annotations

import typer

from otelmon.cli.options import ConfigOption, ServiceOption, errors_said, settings_for, state_folder
from otelmon.runtime.control import ask


def reload(service: ServiceOption = None, config: ConfigOption = None) -> None:
    """Read otelmon.yaml and the rule files again now; exit 1 if they are wrong, and then the old rules go on."""
    with errors_said():
        settings = settings_for(config)
        said = ask(state_folder(settings, service), {"verb": "reload"})
    typer.echo(f"{said['rules']} rules, {said['new']} new, {said['gone']} gone")
    if said["later"]:
        typer.echo(f"changed too, from the next start of the app on: {', '.join(said['later'])}")
