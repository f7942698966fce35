"""`otelmon page test`: send a page to see that it arrives, and whom it pings."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Annotated

import typer

from otelmon.cli.options import ConfigOption, errors_said, settings_for
from otelmon.clock import SystemClock
from otelmon.config.settings import DISCORD, LOG
from otelmon.errors import ConfigError, Problem
from otelmon.notify.log import LogNotifier
from otelmon.notify.webhook import WebhookNotifier
from otelmon.paging.model import OutcomeKind, OwedPage
from otelmon.paging.trial import trial_page
from otelmon.rules.model import Severity
from otelmon.runtime.assemble import about, default_notifier, make_notifiers

page = typer.Typer(help="Pages.", no_args_is_help=True)


@page.callback()
def _pages() -> None:
    """Pages."""


@page.command("test")
def send_test(
    severity: Annotated[Severity, typer.Option(help="The severity to page with.")] = Severity.CRITICAL,
    notifier_name: Annotated[str, typer.Option("--notifier", help="The notifier to send through.")] = DISCORD,
    config: ConfigOption = None,
) -> None:
    """Send a test page as the app would, and say who was pinged. Exit 1 if it was not delivered."""
    with errors_said():
        settings = settings_for(config)
        notifiers = make_notifiers(settings, SystemClock())
        name = default_notifier(settings) if notifier_name == DISCORD else notifier_name
        if name not in notifiers:
            hint = f"there is {', '.join(notifiers)}"
            raise ConfigError([Problem(message=f"there is no notifier {name!r}", hint=hint)])
    now = datetime.now(UTC)
    notifier = notifiers[name]
    mentions = settings.discord.mention.get(severity, ())
    owed = trial_page(severity, about=about(settings), mentions=mentions, target=notifier.name, at=now, run=os.getpid())
    try:
        outcome = notifier.send(OwedPage(page=owed), now)
    finally:
        for each in notifiers.values():
            each.close()
    if outcome.kind is not OutcomeKind.DELIVERED:
        typer.echo(f"the test page was not delivered: {outcome.reason}", err=True)
        raise typer.Exit(1)
    if isinstance(notifier, LogNotifier):
        variable = "" if notifier_name not in (DISCORD, LOG) else " (DISCORD_WEBHOOK_URL)"
        typer.echo(f"no webhook is set{variable}: the page went to the log and pinged nobody")
        return
    if isinstance(notifier, WebhookNotifier):
        typer.echo(f"delivered to {notifier.name}")
        return
    pinged = ", ".join(map(str, mentions))
    typer.echo(
        f"delivered; pinged {pinged or 'nobody: set discord: {mention: ...} in otelmon.yaml or DISCORD_ROLE_ID'}"
    )
