"""Reload: other rules and another team, taken up while the app runs; all or none, what is broken changes nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from otelmon.config.settings import Settings
from otelmon.errors import ConfigError, Problem
from otelmon.faults import Faults, logger
from otelmon.rules.identity import rule_keys

if TYPE_CHECKING:
    from otelmon.runtime.engine import Engine

# What is taken up while the app runs: rules, and who is on call.
_TAKEN_UP = frozenset({"groups", "rule_files", "rule_patterns", "team", "notices"})
TEAM_CHANGED = "; who is on call changed"
"""What is said of a reload that took up other people, schedules, policies or notices."""
# When, and how large, each file was; None where it cannot be read.
Look = tuple[tuple[Path, tuple[int, int, int] | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """What a reload changed: how many rules there are now, how many of them are new, how many are gone.

    ``team`` says that people, schedules, escalation or notices changed. ``later`` names other settings that changed
    and count from the next start on.
    """

    rules: int
    new: int
    gone: int
    team: bool
    later: tuple[str, ...]

    def __str__(self) -> str:
        text = f"{self.rules} rules, {self.new} new, {self.gone} gone" + (TEAM_CHANGED if self.team else "")
        return f"{text}; changed too, from the next start on: {', '.join(self.later)}" if self.later else text


class RuleFiles:
    """otelmon.yaml and the rule files that it names, as they were when they were last read.

    ``load`` reads them again, with the arguments that the app was started with.
    """

    def __init__(self, settings: Settings, load: Callable[[], Settings]) -> None:
        self.settings = settings
        self.load = load
        self.read_as = look(settings)

    def renewed(self) -> Settings:
        """The settings, with the rules read again where files have changed; what is broken leaves the old ones."""
        if look(self.settings) != self.read_as:
            with suppress(ConfigError):
                self.settings = taken_up(self.load(), self.settings)
                self.read_as = look(self.settings)
        return self.settings


class Reloader:
    """Hands the engine the rules of files that changed. Usable from several threads."""

    def __init__(
        self,
        files: RuleFiles,
        engine: Engine,
        *,
        now: Callable[[], float],
        on_reload: Callable[[Settings], None],
        faults: Faults,
    ) -> None:
        self._files = files
        self._engine = engine
        self._now = now
        self._on_reload = on_reload
        self._faults = faults
        self._seen = files.read_as
        self._lock = threading.Lock()

    def poll(self) -> None:
        """Reload if the files are others than those that were read, and the same as at the last poll.

        So a file that is still being written is left alone. A broken one is counted and logged, with all that is wrong
        in it, once for each time that it changes.
        """
        seen, self._seen = self._seen, look(self._files.settings)
        if self._seen == self._files.read_as or self._seen != seen:
            return
        try:
            self.reload()
        except ConfigError as error:
            self._faults.clear("reload")
            self._faults.add("reload", f"the rules that were changed are not taken up, the old ones go on:\n{error}")

    def reload(self) -> Reloaded:
        """Read the files and evaluate what they say from now on. Raises ConfigError, and then nothing has changed."""
        from otelmon.runtime.retention import retention

        with self._lock:
            before = self._files.settings
            self._files.read_as = look(before)
            found = self._files.load()
            if found.config_file is None and before.config_file is not None:
                message = f"{before.config_file} is gone"
                raise ConfigError([Problem(message=message, hint="put it back, or start again without it")])
            later = tuple(
                name
                for name in Settings.model_fields
                if name not in _TAKEN_UP and getattr(found, name) != getattr(before, name)
            )
            after = taken_up(found, before)
            seconds, lasting = retention(after.groups, after.interval_seconds)
            self._engine.reload(
                after.groups,
                retention_seconds=seconds,
                lasting=lasting,
                at=self._now(),
                team=after.team,
                notices=after.notices,
            )
            self._files.settings = after
            self._files.read_as = self._seen = look(after)
            self._on_reload(after)
            made = _compared(before, after, later)
        self._faults.clear("reload")
        logger.info("otelmon: rules were reloaded: %s", made)
        return made


def taken_up(found: Settings, before: Settings) -> Settings:
    """Settings with what is taken up of others while the app runs: rules, and who is on call."""
    return before.model_copy(update={name: getattr(found, name) for name in _TAKEN_UP})


def look(settings: Settings) -> Look:
    """When the files of a configuration were last changed and how large they are."""
    return tuple((path, _stated(path)) for path in settings.files())


def _stated(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _compared(before: Settings, after: Settings, later: tuple[str, ...]) -> Reloaded:
    old = {key for keys in rule_keys(before.groups) for key in keys}
    new = {key for keys in rule_keys(after.groups) for key in keys}
    team = (before.team, before.notices) != (after.team, after.notices)
    return Reloaded(rules=len(new), new=len(new - old), gone=len(old - new), team=team, later=later)
