"""`otelmon check [FILE...]`: say what is wrong with configurations and rule files, before anything starts."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from otelmon.cli.commands import command_fault
from otelmon.cli.options import errors_said, settings_for
from otelmon.cli.unmatched import running_rules, unmatched_advice
from otelmon.config.files import shown
from otelmon.config.load import load_settings
from otelmon.config.settings import DEFAULT_INTERVAL_SECONDS, Settings
from otelmon.document.fields import did_you_mean
from otelmon.document.load import read_document
from otelmon.document.model import Section
from otelmon.errors import OtelmonError, Problem
from otelmon.rules.advice import advice
from otelmon.rules.builtin import builtins
from otelmon.rules.load import load_rule_file
from otelmon.rules.model import Group
from otelmon.rules.runbook_check import check_runbook
from otelmon.rules.runbooks import runbook_names


def check(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Configurations and Prometheus rule files; default: the one that the app would use."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 for warnings too.")] = False,
) -> None:
    """Check configurations and Prometheus rule files; exit 1 and say file, line and what to write if any is wrong.

    What is allowed and yet probably not meant is a warning: thresholds that no value reaches, `for` and windows too
    short for the interval, rules without severity or runbook. Where the app runs with these rules, selectors that have
    matched no series in it are told too, as advice that --strict does not count.
    Runbooks in the folder that a configuration names are held to the form of the built-in ones.
    """
    wrong = warned = False
    if not files:
        with errors_said():
            here = settings_for(None)
            wrong = _wrong_runbooks(here)
            warned = _warn(here.groups, here.interval_seconds)
            _advise(here.groups, here)
            typer.echo(_summary(here))
    for path in files or ():
        try:
            said, groups, interval, settings = _check(path)
        except OtelmonError as error:
            wrong = True
            typer.echo(str(error), err=True)
        else:
            if settings is not None and settings.config_file == path:
                wrong = _wrong_runbooks(settings) or wrong
            warned = _warn(groups, interval) or warned
            _advise(groups, settings)
            typer.echo(f"{path}: {said}")
    if wrong or (strict and warned):
        raise typer.Exit(1)


def _warn(groups: Iterable[Group], interval_seconds: float) -> bool:
    """Say what is probably not meant; whether there is any."""
    found = advice(groups, interval_seconds=interval_seconds)
    for problem in found:
        typer.echo(f"warning: {problem}", err=True)
    return bool(found)


def _wrong_runbooks(settings: Settings) -> bool:
    """Say what is wrong with the team's own runbooks; whether there is anything."""
    if settings.runbooks is None:
        return False
    alerts = {rule.name for rule in settings.alerting_rules()} | {
        rule.annotations["runbook"] for rule in settings.alerting_rules() if "runbook" in rule.annotations
    }
    known = runbook_names(settings.runbooks)
    problems: list[Problem] = []
    for path in sorted(settings.runbooks.glob("*.md")):
        if path.stem not in alerts and path.stem not in builtins():
            hint = did_you_mean(path.stem, alerts) or "name it as the alert, or leave it out"
            problems.append(Problem(file=shown(path), message=f"there is no alert {path.stem!r}", hint=hint))
        text = path.read_text(encoding="utf-8", errors="replace")
        problems += check_runbook(text, file=shown(path), known=known, command_fault=command_fault)
    for problem in problems:
        typer.echo(str(problem), err=True)
    return bool(problems)


def _advise(groups: Iterable[Group], settings: Settings | None) -> None:
    """Say what a monitor that runs by these settings has found nothing for."""
    for problem in unmatched_advice(groups, running_rules(settings)) if settings is not None else ():
        typer.echo(f"advice: {problem}", err=True)


def _settings_here() -> Settings | None:
    """The settings of the app in this folder, whose monitor may have a rule file; None where they are not well."""
    try:
        return settings_for(None)
    except OtelmonError:
        return None


def _check(path: Path) -> tuple[str, tuple[Group, ...], float, Settings | None]:
    """What a file that is well says, its rules, how often they would be evaluated, and whose monitor may run them."""
    document = read_document(path, name=str(path), environ=os.environ)
    if isinstance(document, Section) and "groups" in document.entries:
        groups = load_rule_file(path)
        said = f"{sum(len(group.rules) for group in groups)} rules in {len(groups)} groups, all well"
        return said, groups, DEFAULT_INTERVAL_SECONDS, _settings_here()
    settings = load_settings(path, environ=os.environ, directory=path.parent)
    return _summary(settings), settings.groups, settings.interval_seconds, settings


def _summary(settings: Settings) -> str:
    rules = sum(len(group.rules) for group in settings.groups)
    where = settings.config_file or "no otelmon.yaml here; built-in configuration"
    return f"{where}: service {settings.service}, {rules} rules, paging {settings.paging}, all well"
