"""The OpenTelemetry libraries log a lasting fault each time it is met; here it is logged once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Beyond so many different causes nothing new is let through.
_MOST_CAUSES = 200


class OnceFilter(logging.Filter):
    """Lets each warning or error of our own calls through once a cause, and reports every one.

    Records of other threads, which belong to the application's own readers and exporters, pass untouched. ``note`` is
    called with the text of each record of ours. The cause is the record's text, or only its template when
    ``by_template`` is set, for texts that carry a time or a number.
    """

    def __init__(self, note: Callable[[str], None], *, by_template: bool = False) -> None:
        """A filter for a logger (not a handler)."""
        super().__init__()
        self._note = note
        self._by_template = by_template
        self._thread: int | None = None
        self._seen: set[str] = set()

    @contextmanager
    def on_this_thread(self) -> Iterator[None]:
        """What the calling thread logs inside is ours."""
        self._thread = threading.get_ident()
        try:
            yield
        finally:
            self._thread = None

    def clear(self) -> None:
        """Let each cause through once more: what failed has worked meanwhile."""
        self._seen.clear()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is shown."""
        if self._thread is None or record.thread != self._thread or record.levelno < logging.WARNING:
            return True
        message = record.getMessage()
        self._note(message)
        cause = str(record.msg) if self._by_template else message
        if cause in self._seen or len(self._seen) >= _MOST_CAUSES:
            return False
        self._seen.add(cause)
        return True
