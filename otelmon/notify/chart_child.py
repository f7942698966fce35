"""The process that draws charts: a line of JSON in, the length of a PNG (4 bytes, big-endian; 0: it failed) and it out.

A process of its own because of what matplotlib costs (measured: 0.6 s of CPU to load it, 0.1 s a chart, 50 MB), which
would be taken from the application's requests; and because a process that hangs can be ended. It ends with its parent,
or when it was not asked for a minute.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
from pathlib import Path
from typing import BinaryIO

from otelmon.incidents.chart import chart_from
from otelmon.notify.chart import draw

IDLE_SECONDS = 60.0
DRAWING_SECONDS = 20.0


def main() -> None:
    """Draw whatever is asked for, until the input ends."""
    # Replies go where nobody else writes: what a library prints must not be taken for a picture.
    with os.fdopen(os.dup(1), "wb") as replies:
        os.dup2(2, 1)
        serve(sys.stdin.buffer, replies)


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer each line of ``requests``."""
    with Path(os.devnull).open("w") as nowhere:

        def end_after(seconds: float) -> None:
            # Its watchdog needs no lock of the interpreter's: it ends whatever hangs.
            faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)

        end_after(IDLE_SECONDS)
        _load()
        for line in requests:
            end_after(DRAWING_SECONDS)
            picture = _drawn(line)
            replies.write(len(picture).to_bytes(4, "big") + picture)
            replies.flush()
            end_after(IDLE_SECONDS)
        faulthandler.cancel_dump_traceback_later()


def _load() -> None:
    """While nobody waits yet."""
    import matplotlib.backends.backend_agg
    import matplotlib.figure  # noqa: F401


def _drawn(line: bytes) -> bytes:
    try:
        chart = chart_from(json.loads(line))
        return b"" if chart is None else draw(chart)
    except Exception:  # noqa: BLE001 (the page has its row of blocks)
        return b""
