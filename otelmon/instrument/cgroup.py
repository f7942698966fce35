"""Cgroup: what the container that this process runs in may use, and what it uses. Version 2 and 1."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes: the working set (usage less inactive file cache, as the kubelet counts it) and its limit."""

    usage: float
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """Busy seconds since the group was made, and the cores that its quota amounts to."""

    busy_seconds: float
    cores: float


class Cgroup:
    """Reads the control groups of this process, from its own up to the root of the hierarchy.

    A limit may stand on any level (a pod, a slice): the tightest one counts, and the usage is that of its level.
    ``proc`` and ``sys_fs`` are where /proc and /sys/fs/cgroup are. Files that are missing or cannot be read mean no
    limit on that level.
    """

    def __init__(self, *, proc: Path = Path("/proc"), sys_fs: Path = Path("/sys/fs/cgroup")) -> None:
        self._proc = proc
        self._sys_fs = sys_fs

    def memory(self) -> Memory | None:
        """The tightest memory limit on this process and the working set under it; None where nothing limits it."""
        found = [*self._memory_v2(), *self._memory_v1()]
        return min(found, key=lambda memory: memory.limit, default=None)

    def cpu(self) -> Cpu | None:
        """The tightest CPU quota on this process and the time used under it; None where nothing limits it."""
        found = [*self._cpu_v2(), *self._cpu_v1()]
        return min(found, key=lambda cpu: cpu.cores, default=None)

    def _memory_v2(self) -> Iterator[Memory]:
        for level in self._levels("", (self._sys_fs, self._sys_fs / "unified")):
            limit = _number(level / "memory.max")
            usage = _number(level / "memory.current")
            if limit is not None and usage is not None:
                cache = _fields(level / "memory.stat").get("inactive_file", 0.0)
                yield Memory(usage=max(0.0, usage - cache), limit=limit)

    def _memory_v1(self) -> Iterator[Memory]:
        for level in self._levels("memory", (self._sys_fs / "memory",)):
            limit = _number(level / "memory.limit_in_bytes")
            usage = _number(level / "memory.usage_in_bytes")
            if limit is not None and usage is not None and limit < _UNLIMITED_V1:
                cache = _fields(level / "memory.stat").get("total_inactive_file", 0.0)
                yield Memory(usage=max(0.0, usage - cache), limit=limit)

    def _cpu_v2(self) -> Iterator[Cpu]:
        for level in self._levels("", (self._sys_fs, self._sys_fs / "unified")):
            quota, _, period = _text(level / "cpu.max").partition(" ")
            busy = _fields(level / "cpu.stat").get("usage_usec")
            if quota.isdigit() and period.isdigit() and int(period) and busy is not None:
                yield Cpu(busy_seconds=busy / 1e6, cores=int(quota) / int(period))

    def _cpu_v1(self) -> Iterator[Cpu]:
        times = self._levels("cpuacct", (self._sys_fs / "cpuacct", self._sys_fs / "cpu,cpuacct"))
        busy = [found for level in times if (found := _number(level / "cpuacct.usage")) is not None]
        for depth, level in enumerate(self._levels("cpu", (self._sys_fs / "cpu", self._sys_fs / "cpu,cpuacct"))):
            quota = _number(level / "cpu.cfs_quota_us")
            period = _number(level / "cpu.cfs_period_us")
            if quota is not None and quota > 0 and period and busy:
                yield Cpu(busy_seconds=busy[min(depth, len(busy) - 1)] / 1e9, cores=quota / period)

    def _levels(self, controller: str, mounts: tuple[Path, ...]) -> Iterator[Path]:
        """The directories of this process's group and its ancestors that exist, innermost first.

        Within a container the path in /proc is often the host's and does not exist here: the mount itself is the
        container's group then.
        """
        for mount in mounts:
            group = self._group(controller)
            if group is None or not mount.is_dir():
                continue
            parts = [part for part in group.split("/") if part not in {"", "..", "."}]
            for depth in range(len(parts), -1, -1):
                level = mount.joinpath(*parts[:depth])
                if level.is_dir():
                    yield level
            return

    def _group(self, controller: str) -> str | None:
        """The path of this process's group in the hierarchy of a controller; ``""`` is version 2."""
        for line in _text(self._proc / "self" / "cgroup").splitlines():
            hierarchy, names, group = [*line.split(":", 2), "", ""][:3]
            if not hierarchy.isdigit():
                continue
            if (not controller and not names) or (controller and controller in names.split(",")):
                return group
        return None


# Version 1 writes "no limit" as the largest multiple of a page; nothing real comes near it.
_UNLIMITED_V1 = float(1 << 60)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> float | None:
    text = _text(path)
    return float(text) if text.removeprefix("-").isdigit() else None


def _fields(path: Path) -> dict[str, float]:
    """The lines ``name number`` of a stat file."""
    pairs = (line.split() for line in _text(path).splitlines())
    return {pair[0]: float(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
