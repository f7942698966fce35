"""Alive: whether an application answers, as seen from another process."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

from otelmon.config.settings import Settings
from otelmon.errors import StateError
from otelmon.runtime.control import ask

# A loop that is late by less is slow, not down.
_LEAST_LAG_SECONDS = 5.0
_LAG_INTERVALS = 0.9  # so that the second tick after it was blocked sees it, whenever in an interval that began
_FRESH_INTERVALS = 1.5
_LONGEST_WAIT_SECONDS = 3.0
_TIMES = 2  # in a row, before it is believed


class Alive:
    """Asks an application's monitor how late its event loop is and, if there is a ``url``, that too.

    What has never answered is starting, not down. ``answers`` is whether it did the last times.
    """

    def __init__(self, settings: Settings, *, url: str | None) -> None:
        self.answers = False
        interval = settings.interval_seconds
        self._folder = settings.state_dir
        self._url = url
        self._most_lag = max(_LEAST_LAG_SECONDS, _LAG_INTERVALS * interval)
        self._wait = min(_LONGEST_WAIT_SECONDS, interval / 2)
        lag = "otelmon_event_loop_lag_seconds"
        # Of this moment: while nobody leaves figures, an old one is still within the look-back of a query.
        self._expr = f"max({lag} and time() - timestamp({lag}) < {_FRESH_INTERVALS * interval:g})"
        self._seen: set[str] = set()
        self._failed = 0
        self._worked = 0

    def look(self) -> str:
        """What does not answer, in words; empty while all does, or nothing is known."""
        found = [self._ask_loop(), "" if self._url is None else self._ask_url(self._url)]
        fault = next((said for said in found if said), "")
        unknown = None in found and "loop" in self._seen
        self._failed = self._failed + 1 if fault else 0
        self._worked = 0 if fault or unknown else self._worked + 1
        self.answers = self._worked >= _TIMES
        return fault if self._failed >= _TIMES else ""

    def _ask_loop(self) -> str | None:
        """What is wrong with the loop, empty where nothing is; None where that is not known."""
        try:
            result = ask(self._folder, {"verb": "query", "expr": self._expr}, timeout_seconds=self._wait)["vector"]
        except StateError as error:
            if isinstance(error.__cause__, FileNotFoundError | ConnectionRefusedError):
                return None  # nobody evaluates right now: between two workers, or at a start
            return self._fault("loop", "its monitor does not answer: it is stopped, or hangs as a whole")
        if not result:
            return self._fault("loop", "its event loop is not heard of any more") or None
        lag = float(result[0]["value"])
        if lag > self._most_lag:
            return self._fault("loop", f"its event loop has been blocked for {lag:.0f} s")
        self._seen.add("loop")
        return ""

    def _ask_url(self, url: str) -> str:
        try:
            with urllib.request.urlopen(url, timeout=self._wait):  # noqa: S310 (http or https: the command checks)
                self._seen.add("url")
                return ""
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500:
                self._seen.add("url")
                return ""
            return self._fault("url", f"{url} answers {error.code}")
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            return self._fault("url", f"{url} does not answer: {reason}")

    def _fault(self, what: str, said: str) -> str:
        return said if what in self._seen else ""


def oom_kills() -> int:
    """How many processes of this cgroup (version 2) were killed for want of memory; 0 where nothing says so."""
    try:
        own = Path("/proc/self/cgroup").read_text(encoding="ascii").strip().rpartition("::")[2].lstrip("/")
        text = Path("/sys/fs/cgroup", own, "memory.events").read_text(encoding="ascii")
        return int(next(line.split()[1] for line in text.splitlines() if line.startswith("oom_kill ")))
    except (OSError, ValueError, StopIteration, IndexError):
        return 0
