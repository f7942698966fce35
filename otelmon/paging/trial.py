"""The page that somebody asked for to see that pages arrive."""

from __future__ import annotations

from datetime import datetime

from otelmon.oncall.model import Mention
from otelmon.paging.decide import page_id
from otelmon.paging.model import Field, Message, Page, PageAction, PageReason
from otelmon.paging.text import Context
from otelmon.rules.model import Severity


def trial_page(
    severity: Severity, *, about: Context, mentions: tuple[Mention, ...], target: str, at: datetime, run: int
) -> Page:
    """A page of this severity that says it is a test; ``run`` tells one test from the next."""
    fields = [("Service", about.service), ("Environment", about.environment), ("Instance", about.instance)]
    return Page(
        id=page_id("TEST", PageReason.TEST, PageAction.POST, target, run),
        incident_id="TEST",
        reason=PageReason.TEST,
        target=target,
        message=Message(
            severity=severity,
            title=f"Test page from {about.service}",
            description="Nothing is wrong. Somebody asked whether pages arrive, and whom they ping.",
            mentions=mentions,
            fields=tuple(Field(name=name, value=value) for name, value in fields if value),
            since_at=at,
            footer="otelmon page test",
        ),
        due_at=at,
    )
