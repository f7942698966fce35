"""A time in which nothing may be sent."""

from __future__ import annotations

from datetime import datetime


class Pause:
    """Until when nothing may be sent. Notifiers of one process share one for Discord's global rate limit."""

    def __init__(self) -> None:
        self.until: datetime | None = None

    def extend(self, until: datetime) -> None:
        """Not before ``until`` either."""
        self.until = until if self.until is None else max(self.until, until)

    def over(self, at: datetime) -> bool:
        """Whether sending is allowed at ``at``."""
        return self.until is None or at >= self.until
