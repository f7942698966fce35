"""The hunt for secrets where they must not be."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable, Iterator
from urllib.parse import quote, urlsplit

_SHORTEST = 6


def assert_no_secret(secret: str, *exposed: object) -> None:
    """Fail if the secret, or the telling part of it, can be read from any of the things.

    ``secret`` is a token or a URL; of a URL each long piece of the path and each password counts. ``exposed`` are
    texts, bytes, objects (their ``str``, ``repr`` and public attributes), exceptions (with all that led to them), log
    records, or iterables of these.
    """
    pieces = _pieces(secret)
    for thing in exposed:
        for text in _texts(thing, set()):
            for piece in pieces:
                if piece in text:
                    shown = text.replace(piece, "[HERE]")
                    raise AssertionError(f"a secret shows in {type(thing).__name__}: {shown[:500]}")


def _pieces(secret: str) -> set[str]:
    pieces = {secret}
    if "://" in secret:
        parts = urlsplit(secret)
        pieces |= {*parts.path.split("/")[-1:], parts.path, parts.password or ""}
    pieces |= {quote(piece, safe="") for piece in pieces}
    return {piece for piece in pieces if len(piece) >= _SHORTEST}


def _texts(thing: object, seen: set[int]) -> Iterator[str]:
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, str):
        yield thing
        return
    if isinstance(thing, bytes | bytearray):
        yield bytes(thing).decode("utf-8", "replace")
        return
    if isinstance(thing, logging.LogRecord):
        yield logging.Formatter("%(name)s %(levelname)s %(message)s").format(thing)
        yield repr(thing.args)
        return
    if isinstance(thing, BaseException):
        yield "".join(traceback.format_exception(thing))
        yield repr(thing.args)
        for other in (thing.__cause__, thing.__context__):
            if other is not None:
                yield from _texts(other, seen)
    yield str(thing)
    yield repr(thing)
    if isinstance(thing, Iterable):
        for item in thing:
            yield from _texts(item, seen)
    for name, value in getattr(thing, "__dict__", {}).items():
        if not name.startswith("_"):
            yield str(value)
