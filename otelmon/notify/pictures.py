"""Pictures of charts: drawn by a process of its own, in good time or not at all, and kept for whoever sends them."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from otelmon.incidents.chart import Chart

FONTS = "matplotlib"
"""The directory, below that of the state, where matplotlib keeps its list of fonts."""
PICTURE_LIMIT = 256 * 1024
"""Bytes of a picture; those that are drawn have 20 to 40 thousand."""

LATE_SECONDS = 20.0
"""How long a picture is waited for, all in all; the child ends itself when a drawing takes as long."""

_KEPT = 16
# Together less than a pipe takes without waiting for its reader.
_MOST_ASKED = 6
_REQUEST_LIMIT = 10_000
_FRESH_SECONDS = 50.0  # then it is about to end, as it has not been asked for so long
_PAUSE_SECONDS = 300.0  # after a drawing that failed: it would fail again, and cost a second of CPU each time
_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from otelmon.notify.chart_child import main; main()"
# What a process needs to run; not the application's settings and secrets.
_PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR", "TEMP", "TMP")
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def can_draw() -> bool:
    """Whether the extra ``charts`` is installed, and a Python is known that can be started."""
    return importlib.util.find_spec("matplotlib") is not None and bool(_python())


class Pictures:
    """Draws charts in a child process and keeps the last ones in memory.

    One thread calls ``begin`` and ``draw``; any thread asks what is ``ready``, which never waits, and closes. The child
    is started when it is needed and ends by itself. matplotlib keeps its list of fonts in ``folder``, a directory that
    is made where possible. ``command`` is what runs the child. Instants are monotonic seconds.
    """

    def __init__(
        self,
        folder: Path,
        *,
        command: Sequence[str] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._command = command
        self._monotonic = monotonic
        self._child: _Child | None = None
        self._closed = False
        self._used_at = 0.0
        self._paused_until = -math.inf
        self._changed = threading.Condition()
        self._kept: OrderedDict[Chart, bytes] = OrderedDict()

    def begin(self) -> None:
        """Let the child start, so that a drawing is sooner done. Does not wait. Not for a while after a failure."""
        now = self._monotonic()
        child = self._child
        if child is not None and (child.failed or (child.asked and now - self._used_at > LATE_SECONDS)):
            self._end()
            self._paused_until = now + _PAUSE_SECONDS
        elif child is not None and (child.gone or now - self._used_at > _FRESH_SECONDS):
            self._end()
        if self._child is None and not self._closed and now >= self._paused_until:
            self._used_at = now
            try:
                self._child = _Child(self._command or _command(), _workplace(self._folder), self._changed, self._keep)
            except OSError:
                self._paused_until = now + _PAUSE_SECONDS

    def draw(self, chart: Chart, seconds: float) -> bool:
        """Whether there is a picture of the chart within so many seconds; it may be ready later where not.

        Where earlier ones are late, it does not wait.
        """
        if self.ready(chart) is not None:
            return True
        self.begin()
        child = self._child
        if child is None or len(child.asked) >= _MOST_ASKED:
            return False
        behind = bool(child.asked)
        if not behind:
            self._used_at = self._monotonic()
        if not child.ask(chart) or behind:
            return False
        with self._changed:
            self._changed.wait_for(lambda: chart in self._kept or child.gone or not child.asked, max(0.0, seconds))
            return chart in self._kept

    def ready(self, chart: Chart) -> bytes | None:
        """The picture (PNG) of a chart that was drawn lately."""
        with self._changed:
            picture = self._kept.get(chart)
            if picture is not None:
                self._kept.move_to_end(chart)
            return picture

    def close(self) -> None:
        """End the child; nothing is drawn any more. What is ready stays."""
        self._closed = True
        self._end()

    def _end(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None

    def _keep(self, chart: Chart, picture: bytes) -> None:
        self._kept[chart] = picture
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)


class _Child:
    """A process that draws, and the thread that reads what it answers.

    ``asked`` are the charts that it has not answered. ``gone`` says that it has ended, ``failed`` that it could not
    draw, or ended with something left to draw. ``keep`` is called, with the lock, for each picture.
    """

    def __init__(
        self,
        command: Sequence[str],
        workplace: Path,
        changed: threading.Condition,
        keep: Callable[[Chart, bytes], None],
    ) -> None:
        self.asked: deque[Chart] = deque()
        self.gone = False
        self.failed = False
        self._changed = changed
        self._keep = keep
        environment = {name: os.environ[name] for name in _PASSED if name in os.environ}
        # Its directory is one without a matplotlibrc, which could change how charts look.
        self._process = subprocess.Popen(  # noqa: S603 (our own code)
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=workplace,
            env={**environment, **_ONE_THREAD, "MPLCONFIGDIR": str(workplace), "MPLBACKEND": "agg"},
            start_new_session=True,
        )
        threading.Thread(target=self._read, name="otelmon-pictures", daemon=True).start()

    def ask(self, chart: Chart) -> bool:
        """Let it draw a chart; False where that cannot be."""
        request = json.dumps(chart.plain()).encode() + b"\n"
        stdin = self._process.stdin
        if stdin is None or len(request) > _REQUEST_LIMIT:
            return False
        with self._changed:
            self.asked.append(chart)
        try:
            stdin.write(request)
            stdin.flush()
        except (OSError, ValueError):  # it has ended; its thread says so
            return False
        return True

    def end(self) -> None:
        """Kill it; its thread clears it away."""
        self._process.kill()

    def _read(self) -> None:
        stdout = self._process.stdout
        while stdout is not None and len(head := stdout.read(4)) == 4:
            size = int.from_bytes(head, "big")
            picture = stdout.read(size) if size <= PICTURE_LIMIT else b""
            with self._changed:
                if self.asked and 0 < size == len(picture):
                    self._keep(self.asked.popleft(), picture)
                else:
                    self.failed = True
                self._changed.notify_all()
            if self.failed:
                break
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, stdout):
            with suppress(OSError):  # of what it did not read any more
                if pipe is not None:
                    pipe.close()
        with self._changed:
            self.gone = True
            self.failed = self.failed or bool(self.asked)
            self._changed.notify_all()


def _command() -> Sequence[str]:
    """Python, isolated from what the application's environment adds to each start, but with its search path."""
    path = [os.path.abspath(entry) for entry in sys.path]  # noqa: PTH100 (an empty entry is the current directory)
    return (_python(), "-I", "-c", _START, json.dumps(path))


def _python() -> str:
    """The interpreter; where the process is not one itself (an embedding server), that of the environment."""
    if Path(sys.executable or "").stem.lower().startswith(("python", "pypy")):
        return sys.executable
    there = Path(sys.prefix) / "bin" / "python3"
    return str(there) if there.exists() else ""


def _workplace(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return folder.resolve()
    except OSError:
        return Path(tempfile.gettempdir())
