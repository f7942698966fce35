"""Whether a command line of `otelmon` could be run, without running it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer
from typer.main import get_command


def command_fault(words: Sequence[str]) -> str | None:
    """What is wrong with the arguments of an ``otelmon`` command, in words; None where nothing is."""
    from otelmon.cli.main import app  # it imports the commands, and one of them this

    command: Any = get_command(app)
    rest = list(words)
    while rest and hasattr(command, "commands") and not rest[0].startswith("-"):
        name = rest.pop(0)
        command = command.commands.get(name)
        if command is None:
            return f"there is no command {name!r}"
    try:
        command.make_context(command.name, rest)
    except typer.Exit:
        return None  # --help or --version
    except Exception as error:
        # Typer's own or click's, by its version; both say in words what is wrong.
        if not hasattr(error, "format_message"):
            raise
        return str(error.format_message()) or "it takes more words"
    return None
