"""Reads where errors are tracked: SENTRY_DSN, SENTRY_ENVIRONMENT and ``sentry_url:``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, SecretStr

from otelmon.notify.sentry_dsn import Dsn
from otelmon.variables import Variables

SENTRY = "sentry"
"""The name of Sentry as a notifier."""


class SentrySettings(BaseModel):
    """Where errors and critical incidents are tracked; without a ``dsn`` nowhere.

    ``environment`` is what SENTRY_ENVIRONMENT says, ``url`` the web address of the organisation in Sentry.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    dsn: SecretStr | None = None
    environment: str | None = None
    url: str | None = None

    def parsed(self) -> Dsn | None:
        """The DSN in its parts; None where there is none."""
        return None if self.dsn is None else Dsn.parse(self.dsn.get_secret_value())


def read_sentry(variables: Variables, url: str | None) -> SentrySettings:
    """The settings; ``url`` is what ``sentry_url:`` says. What is wrong with the DSN is noted without a word of it."""
    text = variables.text("SENTRY_DSN")
    if text is not None:
        try:
            Dsn.parse(text)
        except ValueError as error:
            variables.fault("SENTRY_DSN", str(error), "copy it from the project's settings, Client Keys (DSN)")
            text = None
    return SentrySettings(
        dsn=None if text is None else SecretStr(text), environment=variables.text("SENTRY_ENVIRONMENT"), url=url
    )
