"""Collection: what was measured at one instant, as a recording gives it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from otelmon.sample import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """Samples of one instant, or of a few moments around it; ``at`` is the latest, in unix seconds.

    ``complete`` is whether it is one collection of a monitor, with all that it had: rules were evaluated right then.
    """

    at: float
    samples: Sequence[Sample]
    complete: bool = False


class LineError(Exception):
    """A line of a recording that says nothing that can be read; its text says what is wrong in it."""
