"""`otelmon serve`: one evaluation for a fleet. Takes OTLP from many applications and pages for all of them."""

from __future__ import annotations

import logging
import os
import signal
import threading
from functools import partial
from pathlib import Path

import typer

from otelmon.cli.options import ConfigOption
from otelmon.clock import SystemClock
from otelmon.config.load import load_settings
from otelmon.errors import OtelmonError
from otelmon.faults import logger

_OPEN_FILES = 65536


def serve(config: ConfigOption = None) -> None:
    """Take OTLP from many applications, evaluate the rules over all of them, and page.

    Listens as `serve:` in otelmon.yaml says: gRPC on 127.0.0.1:4317, HTTP on 4318; health, metrics and pages on 4319.
    Ends by SIGTERM or SIGINT, when what has come is evaluated and what is due is delivered, with exit code 0.
    """
    # gRPC, which reads this when it is imported, writes broken bytes of clients to stderr as they come.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from otelmon.runtime.serve import Server
    from otelmon.runtime.switch import decide_paging

    _allow_connections()
    logging.basicConfig(format="%(levelname)s:     %(message)s")
    logger.setLevel(logging.INFO)
    load = partial(load_settings, config, environ=os.environ, directory=Path.cwd(), server=True)
    stop = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: stop.set())
    try:
        settings = load()
        if settings.disabled_by is not None:
            typer.echo(f"otelmon serve: switched off by {settings.disabled_by}", err=True)
            raise typer.Exit(1)
        paging = decide_paging(
            settings.paging, environment=settings.environment, has_webhook=settings.has_webhook, development=None
        )
        Server(settings, paging, load=load, clock=SystemClock()).run(stop)
    except OtelmonError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(f"otelmon serve: it cannot listen: {error}", err=True)
        raise typer.Exit(1) from None


def _allow_connections() -> None:
    """Each connection is an open file, of which shells allow 1024 where the system allows more."""
    try:
        import resource
    except ImportError:  # Windows has no such bound
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
