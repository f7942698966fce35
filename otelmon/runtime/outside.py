"""Outside: what `otelmon run` does. It runs a command, and pages when that ends with an error or does not answer.

The application pages for itself as long as it lives. While it cannot, this process takes its place as any worker would:
it takes the lease on the state, restores alerts and incidents, and pages `process_down` the way of every other alert.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from otelmon.clock import Clock
from otelmon.config.load import load_settings
from otelmon.config.settings import DEFAULT_INTERVAL_SECONDS, PagingMode, Settings
from otelmon.errors import OtelmonError, StateError
from otelmon.faults import logger
from otelmon.runtime.alive import Alive, oom_kills
from otelmon.runtime.monitor import Monitor
from otelmon.runtime.note import NOTE_VARIABLE, PROCESS_DOWN, Note, read_note
from otelmon.runtime.switch import PagingDecision, decide_paging
from otelmon.storage.sqlite import STATE_FILE, open_existing
from otelmon.storage.store import PageState

CHILD_PATH = Path(__file__).parent / "child"
# What ends a process because somebody wants it to: a deploy, Ctrl-C, a closed terminal.
_MEANT = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# What is passed on, and which of that asks for the end: gunicorn, say, reloads at a SIGHUP.
_ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_PASSED_ON = (*_ENDS, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_LOOKS_AN_INTERVAL = 4.0
_BY_SHELL = 128  # what a shell adds to the signal in an exit code
# How long a page may take on top of two intervals, when nothing else is left to do.
_DELIVERY_SECONDS = 20.0
_OWED = (PageState.DUE, PageState.CLAIMED)


def child_environ(environ: Mapping[str, str], note: Path) -> dict[str, str]:
    """The environment of what is run: watched, unless OTELMON_ENABLED says otherwise."""
    path = [str(CHILD_PATH), *filter(None, [environ.get("PYTHONPATH")])]
    ours = {"PYTHONPATH": os.pathsep.join(path), NOTE_VARIABLE: str(note)}
    return {"OTELMON_ENABLED": "true", **environ, **ours}


def is_meant(code: int) -> bool:
    """Whether a process that ended so was meant to; ``code`` is that of subprocess, below zero for a signal."""
    return code == 0 or -code in _MEANT or code - _BY_SHELL in _MEANT


def said_of(code: int, *, killed_for_memory: bool = False) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"killed by {name}" + (", by the kernel for want of memory" if killed_for_memory else "")


class Outside:
    """Runs ``command`` once, from `run`'s start to its end. ``url`` is asked too whether the application answers."""

    def __init__(self, command: Sequence[str], *, url: str | None, clock: Clock) -> None:
        self._command = list(command)
        self._url = url
        self._clock = clock
        self._child: subprocess.Popen[bytes] | None = None
        self._asked = threading.Event()  # to stop, by a signal
        self._ended = threading.Event()
        self._monitor: Monitor | None = None
        self._put_at = 0.0

    def run(self) -> int:
        """Run the command to its end; the exit code, as a shell has it. Raises OSError where it cannot be run.

        To be called in the main thread: signals are passed on to the command until it returns.
        """
        with tempfile.TemporaryDirectory(prefix="otelmon-run-") as folder:
            note = Path(folder, "note.json")
            killed_before = oom_kills()
            before = {each: signal.signal(each, self._pass_on) for each in _PASSED_ON}
            try:
                # Sockets that we were given are for the child: by systemd, or by `--fd`.
                self._child = subprocess.Popen(self._command, env=child_environ(os.environ, note), close_fds=False)  # noqa: S603
                if self._asked.is_set():
                    self._child.terminate()
                looking = threading.Thread(target=self._look, args=(note,), name="otelmon-outside", daemon=True)
                looking.start()
                code = self._child.wait()
                self._ended.set()
                looking.join()
                if self._asked.is_set() or is_meant(code):
                    self._over()
                else:
                    killed = code == -signal.SIGKILL and oom_kills() > killed_before
                    self._page_end(read_note(note), said_of(code, killed_for_memory=killed))
            finally:
                for each, handler in before.items():
                    signal.signal(each, handler)
        return code if code >= 0 else _BY_SHELL - code

    def _pass_on(self, number: int, _: object) -> None:
        """A signal is for the child; where it is to end by it, that pages nobody."""
        if number in _ENDS:
            self._asked.set()
        child = self._child
        if child is None or child.poll() is not None:
            return
        if number == signal.SIGINT and _from_terminal():
            return  # the terminal has sent it to the child too, and a second one would cut its shutdown short
        child.send_signal(number)

    def _look(self, path: Path) -> None:
        """Look again and again whether the application answers, until it has ended."""
        alive: Alive | None = None
        wait = DEFAULT_INTERVAL_SECONDS / _LOOKS_AN_INTERVAL
        while not self._clock.wait(self._ended, min(1.0, wait) if alive is None else wait):
            try:
                note = read_note(path)
                if alive is None and note is not None:
                    settings = settings_of(note)
                    wait = settings.interval_seconds / _LOOKS_AN_INTERVAL
                    alive = Alive(settings, url=self._url)
                if alive is None or note is None:
                    continue
                fault = alive.look()
                if fault and not self._asked.is_set():
                    self._put(note, fault)
                elif self._monitor is not None and alive.answers:
                    self._over()
            except Exception as error:  # noqa: BLE001 (the child runs on, and its end is still seen)
                logger.error("otelmon run: it cannot be seen whether the application answers: %s", error)

    def _put(self, note: Note | None, said: str) -> None:
        """Say that the process is down, again at each interval while it is."""
        settings = settings_of(note)
        if self._monitor is None:
            paging = _paging(settings, note)
            logger.warning(
                "otelmon run: %s is down: %s%s", settings.service, said, "" if paging.on else ", nobody is told"
            )
            if not paging.on or not settings.enabled or settings.alerting_rule(PROCESS_DOWN) is None:
                return
            self._monitor = Monitor(settings, paging, clock=self._clock)
        elif self._clock.monotonic() < self._put_at:
            return
        self._put_at = self._clock.monotonic() + settings.interval_seconds
        self._monitor.process_alert(PROCESS_DOWN, 1.0, {"Process": said})

    def _over(self) -> None:
        """It answers again, or was stopped by intent: take back what was said, and leave the state to others."""
        if self._monitor is not None:
            logger.warning("otelmon run: the process is no longer down")
            self._monitor.process_alert(PROCESS_DOWN, 0.0)
            self._monitor.stop()
            self._monitor = None

    def _page_end(self, note: Note | None, said: str) -> None:
        """The process has ended with an error: page, wait until that was delivered, and leave the state."""
        try:
            self._put_at = 0.0
            self._put(note, said)
            if self._monitor is not None:
                self._wait_for_delivery(self._monitor.settings)
        except OtelmonError as error:
            logger.error("otelmon run: nobody can be told that the process ended: %s", error)
        finally:
            if self._monitor is not None:
                self._monitor.stop()

    def _wait_for_delivery(self, settings: Settings) -> None:
        deadline = self._clock.monotonic() + 2 * settings.interval_seconds + _DELIVERY_SECONDS
        while self._clock.monotonic() < deadline and not _is_told(settings):
            if self._clock.wait(self._asked, 0.2):
                return


def settings_of(note: Note | None) -> Settings:
    """The settings of the application, as far as they can be known from outside. Raises ConfigError."""
    config, service = (None, None) if note is None else (note.config_file, note.service)
    # A variable that switched the application off left no note; here it must not hide the rest.
    return load_settings(config, environ=os.environ, directory=Path.cwd(), application=service)


def _paging(settings: Settings, note: Note | None) -> PagingDecision:
    if note is not None:
        return PagingDecision(on=note.paging, reason=note.reason)
    mode = settings.paging if settings.enabled else PagingMode.OFF
    return decide_paging(mode, environment=settings.environment, has_webhook=settings.has_webhook, development=None)


def _is_told(settings: Settings) -> bool:
    """Whether the page about the process has left, or what was decided about it is no page."""
    with suppress(StateError), open_existing(settings.state_dir / STATE_FILE) as storage:
        for incident in storage.incidents():
            names = {alert.name for alert in incident.firing}
            if incident.resolved_at is None and PROCESS_DOWN in names:
                sent = storage.deliveries(incident.id)
                return bool(sent) and not any(each.state in _OWED for each in sent)
    return False


def _from_terminal() -> bool:
    """Whether a SIGINT came from the terminal, which sends it to all processes in the foreground."""
    try:
        return sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False
