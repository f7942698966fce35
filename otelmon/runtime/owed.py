"""Owed: the pages of a tick, whatever becomes of their words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from otelmon.faults import Faults
from otelmon.incidents.model import Change
from otelmon.oncall.call import Call
from otelmon.paging.decide import decide
from otelmon.paging.model import Page
from otelmon.paging.routing import Routing
from otelmon.paging.text import Context


def owed_pages(
    changes: Sequence[Change], calls: Mapping[str, Call], routing: Routing, about: Context, faults: Faults
) -> list[Page]:
    """The pages owed for these changes; where the words for one cannot be found, a page with fewer of them."""
    pages: list[Page] = []
    for change in changes:
        try:
            pages += decide([change], routing=routing, about=about, calls=calls)
        except Exception as error:  # noqa: BLE001 (a page with less in it beats none)
            faults.add("page", "a page could not be written whole", error)
            plain = Context(service=about.service, environment=about.environment)
            pages += decide([change], routing=routing, about=plain, calls=_plain(calls))
    return pages


def _plain(calls: Mapping[str, Call]) -> dict[str, Call]:
    """The same calls with no more words than whom they call."""
    return {id_: replace(call, decision=None, notices=(), coming=None) for id_, call in calls.items()}
