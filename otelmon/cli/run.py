"""`otelmon run -- COMMAND...`: run an application, watched from within and from outside."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from otelmon.clock import SystemClock
from otelmon.faults import logger


def run(
    command: Annotated[list[str], typer.Argument(help="What to run, such as: -- uvicorn app:app", show_default=False)],
    url: Annotated[
        str | None, typer.Option(help="Where the application answers, such as http://127.0.0.1:8000/health.")
    ] = None,
) -> None:
    """Run an ASGI server: its application is watched without a line in it, and its end or silence pages.

    Pages process_down when it is killed, ends with an error or does not answer; SIGTERM and SIGINT are passed on to it
    and page nobody. Ends with the exit code of the command, so that whatever started it can start it again.
    """
    from otelmon.runtime.outside import Outside

    if url is not None and not url.startswith(("http://", "https://")):
        raise typer.BadParameter("write http://... or https://...", param_hint="--url")
    logging.basicConfig(format="%(levelname)s:     %(message)s")
    logger.setLevel(logging.INFO)
    try:
        code = Outside(command, url=url, clock=SystemClock()).run()
    except OSError as error:
        typer.echo(f"otelmon run: {command[0]} cannot be run: {error.strerror}", err=True)
        raise typer.Exit(127) from None
    raise typer.Exit(code)
