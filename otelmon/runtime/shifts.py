"""Telling people of their shifts: what is owed at a tick, and what was told so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from otelmon.faults import Faults
from otelmon.incidents.model import Incident
from otelmon.oncall.people import Team
from otelmon.oncall.shifts_told import (
    HORIZON,
    Handover,
    NoticeSettings,
    ShiftNotice,
    Told,
    changed,
    due,
    first_told,
    told_after,
)
from otelmon.paging.model import Page
from otelmon.paging.shifts import decide_shifts

# Coming shifts are compared when the team changes, and so often to look further ahead.
_LOOK_AHEAD = timedelta(days=1)
# How often it is written down that there was nothing to tell.
_SAVE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftStep:
    """The pages owed now, what was told after them, and whether that is to be written down."""

    pages: Sequence[Page] = ()
    told: Told | None = None
    worth_saving: bool = False


class ShiftTeller:
    """Decides what people are told of their shifts. ``told`` is what they were told when the state was last saved."""

    def __init__(self, settings: NoticeSettings, faults: Faults) -> None:
        self.settings = settings
        self.told: Told | None = None
        self._faults = faults
        self._seen: Team | None = None
        self._saved_at: datetime | None = None

    def decide(
        self, team: Team, at: datetime, *, incidents: Callable[[], Sequence[Incident]], targets: Sequence[str]
    ) -> ShiftStep:
        """What is owed at an instant. ``incidents`` are asked for where a handover sums them up."""
        if not targets or (not team.schedules and self.told is None):
            return ShiftStep(told=self.told)
        try:
            return self._decide(team, at, incidents, targets)
        except Exception as error:  # noqa: BLE001 (incidents are paged all the same)
            self._faults.add("shifts", "people cannot be told of their shifts", error)
            return ShiftStep(told=self.told)

    def done(self, step: ShiftStep, team: Team, at: datetime) -> None:
        """What a step decided was written."""
        self.told, self._seen = step.told, team
        if step.worth_saving:
            self._saved_at = at

    def _decide(
        self, team: Team, at: datetime, incidents: Callable[[], Sequence[Incident]], targets: Sequence[str]
    ) -> ShiftStep:
        if self.told is None:
            return ShiftStep(told=first_told(team, at), worth_saving=True)
        looks = team is not self._seen or self.told.until - at < HORIZON - _LOOK_AHEAD
        notices: list[ShiftNotice] = list(due(self.told, team, self.settings, at))
        if looks and self.settings.changes:
            notices += changed(self.told, team, at)
        summed_up = incidents() if any(isinstance(notice, Handover) for notice in notices) else ()
        return ShiftStep(
            pages=decide_shifts(notices, team=team, incidents=summed_up, targets=targets),
            told=told_after(self.told, team, at, looked_ahead=looks),
            worth_saving=bool(notices) or looks or self._saved_at is None or at - self._saved_at >= _SAVE,
        )
