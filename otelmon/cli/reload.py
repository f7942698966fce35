"""`otelmon reload`: let the running monitor read its rules, and who is on call, again."""

from __future__ import annotations

import typer

from otelmon.cli.options import ConfigOption, ServiceOption, errors_said, settings_for, state_folder
from otelmon.runtime.control import ask
from otelmon.runtime.reload import TEAM_CHANGED


def reload(service: ServiceOption = None, config: ConfigOption = None) -> None:
    """Read otelmon.yaml and the rule files again now; exit 1 if they are wrong, and then nothing changes."""
    with errors_said():
        settings = settings_for(config)
        said = ask(state_folder(settings, service), {"verb": "reload"})
    changed = TEAM_CHANGED if said["team"] else ""
    typer.echo(f"{said['rules']} rules, {said['new']} new, {said['gone']} gone{changed}")
    if said["later"]:
        typer.echo(f"changed too, from the next start of the app on: {', '.join(said['later'])}")
