"""`otelmon page test`: send a page to see that it arrives, and whom it pings."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Annotated

import typer

from otelmon.cli.options import ConfigOption, errors_said, settings_for
from otelmon.clock import SystemClock
from otelmon.oncall.fixed import FixedOnCall
from otelmon.paging.model import OutcomeKind, OwedPage
from otelmon.paging.trial import trial_page
from otelmon.rules.model import Severity
from otelmon.runtime.assemble import LOG, about, make_notifier

page = typer.Typer(help="Pages.", no_args_is_help=True)


@page.callback()
def _pages() -> None:
    """Pages."""


@page.command("test")
def send_test(
    severity: Annotated[Severity, typer.Option(help="The severity to page with.")] = Severity.CRITICAL,
    config: ConfigOption = None,
) -> None:
    """Send a test page as the app would, and say who was pinged. Exit 1 if it was not delivered."""
    with errors_said():
        settings = settings_for(config)
    now = datetime.now(UTC)
    notifier = make_notifier(settings, SystemClock())
    mentions = FixedOnCall(mentions=settings.discord.mention).who(severity, now)
    owed = trial_page(severity, about=about(settings), mentions=mentions, target=notifier.name, at=now, run=os.getpid())
    try:
        outcome = notifier.send(OwedPage(page=owed), now)
    finally:
        notifier.close()
    if outcome.kind is not OutcomeKind.DELIVERED:
        typer.echo(f"the test page was not delivered: {outcome.reason}", err=True)
        raise typer.Exit(1)
    if notifier.name == LOG:
        typer.echo("no webhook is set (DISCORD_WEBHOOK_URL): the page went to the log and pinged nobody")
        return
    pinged = ", ".join(map(str, mentions))
    typer.echo(
        f"delivered; pinged {pinged or 'nobody: set discord: {mention: ...} in otelmon.yaml or DISCORD_ROLE_ID'}"
    )
