"""The same people on call always, by severity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from otelmon.oncall.model import Mention
from otelmon.rules.model import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedOnCall:
    """Whom each severity mentions; a severity that is not listed mentions nobody."""

    mentions: Mapping[Severity, tuple[Mention, ...]] = field(default_factory=dict)

    def who(self, severity: Severity, at: datetime) -> tuple[Mention, ...]:  # noqa: ARG002 (the same at any time)
        """The people and roles to ping for an incident of this severity."""
        return self.mentions.get(severity, ())
