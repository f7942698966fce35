"""The pages in the app's process: loaded when somebody first opens one."""

from __future__ import annotations

from collections.abc import Callable

from otelmon.clock import Clock
from otelmon.config.settings import Settings
from otelmon.faults import Faults
from otelmon.instrument.lifecycle import ASGIApp, Receive, Scope, Send
from otelmon.instrument.own_pages import OwnPages
from otelmon.rules.runbooks import not_served, runbook_text
from otelmon.server.mount import RUNBOOKS_PATH, mounted


def own_pages(settings: Settings, clock: Clock, faults: Faults, *, of_others: bool = False) -> OwnPages | None:
    """What otelmon answers in the app's place; None where no public address is set.

    ``of_others``: what pages are about does not run here.
    """
    public_url = settings.public_url
    if public_url is None:
        return None

    def load() -> ASGIApp:
        from otelmon.runtime.assemble import about
        from otelmon.server.acknowledge import AcknowledgePage
        from otelmon.server.runbook import RunbookPages
        from otelmon.storage.sqlite import STATE_FILE, open_existing

        acknowledge = AcknowledgePage(
            lambda: open_existing(settings.state_dir / STATE_FILE),
            about=about(settings, of_others=of_others),
            public_url=public_url,
            clock=clock,
            faults=faults,
        )
        runbooks = RunbookPages(settings.runbooks, service=settings.service)

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            wanted = runbooks if RUNBOOKS_PATH in scope["path"] else acknowledge
            await wanted(scope, receive, send)

        return answer

    return mounted(public_url, load, faults)


def served_runbook(settings: Settings) -> Callable[[str], str]:
    """Where the app shows the runbook of a name; "" where it shows none, or there is no such runbook."""
    public_url, folder = settings.public_url, settings.runbooks
    if public_url is None:
        return not_served

    def address(name: str) -> str:
        return "" if runbook_text(name, folder) is None else f"{public_url}{RUNBOOKS_PATH}{name}"

    return address
