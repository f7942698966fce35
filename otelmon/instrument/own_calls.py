"""Own calls: what otelmon itself asks and sends is no traffic of the application."""

from __future__ import annotations

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, set_value


def leave_out_calls() -> None:
    """Have the instrumented libraries measure and trace nothing of this thread, for as long as it lives.

    A probe of an endpoint that is down would else be the application's failing calls as well, and page twice. The key
    is that of OpenTelemetry's own exporters.
    """
    attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
