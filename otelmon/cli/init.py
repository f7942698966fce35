"""`otelmon init`: write an annotated otelmon.yaml."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer


def init(
    path: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("otelmon.yaml"),
) -> None:
    """Write an otelmon.yaml in which every key is explained; an existing file is left as it is."""
    text = files("otelmon").joinpath("otelmon.yaml").read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        typer.echo(f"{path} exists; remove it first, or name another file: otelmon init PATH", err=True)
        raise typer.Exit(1) from error
    except OSError as error:
        typer.echo(f"{path} cannot be written: {error.strerror}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"wrote {path}; set DISCORD_WEBHOOK_URL, then try: otelmon check {path}")
