"""Imported by Python at its start, below `otelmon run`: watch the application that a server loads in this process.

Every Python process below inherits it, so nothing is imported but what waits for a server.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path


def _import_the_users() -> None:
    """Import the ``sitecustomize`` that there would be without this one."""
    here = Path(__file__).resolve().parent
    path = [entry for entry in sys.path if Path(entry or ".").resolve() != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", path)
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module  # under the name by which others may ask for it
    spec.loader.exec_module(module)


def _watch_servers() -> None:
    if os.environ.get("OTELMON_ENABLED", "").strip().lower() not in ("true", "1", "yes", "on"):
        return
    try:
        from wrapt import register_post_import_hook
    except ImportError:
        sys.stderr.write(f"otelmon run: otelmon is not installed for {sys.executable}: it watches from outside only\n")
        return
    for name in ("uvicorn.config", "gunicorn.workers.gasgi", "hypercorn.utils"):
        register_post_import_hook("otelmon.runtime.auto:watch_server", name)


_watch_servers()
_import_the_users()
