"""Pages in the application's log, where no webhook is configured."""

from __future__ import annotations

import logging
from datetime import datetime

from otelmon.paging.model import Message, Outcome, OutcomeKind, OwedPage, PageAction, PageReason
from otelmon.paging.visible import one_line
from otelmon.rules.model import Severity

_LOG = logging.getLogger("otelmon.pages")


class LogNotifier:
    """Writes a record a page to the logger ``otelmon.pages``: an error for what is critical, else a warning.

    The level is never lower, so that a program that has not configured logging shows its pages on stderr.
    """

    def __init__(self, name: str = "log") -> None:
        self._name = name

    @property
    def name(self) -> str:
        """The target's name, as pages name it."""
        return self._name

    def send(self, owed: OwedPage, at: datetime) -> Outcome:  # noqa: ARG002  # the record carries its own time
        """Write the page. An edit is written only where no other page says what changed (acknowledged)."""
        page = owed.page
        if page.action is PageAction.EDIT and page.reason is not PageReason.ACKNOWLEDGED:
            return Outcome(kind=OutcomeKind.DELIVERED, reason="a log needs no edit", message_id=page.id)
        loud = page.message.severity is Severity.CRITICAL and not page.message.resolved
        calm = page.action is PageAction.EDIT
        _LOG.log(logging.ERROR if loud and not calm else logging.WARNING, "%s", line(page.message))
        return Outcome(kind=OutcomeKind.DELIVERED, reason="written to the log", message_id=page.id)

    def close(self) -> None:
        """Nothing to let go."""


def line(message: Message) -> str:
    """The message in one line, free of control characters."""
    head = f"PAGE {message.severity.upper()}"
    if message.resolved:
        head = f"PAGE RESOLVED ({message.severity})"
    elif message.acknowledged_by:
        head = f"PAGE ACKNOWLEDGED by {message.acknowledged_by} ({message.severity})"
    parts = [f"{head}: {message.title}", *([message.note] if message.note else [])]
    if not message.short:
        parts += [message.description] if message.description else []
        parts += (
            [", ".join(f"{field.name}={one_line(field.value)}" for field in message.fields)] if message.fields else []
        )
        parts += [f"since {message.since_at.isoformat(timespec='seconds')}"] if message.since_at else []
        parts += [f"runbook {message.link}"] if message.link else []
        parts += [message.footer] if message.footer else []
    return one_line(" | ".join(one_line(part) for part in parts))
