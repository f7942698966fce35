"""What becomes of a point's attributes, found out once: clients send the same ones with each request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from otelmon.server.process.envelope import Form

# So many are remembered of each form; then all are forgotten. About 250 bytes each.
_MOST = 100_000
# Attributes of more bytes than this are not.
_LONGEST = 4096
_T = TypeVar("_T")


class Memo(Generic[_T]):
    """What ``make`` makes of a point's message that has only the attributes; it may change the message."""

    def __init__(self, make: Callable[[Any], _T]) -> None:
        self._make = make
        self._known: dict[Form, dict[bytes, _T]] = {}

    def of(self, form: Form, sets: Sequence[bytes]) -> list[_T]:
        """What is made of each of these serialised attributes. Raises DecodeError for what are none."""
        known = self._known.setdefault(form, {})
        found = list(map(known.get, sets))
        if None in found:
            for index, (written, each) in enumerate(zip(sets, found, strict=True)):
                if each is None:
                    found[index] = self._made(form, known, written)
        return found  # type: ignore[return-value] # what was not known is made

    def _made(self, form: Form, known: dict[bytes, _T], written: bytes) -> _T:
        made = known.get(written)
        if made is None:
            made = self._make(form.message.FromString(written))
            remember(known, written, made)
        return made


def remember(known: dict[bytes, _T], written: bytes, what: _T) -> None:
    """Keep it, within bounds."""
    if len(written) <= _LONGEST:
        if len(known) >= _MOST:
            known.clear()
        known[written] = what
