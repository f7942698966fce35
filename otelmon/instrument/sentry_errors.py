"""The application's errors in Sentry, by its SDK, with the trace that OpenTelemetry has of them.

Imported only where SENTRY_DSN is set. The SDK is started unless the application has done so; in either case its events
get the trace and the span of the moment, and the newest one is remembered for the pages.
"""

from __future__ import annotations

import threading
from typing import Any

import sentry_sdk
from opentelemetry import trace
from sentry_sdk.scope import Scope

from otelmon.clock import Clock
from otelmon.faults import Faults

_ERRORS = frozenset({"error", "fatal", "critical"})


class SentryErrors:
    """What the SDK captures from here on in this process.

    Creating it starts the SDK where nobody has: with the DSN and the environment given, without sending sessions or
    traces. An application that starts the SDK itself later takes its place, and is followed all the same.
    """

    def __init__(self, dsn: str, *, environment: str | None, clock: Clock, faults: Faults) -> None:
        self._clock = clock
        self._faults = faults
        self._newest: tuple[float, str] | None = None
        self._lock = threading.Lock()
        if not sentry_sdk.get_client().is_active():
            sentry_sdk.init(dsn=dsn, environment=environment, auto_session_tracking=False)
        Scope.get_global_scope().add_event_processor(self._seen)

    def raised(self, error: BaseException) -> None:
        """An exception left the application; what a framework's integration captures as well is sent once."""
        try:
            if isinstance(error, Exception):
                sentry_sdk.capture_exception(error)
        except Exception as fault:  # noqa: BLE001 (never reaches the host application)
            self._faults.add("sentry", "an error could not be given to Sentry", fault)

    def newest(self, since: float) -> str | None:
        """The id of the newest error captured at or after ``since`` (unix seconds)."""
        with self._lock:
            return self._newest[1] if self._newest is not None and self._newest[0] >= since else None

    def _seen(self, event: Any, hint: Any) -> Any:  # noqa: ARG002 (the signature is the SDK's)
        """An event on its way: say of which trace it is. What otelmon itself logs is no error of the application."""
        if event.get("type") is not None:
            return event  # a transaction or a check-in
        if str(event.get("logger", "")).partition(".")[0] == "otelmon":
            return None
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            found = event.setdefault("contexts", {}).setdefault("trace", {})
            found["trace_id"] = trace.format_trace_id(span.trace_id)
            found["span_id"] = trace.format_span_id(span.span_id)
            found.pop("parent_span_id", None)
            found.pop("dynamic_sampling_context", None)
        if event.get("exception") or event.get("level") in _ERRORS:
            with self._lock:
                self._newest = (self._clock.now(), event["event_id"])
        return event
