"""Note: what an application under `otelmon run` leaves for the process that watches it from outside."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from otelmon.config.settings import Settings
from otelmon.faults import Faults
from otelmon.runtime.switch import PagingDecision

NOTE_VARIABLE = "OTELMON_RUN_NOTE"
"""Where the note is left; set by `otelmon run` for what it runs, and by nobody else."""
PROCESS_DOWN = "process_down"
"""The alert that says of an application under `otelmon run` that it ended or does not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Whom to page for, and from which configuration: only the application knows its title, and what it passed."""

    service: str
    config_file: str | None
    paging: bool
    reason: str


def is_run(environ: Mapping[str, str]) -> bool:
    """Whether this process runs under `otelmon run`."""
    return bool(environ.get(NOTE_VARIABLE))


def leave_note(settings: Settings, paging: PagingDecision, faults: Faults) -> None:
    """Leave the note where this process runs under `otelmon run`."""
    path = os.environ.get(NOTE_VARIABLE)
    if not path or not settings.enabled or Path(path).exists():
        return  # what the application may start later, under another name, is not what is run
    config_file = None if settings.config_file is None else str(settings.config_file.absolute())
    note = Note(service=settings.service, config_file=config_file, paging=paging.on, reason=paging.reason)
    try:
        # Several workers may write at once: each its own file, put in place whole.
        written = Path(f"{path}.{os.getpid()}")
        written.write_text(json.dumps(asdict(note)), encoding="utf-8")
        written.replace(path)
    except OSError as error:
        faults.add("run", "otelmon run cannot be told what it watches", error)


def read_note(path: Path) -> Note | None:
    """The note that was left; None where there is none."""
    try:
        return Note(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
