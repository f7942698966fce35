"""What a backend says to a request, and what OTLP says has to become of it.

(https://opentelemetry.io/docs/specs/otlp/#failures, #failures-1, #partial-success)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from google.protobuf.message import DecodeError

from otelmon.collect.otlp import Signal
from otelmon.server.forward.messages import response_type

_LONGEST_REASON = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """It is delivered. ``rejected`` counts the points, spans or records that the backend did not take, and why."""

    rejected: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """Not now: the same request may be sent again, after ``seconds`` where the backend says so."""

    reason: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Never: sending it again would change nothing. ``reason`` is one of few, ``message`` what the backend says.

    ``for_content`` is whether another request might have been taken.
    """

    reason: str
    message: str = ""
    for_content: bool = True


Answer = Accepted | Later | Refused


class Sender(Protocol):
    """Sends to one target; used by one thread."""

    def send(self, signal: Signal, body: bytes, timeout_seconds: float) -> Answer:
        """Send a serialised Export...ServiceRequest. Never raises."""

    def close(self) -> None:
        """Let connections go."""


def accepted(signal: Signal, response: bytes) -> Accepted:
    """The answer that a response's body gives; one that cannot be read was a success all the same."""
    try:
        partial = response_type(signal).FromString(response).partial_success
    except DecodeError:
        return Accepted()
    rejected = {
        Signal.METRICS: "rejected_data_points",
        Signal.TRACES: "rejected_spans",
        Signal.LOGS: "rejected_log_records",
    }[signal]
    return Accepted(rejected=max(0, getattr(partial, rejected)), message=shown(partial.error_message))


def shown(text: str) -> str:
    """What a backend says, fit for a line of a log."""
    return "".join(character if character.isprintable() else " " for character in text)[:_LONGEST_REASON].strip()
