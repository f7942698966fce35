"""Journal: state and owed pages in one transaction; when the disk refuses, paging goes on from memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial

from otelmon.alerts.model import Alert
from otelmon.errors import LostLeaseError, StateError
from otelmon.faults import Faults
from otelmon.incidents.model import Change, Incident
from otelmon.incidents.silence import Silence
from otelmon.labels import Labels
from otelmon.oncall.escalation import Escalation
from otelmon.oncall.shifts_told import Told
from otelmon.paging.model import Page
from otelmon.sample import Sample
from otelmon.storage.store import Storage

Alerts = Mapping[Labels, Alert]


class Journal:
    """Writes what a tick decided.

    ``disk`` is the storage in the state directory, None where it could not be opened; ``memory`` is one of the same
    kind that lives as long as the process. What the disk refused is kept and written with the next save that works,
    except pages: those are owed from memory at once, and the later pages of their incidents with them, because an edit
    must find the message that it edits. Samples that the disk refused are dropped: only a restart would need them.
    """

    def __init__(self, disk: Storage | None, memory: Storage, faults: Faults) -> None:
        self._disk = disk
        self._memory = memory
        self._faults = faults
        self._alerts: dict[str, Alerts] = {}
        self._changes: list[Change] = []
        self._silences: dict[str, Silence] = {}
        self._escalations: dict[str, Escalation | None] = {}
        self._told: Told | None = None
        self._in_memory: set[str] = set()

    @property
    def storages(self) -> Iterator[Storage]:
        """Where pages may be owed from."""
        if self._disk is not None:
            yield self._disk
        yield self._memory

    def save(
        self,
        at: datetime,
        *,
        alerts: Mapping[str, Alerts] | None = None,
        changes: Sequence[Change] = (),
        pages: Sequence[Page] = (),
        samples: Sequence[Sample] = (),
        lasting: Sequence[Sample] = (),
        incidents: Sequence[Incident] = (),
        taken: Sequence[str] = (),
        silences: Sequence[Silence] = (),
        escalations: Mapping[str, Escalation | None] | None = None,
        told: Told | None = None,
    ) -> None:
        """Write what `Storage.save` takes. Raises LostLeaseError where another process evaluates by now."""
        remembered = [page for page in pages if page.incident_id in self._in_memory]
        if remembered:
            self._remember(at, changes, remembered)
        if self._disk is None:
            self._remember(at, changes, [page for page in pages if page.incident_id not in self._in_memory])
            return
        self._alerts.update(alerts or {})
        self._changes += changes
        self._silences.update({silence.id: silence for silence in silences})
        self._escalations.update(escalations or {})
        self._told = told or self._told
        due = [page for page in pages if page.incident_id not in self._in_memory]
        try:
            self._disk.save(
                at,
                alerts=self._alerts,
                changes=self._changes,
                incidents=incidents,
                pages=due,
                samples=samples,
                lasting=lasting,
                taken=taken,
                silences=tuple(self._silences.values()),
                escalations=self._escalations,
                told=self._told,
            )
        except LostLeaseError:
            raise  # whoever took over decides; nothing is owed from here, not from memory either
        except StateError as error:
            self._faults.add("state", f"state cannot be written, paging goes on from memory: {error}")
            self._remember(at, changes, due)
        else:
            self._faults.clear("state")
            self._alerts, self._changes, self._silences, self._escalations = {}, [], {}, {}
            self._told = None

    def prune(self, *, samples_before: float, lasting_before: float, finished_before: datetime) -> None:
        """Delete what nobody needs any more; see `Storage.prune`."""
        for storage in self.storages:
            prune = partial(storage.prune, samples_before=samples_before, lasting_before=lasting_before)
            self._guarded(partial(prune, finished_before=finished_before))

    def shift(self, seconds: float) -> None:
        """The wall clock jumped: what is kept moves with it."""
        for storage in self.storages:
            self._guarded(partial(storage.shift, seconds))

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except LostLeaseError:
            raise
        except StateError as error:
            self._faults.add("state", f"the state cannot be kept in order: {error}")

    def _remember(self, at: datetime, changes: Sequence[Change], pages: Sequence[Page]) -> None:
        if not pages:
            return
        about = {page.incident_id for page in pages}
        self._in_memory |= about
        kept = [change for change in changes if change.incident.id in about]
        self._memory.save(at, alerts={}, changes=kept, pages=pages)
