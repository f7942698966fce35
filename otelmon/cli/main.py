"""The `otelmon` command: one file a command."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from otelmon.cli.ack import ack
from otelmon.cli.backtest import backtest
from otelmon.cli.check import check
from otelmon.cli.deploy import deploy
from otelmon.cli.incidents import incidents
from otelmon.cli.init import init
from otelmon.cli.oncall import oncall
from otelmon.cli.page import page
from otelmon.cli.query import query
from otelmon.cli.record import record
from otelmon.cli.reload import reload
from otelmon.cli.resolve import resolve
from otelmon.cli.rules import rules
from otelmon.cli.run import run
from otelmon.cli.runbook import runbook
from otelmon.cli.serve import serve
from otelmon.cli.silence import silence
from otelmon.cli.status import status
from otelmon.cli.test import run_tests

app = typer.Typer(
    name="otelmon",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _say_version(wanted: bool) -> None:  # noqa: FBT001  # as Typer calls it
    if wanted:
        typer.echo(f"otelmon {version('otelmon')}")
        raise typer.Exit


@app.callback()
def _otelmon(
    wanted: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say the version and exit.")
    ] = False,
) -> None:
    """Watch an ASGI application with OpenTelemetry metrics and page the person on call."""


app.command()(init)
app.command()(check)
app.command("test")(run_tests)
app.command()(ack)
app.command()(backtest)
app.command()(deploy)
app.command()(query)
app.command()(record)
app.command()(reload)
app.command()(resolve)
app.command()(run)
app.command()(runbook)
app.command()(serve)
app.command()(status)
app.add_typer(incidents, name="incidents")
app.add_typer(silence, name="silence")
app.add_typer(oncall, name="oncall")
app.add_typer(page, name="page")
app.add_typer(rules, name="rules")
