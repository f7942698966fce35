"""Member: what each process of a service has, whether it evaluates or another does: what it measures, and the state."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from otelmon.clock import Clock
from otelmon.collect.collector import Collector
from otelmon.collect.export import OtlpExport, exporter_from_environment
from otelmon.collect.log_export import LogExport
from otelmon.collect.pipeline import Pipeline
from otelmon.config.settings import Settings
from otelmon.errors import StateError
from otelmon.faults import Faults
from otelmon.incidents.model import Incident
from otelmon.incidents.silence import Silence
from otelmon.instrument.recorder import RequestRecorder
from otelmon.runtime.examples import left
from otelmon.runtime.lease import Lease, boot_id
from otelmon.runtime.siblings import Siblings
from otelmon.runtime.source import Source
from otelmon.storage.sqlite import STATE_FILE, SqliteStorage
from otelmon.storage.store import Storage

if TYPE_CHECKING:
    from otelmon.runtime.lookout import Lookout
    from otelmon.window.window import Window


Mutes = Callable[["Window", Mapping[str, Incident], float], Mapping[str, Silence]]
"""Silences at an instant (unix seconds), by id, of the window and the open incidents as they are then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One process of those that share a state directory.

    ``disk``, ``lease`` and ``siblings`` are None where the state directory cannot be used: the process then evaluates
    and pages for itself, because several pages are better than none. ``serves`` is whether the collector takes in what
    other services send. ``mutes`` are silences of the moment. ``lookout`` sees who of them falls silent.
    ``log_export`` takes alerts and incidents as log records,
    where these do not go where the standard variables say.
    """

    collector: Source
    export: OtlpExport | None
    disk: Storage | None
    lease: Lease | None
    siblings: Siblings | None
    serves: bool = False
    mutes: Mutes = lambda *_: {}
    lookout: Lookout | None = None
    log_export: LogExport | None = None

    def may_send(self) -> bool:
        """Whether this process is the one that pages."""
        return self.lease is None or self.lease.renew()

    def examples(self) -> list[object]:
        """What the other processes have left of their requests (see ``otelmon.runtime.examples.left``)."""
        return [] if self.siblings is None else self.siblings.examples()

    def begin_term(self) -> bool:
        """This process evaluates from now on; whether it goes on from the counts of others."""
        self.collector.resume((), -math.inf)
        found = self.siblings is not None and self.disk is not None and self.siblings.begin_term(self.disk)
        return found or self.serves

    def end_term(self) -> None:
        """Another process evaluates from now on."""
        if self.siblings is not None:
            self.siblings.end_term()

    def close(self) -> None:
        """Export once more, and let another process go on."""
        if self.export is not None:
            if self.collector.latest is not None:
                self.export.export(self.collector.latest)
            self.export.shutdown()
        if self.siblings is not None:
            self.siblings.close()
        if self.lease is not None:
            self.lease.release()
        if self.disk is not None:
            self.disk.close()


def join(
    settings: Settings, *, pipeline: Pipeline, recorder: RequestRecorder | None, clock: Clock, faults: Faults
) -> Member:
    """Become a member of the service's processes on this host."""
    disk = _open_state(settings, faults)
    boot = boot_id()
    siblings = None if disk is None else _find_siblings(settings, boot, clock, faults)
    collector = Collector(
        pipeline.reader,
        recorder=recorder,
        job=settings.service,
        instance=settings.instance,
        resource=pipeline.resource,
        exponential=pipeline.exponential,
        max_series=settings.max_series,
        faults=faults,
        shared=siblings,
    )
    lease = None
    if disk is not None and siblings is not None:
        interval = settings.interval_seconds
        lease = Lease(disk, holder=siblings.id, interval_seconds=interval, clock=clock, faults=faults, boot=boot)
    return Member(
        collector=collector,
        export=None if pipeline.portable else exporter_from_environment(faults=faults),
        disk=disk,
        lease=lease,
        siblings=siblings,
    )


def _find_siblings(settings: Settings, boot: str, clock: Clock, faults: Faults) -> Siblings | None:
    try:
        return Siblings(
            settings.state_dir,
            about={"job": settings.service, "instance": settings.instance},
            boot=boot,
            interval_seconds=settings.interval_seconds,
            clock=clock,
            faults=faults,
            examples=left,
        )
    except (OSError, ImportError) as error:
        faults.add("siblings", f"each process evaluates and pages for itself, they cannot find one another: {error}")
        return None


def _open_state(settings: Settings, faults: Faults) -> Storage | None:
    try:
        return SqliteStorage(settings.state_dir / STATE_FILE)
    except StateError as error:
        faults.add(
            "state",
            f"state cannot be kept, paging goes on from memory and a restart forgets it, and each worker evaluates and "
            f"pages for itself: {error}",
        )
        return None
