"""Pages for the tests of delivery."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from otelmon.oncall.model import Mention, MentionKind
from otelmon.paging.model import Field, Message, OwedPage, Page, PageAction, PageReason
from otelmon.rules.model import Severity

AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
ROLE = Mention(kind=MentionKind.ROLE, id="123456789012345678")
MESSAGE = Message(
    severity=Severity.CRITICAL,
    title="Error rate 31 %",
    mentions=(ROLE,),
    fields=(Field(name="Service", value="shop"),),
    since_at=AT,
)


def later(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def page(page_id: str = "7KQ2.triggered", *, target: str = "discord", edits: str = "", **message) -> Page:
    return Page(
        id=page_id,
        incident_id="7KQ2",
        reason=PageReason.TRIGGERED,
        action=PageAction.EDIT if edits else PageAction.POST,
        target=target,
        edits=edits,
        message=replace(MESSAGE, **message),
        due_at=AT,
    )


def owed(page_id: str = "7KQ2.triggered", *, attempts: int = 0, edited_message_id: str = "", **message) -> OwedPage:
    edits = "7KQ2.triggered" if edited_message_id else ""
    return OwedPage(page=page(page_id, edits=edits, **message), attempts=attempts, edited_message_id=edited_message_id)
