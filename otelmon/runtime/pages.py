"""The acknowledge page in the app's process: loaded when somebody first opens it."""

from __future__ import annotations

from otelmon.clock import Clock
from otelmon.config.settings import Settings
from otelmon.faults import Faults
from otelmon.instrument.lifecycle import ASGIApp
from otelmon.instrument.own_pages import OwnPages
from otelmon.server.mount import mounted


def own_pages(settings: Settings, clock: Clock, faults: Faults) -> OwnPages | None:
    """What otelmon answers in the app's place; None where no public address is set."""
    public_url = settings.public_url
    if public_url is None:
        return None

    def load() -> ASGIApp:
        from otelmon.runtime.assemble import about
        from otelmon.server.acknowledge import AcknowledgePage
        from otelmon.storage.sqlite import STATE_FILE, open_existing

        return AcknowledgePage(
            lambda: open_existing(settings.state_dir / STATE_FILE),
            about=about(settings),
            public_url=public_url,
            clock=clock,
            faults=faults,
        )

    return mounted(public_url, load, faults)
