"""What a team can choose about its incidents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from otelmon.incidents.inhibit import BUILT_IN, Inhibition
from otelmon.rules.model import Severity

REPEAT_EVERY: Mapping[Severity, timedelta | None] = {
    Severity.CRITICAL: timedelta(minutes=30),
    Severity.WARNING: timedelta(hours=4),
    Severity.INFO: None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How alerts become incidents, and when people are told again.

    Alerts with the same values of the labels ``group_by`` are one incident. One that fires again within
    ``reopen_within`` of its resolution is reopened. An acknowledged incident that still fires is triggered again after
    ``ack_timeout`` (None: never); one that nobody acknowledges is repeated after ``repeat_every`` by severity. Beyond
    ``storm_after`` new incidents of a service (the same values of ``storm_by``) within ``storm_within`` the rest share
    one page. A silence that hides something is announced ``silence_notice`` before it ends.
    """

    group_by: tuple[str, ...] = ("job", "alertname")
    inhibitions: tuple[Inhibition, ...] = BUILT_IN
    reopen_within: timedelta = timedelta(minutes=10)
    ack_timeout: timedelta | None = timedelta(hours=1)
    repeat_every: Mapping[Severity, timedelta | None] = field(default_factory=lambda: dict(REPEAT_EVERY))
    storm_by: tuple[str, ...] = ("job",)
    storm_after: int = 5
    storm_within: timedelta = timedelta(minutes=1)
    silence_notice: timedelta = timedelta(minutes=15)

    def apart(self, label: str) -> Policy:
        """The same for alerts of which those with different values of a label have nothing to do with each other."""
        return replace(
            self,
            group_by=_with(self.group_by, label),
            storm_by=_with(self.storm_by, label),
            inhibitions=tuple(replace(each, equal=_with(each.equal, label)) for each in self.inhibitions),
        )


def _with(names: tuple[str, ...], label: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*names, label)))
