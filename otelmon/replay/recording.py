"""A recording on disk: its format is seen from its first line, its bad lines are noted and passed over."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from otelmon.errors import ConfigError, Problem
from otelmon.replay.collection import Collection, LineError
from otelmon.replay.exposition import TextReader
from otelmon.replay.otlp import OtlpReader

# So many bad lines are a file of something else.
MOST_BAD_LINES = 1000
_MOST_TOLD = 5
_MOST_LINE_BYTES = 256 * 1024 * 1024
_GZIP = b"\x1f\x8b"


class Recording:
    """Metrics that were recorded: OTLP/JSON lines, or OpenMetrics or Prometheus text; either may be gzipped.

    ``bad_lines`` counts what could not be read, ``problems`` has the first few of it, ``skipped`` counts points that
    have no meaning for rules, by reason. ``on_bytes`` is told how much of the file was read, in bytes.
    """

    def __init__(self, path: Path, *, on_bytes: Callable[[int], None] = lambda _: None) -> None:
        self.path = path
        self.bad_lines = 0
        self.problems: list[Problem] = []
        self.skipped: Counter[str] = Counter()
        self._on_bytes = on_bytes

    def collections(self) -> Iterator[Collection]:
        """What was measured, one instant after the other; a file of text is read to its end first.

        Raises ConfigError where the file cannot be read, or has more than a thousand bad lines.
        """
        try:
            with _opened(self.path) as (file, raw):
                lines = self._lines(file, raw)
                first = next(lines, None)
                if first is None:
                    return
                if first[1].lstrip().startswith(b"{"):
                    yield from self._otlp(first, lines)
                else:
                    yield from self._text(first, lines)
        except (OSError, EOFError) as error:
            said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise ConfigError([Problem(file=str(self.path), message=f"cannot be read: {said}")]) from error

    def _lines(self, file: IO[bytes], raw: IO[bytes]) -> Iterator[tuple[int, bytes]]:
        number = 0
        while line := file.readline(_MOST_LINE_BYTES):
            number += 1
            if number % 64 == 1:
                self._on_bytes(raw.tell())
            if line.strip():
                yield number, line

    def _otlp(self, first: tuple[int, bytes], lines: Iterator[tuple[int, bytes]]) -> Iterator[Collection]:
        reader = OtlpReader()
        self.skipped = reader.skipped
        for number, line in _chained(first, lines):
            try:
                found = reader.read(line)
            except LineError as error:
                self._note(number, error)
                continue
            yield from found

    def _text(self, first: tuple[int, bytes], lines: Iterator[tuple[int, bytes]]) -> Iterator[Collection]:
        reader = TextReader()
        for number, line in _chained(first, lines):
            try:
                reader.read(line.decode("utf-8"))
            except UnicodeDecodeError as error:
                self._note(number, LineError(f"no UTF-8: {error.reason}"))
            except LineError as error:
                self._note(number, error)
        yield from reader.collections()

    def _note(self, number: int, error: LineError) -> None:
        self.bad_lines += 1
        problem = Problem(file=str(self.path), line=number, message=str(error))
        if self.bad_lines <= _MOST_TOLD:
            self.problems.append(problem)
        if self.bad_lines > MOST_BAD_LINES:
            message = f"more than {MOST_BAD_LINES} lines cannot be read"
            hint = "a recording has OTLP/JSON lines, or OpenMetrics or Prometheus text with timestamps"
            raise ConfigError([*self.problems, Problem(file=str(self.path), line=number, message=message, hint=hint)])


def _chained(first: tuple[int, bytes], lines: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    yield first
    yield from lines


@contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """The file's text, and the file itself, whose position says how much was read."""
    with path.open("rb") as raw:
        magic = raw.read(2)
        raw.seek(0)
        if magic != _GZIP:
            yield raw, raw
            return
        with gzip.GzipFile(fileobj=raw) as text:
            yield cast("IO[bytes]", text), raw
