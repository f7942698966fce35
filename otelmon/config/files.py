"""Which files are read: the configuration, and what its paths and globs match."""

from __future__ import annotations

import os
from collections.abc import Mapping
from glob import has_magic
from pathlib import Path

from otelmon.errors import ConfigError, Problem

FILE_NAMES = ("otelmon.yaml", "otelmon.yml")


def find_config(config: str | Path | None, *, environ: Mapping[str, str], directory: Path) -> Path | None:
    """The file to read: ``config``, else ``OTELMON_CONFIG``, else otelmon.yaml in ``directory`` if there is one.

    Raises ConfigError where a named file does not exist, where otelmon.yaml is a directory or a link to nowhere,
    or where there is an otelmon.yaml and an otelmon.yml.
    """
    if config is not None:
        return _existing(Path(config), None)
    named = environ.get("OTELMON_CONFIG", "").strip()
    if named:
        return _existing(Path(named), "OTELMON_CONFIG")
    found = [path for name in FILE_NAMES if os.path.lexists(path := directory / name)]
    if len(found) > 1:
        message = f"there is {found[0].name} and {found[1].name}"
        raise ConfigError([Problem(file=shown(found[0]), message=message, hint="keep one of them")])
    return _existing(found[0], None) if found else None


def _existing(path: Path, variable: str | None) -> Path:
    try:
        exists, folder = path.is_file(), path.is_dir()
    except (OSError, ValueError):
        exists = folder = False
    if not exists and folder:
        message = "is a directory, not a file" if variable is None else f"names {str(path)!r}, which is a directory"
        raise ConfigError([Problem(file=str(path) if variable is None else variable, message=message)])
    if not exists:
        message = "no such file" if variable is None else f"names {str(path)!r}, and there is no such file"
        raise ConfigError([Problem(file=str(path) if variable is None else variable, message=message)])
    return path


def shown(path: Path) -> str:
    """A path as the user would type it: relative where it lies below the current directory."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def matching(base: Path, pattern: str) -> list[Path]:
    """The files of a path or glob, in the order of their names."""
    path = base / pattern
    try:
        if not has_magic(pattern):
            return [path] if path.is_file() else []
        anchor = Path(path.anchor) if Path(pattern).is_absolute() else base
        relative = Path(pattern).relative_to(Path(pattern).anchor)
        return sorted(found for found in anchor.glob(str(relative)) if found.is_file())
    except (OSError, ValueError, NotImplementedError, IndexError):
        return []
