"""Page: one message to one target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from otelmon.incidents.chart import Chart
from otelmon.labels import EMPTY_LABELS, Labels
from otelmon.oncall.model import Mention
from otelmon.rules.model import Severity


class PageReason(StrEnum):
    """Why a message is owed."""

    TRIGGERED = "an incident was triggered"
    ACKNOWLEDGED = "an incident was acknowledged"
    RESOLVED = "an incident was resolved"
    REOPENED = "an incident was reopened"
    UNMUTED = "a silence or an inhibitor ended, and the alert fires"
    JOINED = "a new critical alert joined an incident"
    WORSENED = "an incident became critical"
    EXPIRED = "an acknowledgement expired, and the alert fires"
    REMINDER = "nobody acknowledged an incident that goes on"
    ESCALATED = "a step of the escalation policy is due"
    REFRESHED = "what an incident shows changed"
    EVIDENCE = "what explains an incident was found out"
    SILENCE_ENDING = "a silence that hides an alert ends soon"
    HANDOVER = "a shift on call began or ended"
    SHIFT_NEAR = "a shift on call is near"
    SHIFTS_CHANGED = "shifts on call changed"
    TEST = "a test page was asked for"
    TRACKED = "a critical incident is tracked where the errors are"


class PageAction(StrEnum):
    """What is done: a new message, or an edit of the message that an earlier page became."""

    POST = "post"
    EDIT = "edit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A name and a value shown in a page. Both are data: the target's renderer escapes them.

    With a ``link``, the value leads to that address. ``chart`` says the same as a picture, which takes the place of the
    value where the target shows pictures.
    """

    name: str
    value: str
    inline: bool = True
    link: str = ""
    chart: Chart | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PagedAlert:
    """An alert as a program wants it; ``ends_at`` is None while it fires."""

    labels: Labels
    annotations: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a page says, independent of the target, unescaped and of any length.

    ``mentions`` are the people and roles to ping (empty: nobody). ``since_at`` is shown as a relative time.
    ``short`` asks for one line without details (the resolved notice). ``link`` leads to the runbook; ``acknowledge`` to
    the page where the incident is acknowledged: whoever has that address may, so it goes to the target and to no log.
    ``note`` says why the message comes as it does (its first notifier did not take it).

    For programs there are also the ``alerts`` (of which ``left_out`` more are not listed) and the labels that they are
    grouped by.
    """

    severity: Severity
    resolved: bool = False
    acknowledged_by: str = ""
    title: str
    description: str = ""
    mentions: tuple[Mention, ...] = ()
    fields: tuple[Field, ...] = ()
    link: str = ""
    acknowledge: str = ""
    since_at: datetime | None = None
    footer: str = ""
    short: bool = False
    note: str = ""
    group: Labels = EMPTY_LABELS
    alerts: tuple[PagedAlert, ...] = ()
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One message to one target.

    ``id`` is unique and derived from what it is about, so that deciding twice owes once. ``target`` names the
    notifier. An EDIT names in ``edits`` the page whose message it changes; a POST may name in ``follows`` a page that
    has to be sent before it. ``instead_of`` names the page that this one stands for at another notifier.
    """

    id: str
    incident_id: str
    reason: PageReason
    action: PageAction = PageAction.POST
    target: str
    message: Message
    edits: str = ""
    follows: str = ""
    instead_of: str = ""
    due_at: datetime


class OutcomeKind(StrEnum):
    """What became of an attempt to send."""

    DELIVERED = "delivered"
    RETRY = "retry"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of an attempt to send a page, always with a reason.

    ``message_id`` is the target's own id of the message (DELIVERED), ``thread_id`` that of the thread which was opened
    for the incident, if any; ``retry_at`` says when to try again (RETRY).
    ``uncertain`` says of a RETRY that the target may have taken the page nevertheless (the connection broke or timed
    out after the request was written); it is False where the target said no.
    """

    kind: OutcomeKind
    reason: str
    message_id: str = ""
    thread_id: str = ""
    retry_at: datetime | None = None
    uncertain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OwedPage:
    """A page in the outbox, claimed for sending.

    ``attempts`` counts the tries before this one. ``edited_message_id`` is the target's id of the message that an
    EDIT changes, ``thread_id`` that of the thread that has the incident's earlier messages there (empty: none).
    """

    page: Page
    attempts: int = 0
    edited_message_id: str = ""
    thread_id: str = ""
