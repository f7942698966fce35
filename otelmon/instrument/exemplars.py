"""Exemplars: of the requests of late, errors by route and type and the slowest one, each with the trace that has it.

Written by the event loop that serves, read by any thread. A request that neither failed nor was slow costs one
comparison.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from opentelemetry.trace import get_current_span

_KEPT_SECONDS = 600.0
TURN_SECONDS = 15.0
"""How exactly it is known when a request ended."""

_MOST_ERRORS = 40
_MESSAGE_LIMIT = 4000
# https://www.w3.org/TR/trace-context/#traceparent-header
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})(?:-.*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemplar:
    """One request: ``trace_id`` is 32 hexadecimal digits, or empty where no trace of it is kept.

    ``message`` is that of the exception, as it was; empty where it was not kept. ``at`` is when the seconds began in
    which it ended (unix seconds).
    """

    method: str
    route: str
    error_type: str
    seconds: float
    trace_id: str
    message: str = ""
    at: float = 0.0

    def is_since(self, at: float) -> bool:
        """Whether it may have ended after an instant (unix seconds)."""
        return self.at + TURN_SECONDS >= at


class _Turn:
    """What was seen in some seconds that began at ``at``."""

    __slots__ = ("at", "errors", "slowest")

    def __init__(self, at: float) -> None:
        self.at = at
        self.errors: dict[tuple[str, str], Exemplar] = {}
        self.slowest: Exemplar | None = None


class Exemplars:
    """Those of one process. ``slowest`` is how long a request must have taken at least to be worth noting.

    ``keep_messages``: whether the messages of exceptions are kept, which may hold what nobody else should read.
    """

    def __init__(self) -> None:
        self.slowest = 0.0
        self.keep_messages = False
        self._turns: deque[_Turn] = deque([_Turn(0.0)], maxlen=int(_KEPT_SECONDS / TURN_SECONDS))

    def note(self, exemplar: Exemplar, error: BaseException | None = None) -> None:
        """A request failed, with this exception if any, or took longer than any of late."""
        turn = self._turns[-1]
        exemplar = replace(exemplar, at=turn.at)
        if exemplar.seconds > self.slowest:
            self.slowest = exemplar.seconds
            turn.slowest = exemplar
        key = (exemplar.route, exemplar.error_type)
        if exemplar.error_type and (key in turn.errors or len(turn.errors) < _MOST_ERRORS):
            known = turn.errors.get(key)
            if known is None or exemplar.trace_id or not known.trace_id:
                message = _message(error) if error is not None and self.keep_messages else ""
                turn.errors[key] = replace(exemplar, message=message)

    def turn(self, at: float) -> None:
        """Time has come to ``at`` (unix seconds): what is too old is forgotten."""
        if at - self._turns[-1].at >= TURN_SECONDS or at < self._turns[-1].at:
            self._turns.append(_Turn(at))
            self.slowest = 0.0

    def seen(self) -> tuple[Exemplar, ...]:
        """What is worth telling: the latest error of each route and type, and each request slower than all after it."""
        slowest: list[Exemplar] = []
        errors: dict[tuple[str, str], Exemplar] = {}
        for turn in reversed(self._turns.copy()):
            if turn.slowest is not None and (not slowest or turn.slowest.seconds > slowest[-1].seconds):
                slowest.append(turn.slowest)
            if len(errors) < _MOST_ERRORS:
                errors = turn.errors | errors
        return (*sorted(errors.values(), key=_at), *reversed(slowest))


def errors_since(exemplars: Iterable[Exemplar], since: float) -> tuple[Exemplar, ...]:
    """Of what was seen, here or elsewhere, the errors since an instant (unix seconds), oldest first."""
    return tuple(sorted((each for each in exemplars if each.error_type and each.is_since(since)), key=_at))


def slowest_since(exemplars: Iterable[Exemplar], since: float) -> Exemplar | None:
    """Of what was seen, here or elsewhere, the slowest request since an instant (unix seconds)."""
    return max((each for each in exemplars if each.is_since(since)), key=lambda each: each.seconds, default=None)


def _at(exemplar: Exemplar) -> float:
    return exemplar.at


def _message(error: BaseException) -> str:
    try:
        return str(error)[:_MESSAGE_LIMIT]
    except Exception:  # noqa: BLE001 (the application's own code; without words it is an error all the same)
        return ""


def trace_id(scope: Mapping[str, Any]) -> str:
    """The trace of the request that is served here, if it is kept: the span's, else what the caller sent."""
    context = get_current_span().get_span_context()
    if context.is_valid:
        return format(context.trace_id, "032x") if context.trace_flags.sampled else ""
    for name, value in scope.get("headers", ()):
        if name == b"traceparent":
            found = _TRACEPARENT.fullmatch(value)
            return found[1].decode() if found and int(found[2], 16) & 1 else ""
    return ""


EXEMPLARS = Exemplars()
"""Those of this process."""
