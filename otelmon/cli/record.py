"""`otelmon record --output FILE`: what the running monitor measures, as a file for `otelmon backtest`."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any, cast

import typer

from otelmon.cli.options import ConfigOption, ServiceOption, errors_said, folder_in, settings_for, state_folder
from otelmon.duration import read_duration
from otelmon.errors import ConfigError, Problem, StateError
from otelmon.runtime.control import ask

# Intervals are of a second at least, so that no collection is missed.
_POLL_SECONDS = 0.5


def record(
    output: Annotated[Path, typer.Option(help="The file to write; an existing one is added to. NAME.gz is gzipped.")],
    *,
    lasting: Annotated[
        str | None, typer.Option("--for", help="How long, such as 1h; default: until it is interrupted (Ctrl-C).")
    ] = None,
    service: ServiceOption = None,
    config: ConfigOption = None,
    state_dir: Annotated[
        Path | None,
        typer.Option("--state-dir", help="The app's state directory; the configuration is not read then."),
    ] = None,
) -> None:
    """Write what the running monitor measures, one collection a line of OTLP/JSON; the app notices nothing."""
    with errors_said():
        seconds = float("inf") if lasting is None else _seconds(lasting)
        folder = folder_in(state_dir, service) if state_dir is not None else state_folder(settings_for(config), service)
        # The collection of before is not new; and a monitor that is not there is an error now, later one waits for it.
        said = ask(folder, {"verb": "record"})
        lines = 0
        with _opened(output) as file:
            for line in _lines(folder, float(said.get("at", 0.0)), seconds):
                file.write(line.encode() + b"\n")
                file.flush()
                lines += 1
    typer.echo(f"{output}: {lines} collections", err=True)


def _lines(folder: Path, known_at: float, seconds: float) -> Iterator[str]:
    """Each new collection, until the time is over or somebody interrupts."""
    end = time.monotonic() + seconds
    missing = False
    try:
        while (remaining := end - time.monotonic()) > 0:
            time.sleep(min(_POLL_SECONDS, remaining))
            try:
                said: dict[str, Any] = ask(folder, {"verb": "record", "known_at": known_at})
            except StateError as error:
                if not missing:
                    typer.echo(f"{error}; waiting for it", err=True)
                missing = True
                continue
            missing = False
            if "line" in said:
                known_at = said["at"]
                yield said["line"]
    except KeyboardInterrupt:
        return


def _seconds(text: str) -> float:
    try:
        return read_duration(text)
    except (ValueError, OverflowError) as error:
        raise ConfigError(
            [Problem(key="--for", message=f"{text!r}: write a duration such as 30s, 5m or 1h")]
        ) from error


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        file = cast("IO[bytes]", gzip.open(path, "ab") if path.suffix == ".gz" else path.open("ab"))  # noqa: SIM115 (below)
    except OSError as error:
        raise ConfigError([Problem(file=str(path), message=f"cannot be written: {error.strerror}")]) from error
    with file:
        yield file
