"""How often a webhook may be used, as users have seen Discord enforce it."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """``requests`` in ``seconds`` for a webhook (announced in headers), ``channel_messages`` a minute (not announced).

    None in place of a number lifts that limit.
    """

    requests: int | None = 5
    seconds: float = 2.0
    channel_messages: int | None = 30


NO_LIMITS = RateLimits(requests=None, channel_messages=None)
"""For tests that are about something else."""


@dataclass(slots=True, kw_only=True)
class Buckets:
    """The state of the limits. Instants are the clock's: ``at`` monotonic seconds, ``now`` unix seconds."""

    limits: RateLimits
    _window_started_at: float = -math.inf
    _used: int = 0
    _messages: deque[float] = field(default_factory=deque)

    def take(self, at: float, now: float, *, message: bool) -> tuple[dict[str, str], dict[str, Any] | None]:
        """Headers for the answer, and the body of a 429 if the request is one too many. Refused ones do not count."""
        headers: dict[str, str] = {}
        wait = 0.0
        scope = "user"
        if self.limits.requests is not None:
            if at >= self._window_started_at + self.limits.seconds:
                self._window_started_at, self._used = at, 0
            reset_after = self._window_started_at + self.limits.seconds - at
            if self._used >= self.limits.requests:
                wait = reset_after
            else:
                self._used += 1
            headers = {
                "X-RateLimit-Limit": str(self.limits.requests),
                "X-RateLimit-Remaining": str(self.limits.requests - self._used),
                "X-RateLimit-Reset": f"{now + reset_after:.3f}",
                "X-RateLimit-Reset-After": f"{reset_after:.3f}",
                "X-RateLimit-Bucket": "stand-in",
            }
        if message and not wait and self.limits.channel_messages is not None:
            while self._messages and self._messages[0] <= at - 60.0:
                self._messages.popleft()
            if len(self._messages) >= self.limits.channel_messages:
                wait, scope = self._messages[0] + 60.0 - at, "shared"
            else:
                self._messages.append(at)
        if not wait:
            return headers, None
        headers |= limited_headers(wait, scope=scope)
        return headers, limited_body(wait)


def limited_headers(retry_after: float, *, scope: str = "user", everywhere: bool = False) -> dict[str, str]:
    """The headers that a 429 carries; ``Retry-After`` in whole seconds, rounded up."""
    headers = {"Retry-After": str(math.ceil(retry_after)), "X-RateLimit-Scope": "global" if everywhere else scope}
    return headers | ({"X-RateLimit-Global": "true"} if everywhere else {})


def limited_body(retry_after: float, *, everywhere: bool = False) -> dict[str, Any]:
    """The JSON of a 429."""
    return {
        "message": "You are being rate limited.",
        "retry_after": round(retry_after, 3),
        "global": everywhere,
    }
