"""Processes: which of them hold the memory."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import psutil

_MOST = 5
_NAME_LIMIT = 40
_MEBIBYTE = 1024 * 1024


def largest_processes() -> Iterator[str]:
    """A line for each of the processes with the most memory of their own (resident), the largest first.

    Only names and numbers: an argument of a command line may be a secret. In a container these are its own processes.
    """
    held: list[tuple[int, int, str]] = []
    for process in psutil.process_iter(["memory_info", "name"]):
        memory = process.info["memory_info"]  # None where it is gone, or nobody may look
        if memory is not None:
            held.append((memory.rss, process.pid, process.info["name"] or "?"))
    for size, pid, name in heapq.nlargest(_MOST, held):
        yield f"{name[:_NAME_LIMIT]} ({pid}): {size / _MEBIBYTE:.0f} MiB"
