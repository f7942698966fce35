"""`otelmon reload`: let the running monitor read its rules again."""

from __future__ import annotations

import typer

from otelmon.cli.options import ConfigOption, errors_said, settings_for
from otelmon.runtime.control import ask


def reload(config: ConfigOption = None) -> None:
    """Read otelmon.yaml and the rule files again now; exit 1 if they are wrong, and then the old rules go on."""
    with errors_said():
        settings = settings_for(config)
        said = ask(settings.state_dir, {"verb": "reload"})
    typer.echo(f"{said['rules']} rules, {said['new']} new, {said['gone']} gone")
    if said["later"]:
        typer.echo(f"changed too, from the next start of the app on: {', '.join(said['later'])}")
