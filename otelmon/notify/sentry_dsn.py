"""Sentry's DSN: where events are sent and who may, and the web address where people find them.

Source: Sentry's SDK documentation, "DSN" (``{protocol}://{public_key}:{secret_key}@{host}{path}/{project_id}``) and
"Envelopes" (``/api/{project_id}/envelope/``, header ``X-Sentry-Auth``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

_VERSION = 7  # of Sentry's protocol
_SAAS = re.compile(r"(?:o\d+\.)?ingest(?:\.[a-z]+)?\.sentry\.io|sentry\.io")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dsn:
    """A parsed DSN. Whoever has the keys may send events: no repr shows them.

    ``base`` is the server's address with the path that it is below, without a slash at its end.
    """

    base: str
    project: str
    public_key: str = field(repr=False)
    secret_key: str = field(default="", repr=False)

    @classmethod
    def parse(cls, text: str) -> Dsn:
        """Raises ValueError, with no part of the text in it, for what is no DSN."""
        fault = ValueError("is no DSN of Sentry")
        try:
            parts = urlsplit(text.strip())
            port = parts.port
        except ValueError:
            raise fault from None
        path, _, project = parts.path.rstrip("/").rpartition("/")
        if parts.scheme not in ("http", "https") or not parts.hostname or not parts.username or port == 0:
            raise fault
        key, secret = parts.username, parts.password or ""
        if not re.fullmatch(r"[\x21-\x7e]+", text.strip()) or not re.fullmatch(r"\w+", project, re.ASCII):
            raise fault
        if not re.fullmatch(r"\w+", key, re.ASCII) or not re.fullmatch(r"\w*", secret, re.ASCII):
            raise fault
        host = parts.netloc.rpartition("@")[2]
        return cls(base=f"{parts.scheme}://{host}{path}", project=project, public_key=key, secret_key=secret)

    @property
    def envelope_url(self) -> str:
        """Where envelopes are sent."""
        return f"{self.base}/api/{self.project}/envelope/"

    @property
    def auth(self) -> str:
        """The header ``X-Sentry-Auth``."""
        parts = [f"sentry_version={_VERSION}", "sentry_client=otelmon", f"sentry_key={self.public_key}"]
        parts += [f"sentry_secret={self.secret_key}"] if self.secret_key else []
        return f"Sentry {', '.join(parts)}"

    def link(self, event_id: str, web: str | None = None) -> str:
        """The web page that finds an event by its id (32 hexadecimal digits).

        ``web`` is the organisation's address there. A DSN does not say it: without it a link to sentry.io leads to the
        organisation that the reader looked at last, and one to a server of one's own to its organisation "sentry",
        which is what it is called unless it was renamed.
        """
        host = urlsplit(self.base).hostname or ""
        own = "https://sentry.io" if _SAAS.fullmatch(host) else f"{self.base}/organizations/sentry"
        # Not the page of the event: that needs the number, which only the server knows. A search by an id
        # leads straight to the one event that it finds.
        return f"{(web or own).rstrip('/')}/issues/?{urlencode({'project': self.project, 'query': event_id})}"
