"""Pages that otelmon answers in the application's place."""

from __future__ import annotations

from dataclasses import dataclass

from otelmon.instrument.lifecycle import ASGIApp


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPages:
    """``answer`` takes the requests whose path begins with one of ``prefixes``; it lets no exception out."""

    prefixes: tuple[str, ...]
    answer: ASGIApp

    @property
    def patterns(self) -> tuple[str, ...]:
        """The prefixes, written as excluded paths are."""
        return tuple(f"{prefix}*" for prefix in self.prefixes)
