"""Diagnostics: the application's own callables that say more about an alert, run when it fires."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

LIMIT_SECONDS = 2.0
"""How long a diagnostic may take, unless less is asked for."""

_MOST_LINES = 20
_LINE_LIMIT = 200
_TEXT_LIMIT = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a diagnostic said, or why it said nothing: ``text`` is never empty."""

    name: str
    text: str


class Diagnostic:
    """One callable; at most one run of it is under way, so that one that hangs does not pile up threads."""

    def __init__(self, name: str, call: Callable[[], Any]) -> None:
        self.name = name
        self._call = call
        self._running: _Run | None = None

    def begin(self) -> Run:
        """Run it in a thread of its own; returns at once."""
        before = self._running
        if before is not None and not before.done.is_set():
            return Run(self.name, before, began=False)
        made = _Run()
        self._running = made
        threading.Thread(target=made.run, args=(self._call,), name="otelmon-diagnostic", daemon=True).start()
        return Run(self.name, made, began=True)


class Run:
    """A run that was begun, or (``began`` is False) an earlier one that is still under way."""

    def __init__(self, name: str, run: _Run, *, began: bool) -> None:
        self._name = name
        self._run = run
        self._began = began

    def said(self, seconds: float) -> Said:
        """What it says within so many seconds from now."""
        if not self._began:
            return Said(name=self._name, text="still runs since an earlier page")
        if not self._run.done.wait(max(0.0, seconds)):
            return Said(name=self._name, text="gave no answer in time")
        return Said(name=self._name, text=self._run.text)


class Diagnostics:
    """Those of one process, by the name of the alert that they are for."""

    def __init__(self) -> None:
        self._of: dict[str, list[Diagnostic]] = {}

    def add(self, alert: str, call: Callable[[], Any], name: str | None = None) -> None:
        """Run a callable when the alert fires; the same name again takes the earlier one's place."""
        said = name or getattr(call, "__name__", type(call).__name__).replace("_", " ").strip()
        known = [each for each in self._of.get(alert, ()) if each.name != said]
        self._of[alert] = [*known, Diagnostic(said, call)]

    def of(self, alert: str) -> tuple[Diagnostic, ...]:
        """The diagnostics of an alert, in the order in which they were added."""
        return tuple(self._of.get(alert, ()))


class _Run:
    def __init__(self) -> None:
        self.done = threading.Event()
        self.text = ""

    def run(self, call: Callable[[], Any]) -> None:
        try:
            self.text = _worded(_result(call)) or "nothing to say"
        except BaseException as error:  # noqa: BLE001 (the application's own code, in a thread of ours: it ends here)
            self.text = f"failed: {type(error).__name__}"
        finally:
            self.done.set()


def _result(call: Callable[[], Any]) -> Any:
    result = call()
    if inspect.isawaitable(result):
        return asyncio.run(_awaited(result))
    return result


async def _awaited(result: Any) -> Any:
    # Ended in time, so that its loop is closed and what it holds is let go; a blocking call cannot be.
    async with asyncio.timeout(LIMIT_SECONDS):
        return await result


def _worded(result: Any) -> str:
    """A result in words: texts as they are, mappings a pair a line, other collections an element a line; cut."""
    if result is None:
        return ""
    if isinstance(result, bytes):
        result = result[:_TEXT_LIMIT].decode("utf-8", "replace")
    if isinstance(result, str):
        lines: Iterable[str] = result[: _TEXT_LIMIT + 1].splitlines()
    elif isinstance(result, Mapping):
        lines = (f"{name}: {value}" for name, value in islice(result.items(), _MOST_LINES + 1))
    elif isinstance(result, Iterable):
        lines = (str(item) for item in islice(result, _MOST_LINES + 1))
    else:
        lines = str(result)[: _TEXT_LIMIT + 1].splitlines()
    return _cut(list(lines))


def _cut(lines: list[str]) -> str:
    shown = [line if len(line) <= _LINE_LIMIT else line[: _LINE_LIMIT - 1] + "…" for line in lines[:_MOST_LINES]]
    text = "\n".join(shown)
    if len(text) > _TEXT_LIMIT or len(lines) > _MOST_LINES:
        text = text[: _TEXT_LIMIT - 2].rstrip() + "\n…"
    return text.strip()
