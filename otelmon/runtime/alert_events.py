"""Alert events: what fires, is resolved, and becomes of incidents, as OpenTelemetry log records with an event name.

(https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-eventname)
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from opentelemetry._logs import LoggerProvider, LogRecord, SeverityNumber, get_logger_provider

from otelmon.alerts.model import AlertState, Transition
from otelmon.collect.log_export import LogExport
from otelmon.faults import Faults
from otelmon.incidents.model import Change, EventKind
from otelmon.rules.model import Severity

FIRING, RESOLVED = "otelmon.alert.firing", "otelmon.alert.resolved"
_INCIDENT_EVENTS = {
    EventKind.TRIGGERED: "otelmon.incident.triggered",
    EventKind.ACKNOWLEDGED: "otelmon.incident.acknowledged",
    EventKind.EXPIRED: "otelmon.incident.acknowledgement_expired",
    EventKind.REOPENED: "otelmon.incident.reopened",
    EventKind.RESOLVED: "otelmon.incident.resolved",
}
_OVER = frozenset({EventKind.ACKNOWLEDGED, EventKind.RESOLVED})
_SEVERITIES = {
    Severity.CRITICAL: SeverityNumber.ERROR,
    Severity.WARNING: SeverityNumber.WARN,
    Severity.INFO: SeverityNumber.INFO,
}
_MOST_WAITING = 1000
_RETRY_SECONDS = 30.0
_FAULT = "events"


class AlertEvents:
    """Emits events through the application's LoggerProvider where one is set, else by ``export``, else not at all.

    It is asked anew for each batch, since an application may set its provider after otelmon has started. Records are
    sent in a thread that lives for as long as there are some: a processor that blocks holds up no tick. What an export
    did not take is tried again, the newest thousand records of it.
    """

    def __init__(
        self, export: LogExport | None, *, version: str | None, monotonic: Callable[[], float], faults: Faults
    ) -> None:
        self._export = export
        self._version = version
        self._monotonic = monotonic
        self._faults = faults
        self._waiting: deque[LogRecord] = deque(maxlen=_MOST_WAITING)
        self._retry_at = -math.inf
        self._lock = threading.Lock()
        self._sender: threading.Thread | None = None

    def transitions(self, transitions: Sequence[Transition]) -> None:
        """Alerts changed, or a tick had none that did. Returns at once, never raises."""
        self._emit(lambda: _of_alerts(transitions))

    def changes(self, changes: Sequence[Change]) -> None:
        """Incidents changed. Returns at once, never raises."""
        self._emit(lambda: _of_incidents(changes))

    def close(self, timeout_seconds: float) -> None:
        """Wait for what is being sent, within the time given, and send nothing more."""
        with self._lock:
            sender = self._sender
        if sender is not None:
            sender.join(max(0.0, timeout_seconds))
        if self._export is not None:
            self._export.shutdown()

    def _emit(self, records: Callable[[], Iterator[LogRecord]]) -> None:
        try:
            if self._export is None and _application_provider() is None:
                return
            found = list(records())
            with self._lock:
                self._waiting += found
            if self._waiting and (found or self._monotonic() >= self._retry_at):
                self._start()
        except Exception as error:  # noqa: BLE001 (an event that is missing must not stop a tick)
            self._faults.add(_FAULT, "events cannot be emitted", error)

    def _start(self) -> None:
        with self._lock:
            if self._sender is None:
                self._sender = threading.Thread(target=self._send_all, name="otelmon-events", daemon=True)
                self._sender.start()

    def _send_all(self) -> None:
        while True:
            batch = self._taken()
            if not batch:
                return
            try:
                sent = self._send(batch)
            except Exception as error:  # noqa: BLE001 (a processor of the application's may raise anything)
                self._faults.add(_FAULT, "the application's LoggerProvider takes no events", error)
                sent = True
            if not sent:
                self._put_back(batch)
                return

    def _taken(self) -> list[LogRecord]:
        """Everything that waits; where that is nothing, this thread is over and the next event starts another."""
        with self._lock:
            batch = list(self._waiting)
            self._waiting.clear()
            if not batch:
                self._sender = None
            return batch

    def _put_back(self, batch: list[LogRecord]) -> None:
        with self._lock:
            newer = list(self._waiting)
            self._waiting.clear()
            self._waiting.extend([*batch, *newer])
            self._retry_at = self._monotonic() + _RETRY_SECONDS
            self._sender = None

    def _send(self, batch: list[LogRecord]) -> bool:
        provider = _application_provider()
        if provider is None:
            return self._export is None or self._export.export(batch)
        logger = provider.get_logger("otelmon", self._version)
        for record in batch:
            logger.emit(record)
        return True


def _application_provider() -> LoggerProvider | None:
    """The LoggerProvider that the application has set; None where the API's proxy, not a public type, stands in."""
    provider = get_logger_provider()
    return None if type(provider).__name__ == "ProxyLoggerProvider" else provider


def _of_alerts(transitions: Sequence[Transition]) -> Iterator[LogRecord]:
    for transition in transitions:
        alert = transition.alert
        firing = alert.state is AlertState.FIRING and transition.before is not AlertState.FIRING
        if not firing and not (alert.state is AlertState.RESOLVED and alert.fired_at is not None):
            continue
        attributes: dict[str, str | float] = {
            "otelmon.alert.name": alert.name,
            "otelmon.alert.severity": alert.severity.value,
            "otelmon.alert.value": alert.value,
            "otelmon.alert.reason": transition.reason.value,
        }
        attributes |= {f"otelmon.alert.label.{name}": value for name, value in dict(alert.labels).items()}
        said = alert.annotations.get("summary", "") if firing else ""
        yield _record(
            FIRING if firing else RESOLVED,
            transition.at,
            _SEVERITIES[alert.severity] if firing else SeverityNumber.INFO,
            said or f"{alert.name} is {alert.state.value}",
            attributes,
        )


def _of_incidents(changes: Sequence[Change]) -> Iterator[LogRecord]:
    for change in changes:
        incident, event = change.incident, change.event
        name = _INCIDENT_EVENTS.get(event.kind)
        if name is None:
            continue
        lead = incident.lead
        attributes: dict[str, str | float] = {
            "otelmon.incident.id": incident.id,
            "otelmon.incident.state": incident.state.value,
            "otelmon.alert.name": lead.name,
            "otelmon.alert.severity": incident.severity.value,
        }
        if event.by:
            attributes["otelmon.incident.by"] = event.by
        severity = SeverityNumber.INFO if event.kind in _OVER else _SEVERITIES[incident.severity]
        yield _record(name, event.at, severity, f"incident {incident.id} ({lead.name}): {event.kind.value}", attributes)


def _record(
    name: str, at: datetime, severity: SeverityNumber, body: str, attributes: dict[str, str | float]
) -> LogRecord:
    nanoseconds = round(at.timestamp() * 1e9)
    return LogRecord(
        timestamp=nanoseconds,
        observed_timestamp=nanoseconds,
        severity_number=severity,
        severity_text=severity.name,
        body=body,
        attributes=attributes,
        event_name=name,
    )
