"""`otelmon deploy VERSION`: note that a version goes live, for the pages that come after it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from otelmon.cli.options import ConfigOption, ServiceOption, errors_said, opened_state, settings_for
from otelmon.errors import StateError
from otelmon.incidents.noted import Noted, NotedKind

_LONGEST = 200


def deploy(
    version: Annotated[str, typer.Argument(help="What is deployed: a version, a tag, a commit.")],
    service: ServiceOption = None,
    config: ConfigOption = None,
) -> None:
    """Note a deploy: pages of the next hour say that it came before."""
    with errors_said():
        if not version.strip() or len(version) > _LONGEST or not version.isprintable():
            raise StateError(f"a version is 1 to {_LONGEST} printable characters")
        with opened_state(settings_for(config), service) as storage:
            storage.note(Noted(at=datetime.now(UTC), kind=NotedKind.DEPLOY, text=version.strip()))
    typer.echo(f"noted the deploy of {version.strip()}")
