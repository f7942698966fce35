"""Routings for the tests of what is decided."""

from __future__ import annotations

from collections.abc import Collection

from otelmon.paging.routing import Mentions, Route, Routing


def fixed(targets: Collection[str], mentions: Mentions | None = None) -> Routing:
    """Everything to the same notifiers; without any, paging is off."""
    return Routing(default=Route(targets=tuple(targets), mentions=mentions or {}))
