"""All faults at once, each with processes, state and stand-in of its own; prints the table and the verdict."""

from __future__ import annotations

import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.benchmarks.delivery.faults import FAULTS, WAIT_SECONDS, Fault, Result
from tests.benchmarks.delivery.ours import Otelmon
from tests.benchmarks.delivery.subject import Subject
from tests.benchmarks.delivery.theirs import PROGRAM, Alertmanager, is_installed

# Starting is CPU: not all at once. The faults begin when all have started.
_STARTING = threading.Semaphore(2)
_START_SECONDS = 180.0
_Make = Callable[[Path], Subject]


def tried(fault: Fault, make: _Make, folder: Path, begin: threading.Barrier) -> Result | str:
    """What became of a fault, or why it could not be tried."""
    folder.mkdir()
    subject = make(folder)
    try:
        with _STARTING:
            subject.start()
        begin.wait(_START_SECONDS)
        return fault.run(subject)
    except Exception as error:  # noqa: BLE001 (the others go on)
        begin.abort()  # of no effect once all have begun
        traceback.print_exc()
        return f"could not be arranged: {type(error).__name__}"
    finally:
        subject.close()


def verdict(fault: Fault, result: Result | str) -> str:
    """What is wrong with otelmon's result; empty where nothing is."""
    if isinstance(result, str):
        return result
    if result.lost:
        return "lost"
    if result.duplicates != fault.unknowable:
        return f"{result.duplicates} duplicates"
    if fault.within is not None and not fault.within[0] <= (result.after or 0.0) <= fault.within[1]:
        return f"delivered after {result.after:.1f} s, not within {fault.within[0]:g} to {fault.within[1]:g} s"
    return ""


def shown(result: Result | str | None) -> str:
    """A cell of the table."""
    if result is None or isinstance(result, str):
        return result or "-"
    if result.since == "never":
        after = "paged: the silence is gone" if result.lost else "silent, as it should be"
    else:
        after = (
            f"{result.after:.1f} s after {result.since}"
            if result.after is not None
            else f"not within {WAIT_SECONDS:.0f} s"
        )
    return f"{after:<34} {result.lost:>4} {result.duplicates:>10}"


def main() -> int:
    """Exit code 1 where otelmon lost anything, or repeated what it could have known."""
    made: Sequence[_Make] = [Otelmon, Alertmanager] if is_installed() else [Otelmon]
    if is_installed():
        print("Alertmanager with its defaults (group_wait 30s), fed as by Prometheus: each alert again every 60 s")
    else:
        print(f"{PROGRAM} is not installed (Debian: prometheus-alertmanager), so otelmon stands alone here")
    print(f"{len(FAULTS)} faults, all at once; each page is waited for {WAIT_SECONDS:.0f} s at most ...", flush=True)
    began = time.monotonic()
    begin = threading.Barrier(len(FAULTS) * len(made))
    with tempfile.TemporaryDirectory() as root, ThreadPoolExecutor(begin.parties) as pool:
        futures = [
            [pool.submit(tried, fault, make, Path(root, f"{number}-{make.__name__}"), begin) for make in made]
            for number, fault in enumerate(FAULTS)
        ]
        results = [[future.result() for future in row] for row in futures]
    head = f"{'delivered':<34} {'lost':>4} {'duplicates':>10}"
    print(f"{'':<30}| {'otelmon':<51}| Alertmanager")
    print(f"{'fault':<30}| {head} | {head}")
    wrong = []
    for fault, row in zip(FAULTS, results, strict=True):
        theirs = row[1] if len(row) > 1 else None
        print(f"{fault.name:<30}| {shown(row[0]):<50} | {shown(theirs)}")
        if said := verdict(fault, row[0]):
            wrong.append(f"{fault.name}: {said}")
    if len(made) > 1:
        print(
            "After a 429 or a hang Alertmanager tries again when group_interval (300 s) is over; that is not awaited."
        )
    took = time.monotonic() - began
    print(f"{took:.0f} s. " + ("; ".join(wrong) if wrong else "otelmon: nothing lost, nothing twice without need"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
