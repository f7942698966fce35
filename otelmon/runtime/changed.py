"""What changed before an incident: deploys, reloads of the configuration, and other alerts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from otelmon.alerts.model import Alert
from otelmon.errors import StateError
from otelmon.faults import Faults
from otelmon.incidents.model import Finding
from otelmon.incidents.noted import Noted, NotedKind, seen_version, with_noted
from otelmon.paging.values import format_span
from otelmon.runtime.evidence import Question
from otelmon.storage.store import Storage

if TYPE_CHECKING:
    from otelmon.runtime.engine import Engine

# A deploy may take its time to hurt; alerts that follow from one another come close together.
_CHANGES_WITHIN = timedelta(hours=1)
_ALERTS_WITHIN = timedelta(minutes=10)
_MOST_LINES = 8
_TEXT_LIMIT = 80


class Notes:
    """The changes that were noted: in the state, or for as long as the process lives where that cannot be written."""

    def __init__(self, disk: Storage | None, faults: Faults) -> None:
        self._disk = disk
        self._faults = faults
        self._unsaved: tuple[Noted, ...] = ()

    def start(self, version: str, at: float) -> None:
        """The application has started with this version (``service.version``; empty: it says none)."""
        if version:
            found = seen_version(self.all(), version, datetime.fromtimestamp(at, UTC))
            if found is not None:
                self._note(found)

    def reloaded(self, at: float) -> None:
        """The configuration was read again."""
        self._note(Noted(at=datetime.fromtimestamp(at, UTC), kind=NotedKind.RELOAD))

    def all(self) -> tuple[Noted, ...]:
        """What was noted, here or at the command line."""
        kept: tuple[Noted, ...] = ()
        try:
            kept = () if self._disk is None else self._disk.noted()
        except StateError as error:
            self._faults.add("state", f"deploys cannot be read from the state: {error}")
        return (*kept, *self._unsaved)

    def _note(self, noted: Noted) -> None:
        try:
            if self._disk is not None:
                self._disk.note(noted)
                return
        except StateError as error:
            self._faults.add("state", f"a deploy cannot be written to the state: {error}")
        self._unsaved = with_noted(self._unsaved, noted)


class ChangedSource:
    """What changed in the hour before an incident, and what else fired in the ten minutes before it."""

    def __init__(self, engine: Engine, notes: Notes) -> None:
        self._engine = engine
        self._notes = notes

    def begin(self, question: Question) -> None:
        """Nothing takes long here."""

    def findings(self, question: Question) -> Iterator[Finding]:
        """One finding with a line for each change, the latest first."""
        since = question.alert.active_at
        tenants = self._engine.tenants
        # A deploy that is noted here names nobody: with several it may be another's.
        untold = {NotedKind.FIRST_SEEN, *([NotedKind.DEPLOY] if tenants.several else [])}
        told = [(noted.at, _said(noted)) for noted in self._notes.all() if noted.kind not in untold]
        lines = [(at, text) for at, text in told if since - _CHANGES_WITHIN <= at <= _until(question)]
        for incident in self._engine.known_incidents:
            if incident.id == question.incident.id or incident.is_storm:
                continue
            if tenants.of(incident.lead.labels) != tenants.of(question.alert.labels):
                continue
            fired = [
                (alert.fired_at, _alert(alert))
                for alert in incident.alerts
                if alert.fired_at is not None and since - _ALERTS_WITHIN <= alert.fired_at <= _until(question)
            ]
            lines += fired[:1]
        lines.sort(key=lambda line: line[0], reverse=True)
        if lines:
            text = "\n".join(f"{words}, {_before(at, since)}" for at, words in lines[:_MOST_LINES])
            yield Finding(name="What changed", text=text)


def _until(question: Question) -> datetime:
    return datetime.fromtimestamp(question.at, UTC)


def _said(noted: Noted) -> str:
    if noted.kind is NotedKind.DEPLOY:
        return f"deploy of {noted.text[:_TEXT_LIMIT]}"
    return "the configuration was reloaded"


def _alert(alert: Alert) -> str:
    where = " ".join(value for name, value in alert.series.items() if name not in ("job", "instance") and value)
    return f"{alert.name} {where}".strip()[:_TEXT_LIMIT] + " fired"


def _before(at: datetime, since: datetime) -> str:
    seconds = (since - at).total_seconds()
    if abs(seconds) < 1:
        return "just then"
    return f"{format_span(seconds)} before" if seconds > 0 else f"{format_span(-seconds)} after it began"
