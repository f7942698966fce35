"""HostSampler: disk, memory, CPU and the process, sampled beforehand so that no metric callback does I/O."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import psutil
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from otelmon.faults import Faults
from otelmon.instrument.cgroup import Cgroup, Cpu, Memory
from otelmon.instrument.disks import Disk, read_disks

_T = TypeVar("_T")


class HostSampler:
    """Measures the host, or the container's part of it where that is limited.

    Call `sample` (about a millisecond of system calls) in the collecting thread just before each collection; the
    observable instruments' callbacks only repeat what it found. A source that fails is counted in ``faults``, logged
    once, and has no value until it works again; the others go on.

    Instruments: ``system.filesystem.utilization`` (0..1, one for each device, fullest first),
    ``otelmon.memory.usage`` and ``otelmon.memory.limit`` (By: the container's working set and limit, else the host's
    total less available, and total), ``otelmon.cpu.time`` (s, a counter of busy seconds) and ``otelmon.cpu.limit``
    ({cpu}: cores by quota, else logical ones), both of the container where it has a quota, else of the host;
    ``process.memory.usage`` (By, resident set).

    ``proc`` and ``sys_fs`` are where /proc and /sys/fs/cgroup are; ``disks`` reads the file systems.
    """

    def __init__(
        self,
        meter: Meter,
        *,
        faults: Faults | None = None,
        proc: Path = Path("/proc"),
        sys_fs: Path = Path("/sys/fs/cgroup"),
        disks: Callable[[], list[Disk]] = read_disks,
    ) -> None:
        self._faults = faults or Faults()
        self._cgroup = Cgroup(proc=proc, sys_fs=sys_fs)
        self._read_disks = disks
        self._disks: list[Disk] = []
        self._memory: Memory | None = None
        self._cpu: Cpu | None = None
        self._resident: int | None = None
        self._create_instruments(meter)

    def sample(self) -> None:
        """Measure now, for the next collection. Never raises."""
        self._disks = self._guarded("disks", self._read_disks) or []
        self._memory = self._guarded("memory", self._find_memory)
        self._cpu = self._guarded("cpu", self._find_cpu)
        self._resident = self._guarded("process memory", self._find_resident)

    def _guarded(self, source: str, read: Callable[[], _T]) -> _T | None:
        kind = f"host {source}"
        try:
            found = read()
        except Exception as error:  # noqa: BLE001 (one source must not cost the others)
            self._faults.add(kind, f"the host's {source} could not be measured", error)
            return None
        self._faults.clear(kind)
        return found

    def _find_memory(self) -> Memory:
        host = psutil.virtual_memory()
        limited = self._cgroup.memory()
        if limited is not None and limited.limit < host.total:
            return limited
        return Memory(usage=float(host.total - host.available), limit=float(host.total))

    def _find_cpu(self) -> Cpu:
        cores = float(os.cpu_count() or 1)
        limited = self._cgroup.cpu()
        if limited is not None and limited.cores < cores:
            return limited
        times = psutil.cpu_times()
        # The kernel counts guests within user and nice already, and waiting for a disk is idleness.
        idle = times.idle + getattr(times, "iowait", 0.0)
        guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
        return Cpu(busy_seconds=sum(times) - idle - guests, cores=cores)

    @staticmethod
    def _find_resident() -> int:
        # A new Process each time: after a fork an old one would still be the parent's.
        return int(psutil.Process().memory_info().rss)

    def _create_instruments(self, meter: Meter) -> None:
        meter.create_observable_gauge(
            "system.filesystem.utilization",
            callbacks=[self._observe_disks],
            unit="1",
            description="Fraction of each file system that is used.",
        )
        gauges: tuple[tuple[str, str, str, Callable[[], float | None]], ...] = (
            ("otelmon.memory.usage", "By", "Memory in use.", lambda: self._memory.usage if self._memory else None),
            (
                "otelmon.memory.limit",
                "By",
                "Memory that may be used.",
                lambda: self._memory.limit if self._memory else None,
            ),
            ("otelmon.cpu.limit", "{cpu}", "Cores that may be used.", lambda: self._cpu.cores if self._cpu else None),
            ("process.memory.usage", "By", "Resident memory of this process.", lambda: self._resident),
        )
        for name, unit, description, read in gauges:
            meter.create_observable_up_down_counter(
                name, callbacks=[_callback(read)], unit=unit, description=description
            )
        meter.create_observable_counter(
            "otelmon.cpu.time",
            callbacks=[_callback(lambda: self._cpu.busy_seconds if self._cpu else None)],
            unit="s",
            description="Seconds that the processors were busy.",
        )

    def _observe_disks(self, _: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(
                disk.utilization,
                {
                    "system.device": disk.device,
                    "system.filesystem.mountpoint": disk.mountpoint,
                    "system.filesystem.type": disk.fstype,
                },
            )
            for disk in self._disks
        ]


def _callback(read: Callable[[], float | None]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        value = read()
        return [] if value is None else [Observation(value)]

    return observe
