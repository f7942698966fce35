"""The team as it stands: what the files say, with the overrides that people made since."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from otelmon.faults import Faults
from otelmon.oncall.people import Team
from otelmon.oncall.stored import StoredOverride, unusable, with_overrides
from otelmon.storage.store import Storage

# What ended lately still counts: a shift that began by it is announced a little later, its end too.
_KEPT = timedelta(days=2)


class CurrentTeam:
    """The team of the files, and over it the overrides in the state, as they were when it was last refreshed."""

    def __init__(self, files: Team, disk: Storage | None, faults: Faults) -> None:
        self._now = files
        self._files = files
        self._disk = disk
        self._faults = faults
        self._stored: Sequence[StoredOverride] = ()

    def replace(self, files: Team) -> Team:
        """Take up what the files say now; the team after that."""
        self._files = files
        return self._merged()

    def refresh(self, at: datetime) -> Team:
        """The team with the overrides that were made or taken back since; where they cannot be read, as it was."""
        if self._disk is None or not self._files.schedules:
            return self._now
        try:
            stored = self._disk.overrides(ends_after=at - _KEPT)
        except Exception as error:  # noqa: BLE001 (who is on call is better a little old than not known)
            self._faults.add("overrides", "overrides of who is on call cannot be read, the last ones count", error)
            return self._now
        self._faults.clear("overrides")
        if stored == self._stored:
            return self._now
        self._stored = stored
        return self._merged()

    def _merged(self) -> Team:
        self._now = with_overrides(self._files, self._stored)
        for one in unusable(self._files, self._stored):
            self._faults.add("override", f"the override {one.stored.id} changes nothing: {one.reason}")
        return self._now
