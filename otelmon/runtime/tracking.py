"""Tracking: the application's errors in Sentry, where SENTRY_DSN is set, and the links that pages have to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING

from otelmon.clock import Clock
from otelmon.config.settings import Settings
from otelmon.faults import Faults
from otelmon.instrument.requests import RequestMiddleware

if TYPE_CHECKING:
    from otelmon.instrument.sentry_errors import SentryErrors

_SDK = "sentry_sdk"
_errors: SentryErrors | None = None


def sdk_missing(settings: Settings) -> bool:
    """Whether errors are to be tracked and the SDK is not installed."""
    return settings.sentry.dsn is not None and find_spec(_SDK) is None


def track_errors(settings: Settings, middlewares: Sequence[RequestMiddleware], *, clock: Clock, faults: Faults) -> None:
    """Give what leaves these apps to Sentry. Nothing of Sentry is imported where no DSN is set.

    To be called when the application is loaded: it may have started the SDK itself, which is not done twice then.
    """
    global _errors  # noqa: PLW0603 (the SDK's client is one a process, too)
    if settings.sentry.dsn is None or sdk_missing(settings):
        return
    try:
        if _errors is None:
            from otelmon.instrument.sentry_errors import SentryErrors

            environment = settings.sentry.environment or settings.environment
            dsn = settings.sentry.dsn.get_secret_value()
            _errors = SentryErrors(dsn, environment=environment, clock=clock, faults=faults)
        for middleware in middlewares:
            middleware.on_error = _errors.raised
    except Exception as error:  # noqa: BLE001 (the app is watched all the same)
        faults.add("sentry", "errors cannot be tracked in Sentry", error)


def newest_error(settings: Settings) -> Callable[[datetime], str]:
    """What gives the address of the newest error since an instant; empty where none is known."""
    dsn, web = settings.sentry.parsed(), settings.sentry.url

    def link(since: datetime) -> str:
        found = None if _errors is None else _errors.newest(since.timestamp())
        return "" if dsn is None or found is None else dsn.link(found, web)

    return link
