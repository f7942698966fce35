"""What the stand-in for Discord can be told to do wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Answer with this status, headers and body instead of looking at the request."""

    status: int
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limited:
    """429, to be tried again after so many seconds; ``everywhere`` is Discord's global limit."""

    retry_after: float
    everywhere: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hang:
    """Read the request, then say nothing until the client gives up or the stand-in ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """Close the connection without an answer: before the message is accepted, or after."""

    accepted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Drip:
    """Accept the message, then send the answer byte by byte, one every ``seconds``.

    ``headers`` drips from the status line on; otherwise only the body drips.
    """

    seconds: float = 0.05
    headers: bool = False


Fault = Answer | Limited | Hang | Drop | Drip

INTERNAL_ERROR = Answer(status=500, body='{"message": "500: Internal Server Error", "code": 0}')
BAD_GATEWAY = Answer(
    status=502, body="<html><title>502 Bad Gateway</title></html>", headers={"Content-Type": "text/html"}
)
