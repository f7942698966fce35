"""`otelmon runbook NAME`: what to do about an alert, in the terminal."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markdown import Markdown

from otelmon.cli.options import ConfigOption, errors_said, settings_for
from otelmon.config.settings import Settings
from otelmon.document.fields import did_you_mean
from otelmon.errors import ConfigError, Problem
from otelmon.rules.runbooks import runbook_names, runbook_text


def runbook(
    name: Annotated[str | None, typer.Argument(help="The name of an alert; default: list all runbooks.")] = None,
    config: ConfigOption = None,
) -> None:
    """Show what to do about an alert: the team's own runbook, else the one that ships with otelmon."""
    with errors_said():
        settings = settings_for(config)
        if name is None:
            for each in runbook_names(settings.runbooks):
                typer.echo(each)
            return
        text = _found(settings, name)
    if sys.stdout.isatty():
        Console(highlight=False).print(Markdown(text))
    else:
        typer.echo(text, nl=False)


def _found(settings: Settings, name: str) -> str:
    """The runbook of an alert: the one that its rule names, else the one of its own name."""
    rules = settings.alerting_rules_named(name)
    named = rules[0].annotations.get("runbook", "") if rules else ""
    text = runbook_text(named, settings.runbooks) or runbook_text(name, settings.runbooks)
    if text is not None:
        return text
    names = runbook_names(settings.runbooks)
    address = rules[0].annotations.get("runbook_url", named) if rules else ""
    message = f"{name} has no runbook here" if rules else f"there is no alert and no runbook {name!r}"
    hint = f"its rule says: {address}" if address else did_you_mean(name, names) or f"there are {', '.join(names)}"
    raise ConfigError([Problem(message=message, hint=hint)])
