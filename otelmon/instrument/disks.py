"""Disks: which file systems can fill up, and how full they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

# Images are always full; what lives in memory is counted as memory.
_NEVER_FILL = frozenset({"squashfs", "iso9660", "erofs", "cramfs", "romfs", "udf", "tmpfs", "ramfs", "devtmpfs"})


class _Partition(Protocol):
    """A mounted file system, as psutil describes it."""

    @property
    def device(self) -> str: ...
    @property
    def mountpoint(self) -> str: ...
    @property
    def fstype(self) -> str: ...
    @property
    def opts(self) -> str: ...


class _Usage(Protocol):
    """Bytes of a file system; ``free`` is what an ordinary user may still write."""

    @property
    def used(self) -> int: ...
    @property
    def free(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """How full one device is: ``utilization`` is 0..1, as ``df`` counts it (of what an ordinary user can write)."""

    device: str
    mountpoint: str
    fstype: str
    utilization: float


def read_disks(
    partitions: Callable[[], Iterable[_Partition]] = lambda: psutil.disk_partitions(all=True),
    usage: Callable[[str], _Usage] = psutil.disk_usage,
    is_directory: Callable[[str], bool] = lambda path: Path(path).is_dir(),
) -> list[Disk]:
    """Every device that can fill up, once, the fullest first.

    Left out: read-only mounts, images (squashfs and the like), memory file systems, loop devices, single files that
    a container engine binds in, network file systems (asking a dead one would hang), and overlays other than a
    container's ``/``. A file system that cannot be asked is left out as well.
    """
    disks: dict[str, Disk] = {}
    for partition in sorted(partitions(), key=lambda partition: (len(partition.mountpoint), partition.mountpoint)):
        device = partition.device if partition.device.startswith("/dev/") else partition.mountpoint
        if device in disks or not _can_fill(partition) or not is_directory(partition.mountpoint):
            continue
        try:
            space = usage(partition.mountpoint)
        except OSError:
            continue
        if space.used + space.free > 0:
            disks[device] = Disk(
                device=partition.device,
                mountpoint=partition.mountpoint,
                fstype=partition.fstype,
                utilization=space.used / (space.used + space.free),
            )
    return sorted(disks.values(), key=lambda disk: -disk.utilization)


def _can_fill(partition: _Partition) -> bool:
    options = partition.opts.split(",")
    if partition.fstype in _NEVER_FILL or "ro" in options or partition.device.startswith("/dev/loop"):
        return False
    local = partition.device.startswith("/dev/") or partition.fstype in {"zfs", "btrfs"}
    return local or partition.mountpoint == "/" or (os.name == "nt" and "fixed" in options)
