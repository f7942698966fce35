"""`otelmon rules`: what the short forms stand for, and the same rules for a Prometheus."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from otelmon.cli.options import ConfigOption, errors_said, settings_for
from otelmon.errors import ConfigError, Problem
from otelmon.rules.builtin import BUILTIN_GROUP, builtins
from otelmon.rules.export import rule_file
from otelmon.rules.histograms import HistogramForm
from otelmon.rules.model import Group, Origin

rules = typer.Typer(help="Show the rules, or export them for a Prometheus.", no_args_is_help=True)


@rules.command()
def show(
    names: Annotated[list[str] | None, typer.Argument(help="Names of rules; default: all that are evaluated.")] = None,
    config: ConfigOption = None,
) -> None:
    """Print rules as Prometheus rules, with the values that are in effect; a built-in that is off with its defaults."""
    with errors_said():
        settings = settings_for(config)
        groups = settings.groups if not names else _chosen(settings.groups, names)
        typer.echo(rule_file(groups, interval_seconds=settings.interval_seconds), nl=False)


@rules.command()
def export(
    histograms: Annotated[
        HistogramForm | None,
        typer.Option(help="How the Prometheus stores histograms; default: expressions that serve both."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Print all rules as one Prometheus rule file; what Prometheus does not have is left out with a comment."""
    with errors_said():
        settings = settings_for(config)
        typer.echo(f"# Rules of {settings.service}, exported by `otelmon rules export`.")
        interval = settings.interval_seconds
        typer.echo(rule_file(settings.groups, interval_seconds=interval, form=histograms, foreign=True), nl=False)


def _chosen(groups: tuple[Group, ...], names: list[str]) -> tuple[Group, ...]:
    """The groups with only the rules of these names."""
    evaluated = {rule.name for group in groups for rule in group.rules}
    known = {*evaluated, *builtins()}
    unknown = [name for name in names if name not in known]
    if unknown:
        hint = f"there are {', '.join(sorted(known))}"
        raise ConfigError([Problem(key=name, message="no rule has this name", hint=hint) for name in unknown])
    kept = [replace(group, rules=tuple(rule for rule in group.rules if rule.name in names)) for group in groups]
    off = tuple(builtins()[name].rule for name in names if name not in evaluated)
    if off:
        kept.append(Group(name=f"{BUILTIN_GROUP} (off)", rules=off, origin=Origin(file="otelmon.yaml")))
    return tuple(group for group in kept if group.rules)
