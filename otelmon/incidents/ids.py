"""Ids of incidents: short enough to type from a phone's screen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container
from datetime import UTC, datetime

from otelmon.labels import Labels

# No vowels (no words), and nothing that looks like something else: no 0/O, 1/I/L, 2/Z, 5/S, 8/B, U/V.
ALPHABET = "23456789CDFGHJKMNPQRTVWXY"
SHORTEST = 4


def incident_id(labels: Labels, fired_at: datetime, taken: Container[str], *, shortest: int = SHORTEST) -> str:
    """The id of the incident that an alert with these labels opens when it fires at this instant.

    The same alert at the same instant has the same id, on any machine. ``shortest`` characters, one more for as long as
    the id is ``taken``.
    """
    text = json.dumps([labels.pairs, fired_at.astimezone(UTC).isoformat()])
    number = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=32).digest())
    digits = []
    while number:
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    whole = "".join(digits)
    return next(
        (whole[:length] for length in range(shortest, len(whole)) if whole[:length] not in taken),
        whole,
    )


def typed_id(text: str) -> str:
    """An id as a person typed it, in the form in which it is kept."""
    return text.strip().upper()
