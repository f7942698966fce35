"""The runbooks as pages: the team's own, else those that ship with otelmon. No secrets, so no link is signed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from starlette.requests import Request
from starlette.responses import Response

from otelmon.instrument.lifecycle import Receive, Scope, Send
from otelmon.rules.runbooks import heading_anchor, runbook_text
from otelmon.server.look import Look
from otelmon.server.mount import RUNBOOKS_PATH
from otelmon.server.slots import BUSY, BusyError, Slots

_LONGEST = 200_000
_WEB = re.compile(r"https?://", re.IGNORECASE)
_OTHER_RUNBOOK = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_-]*)(?:\.md)?(#.*)?")
_UNKNOWN = "There is no runbook of this name. At a command line, `otelmon runbook` lists those that there are."


class RunbookPages:
    """An ASGI application for what lies below ``RUNBOOKS_PATH``: the last part of the path is a runbook's name.

    ``folder`` is where the team's own runbooks are, ``service`` what the page of an unknown name is titled by.
    """

    def __init__(self, folder: Path | None, *, service: str) -> None:
        self._folder = folder
        self._service = service
        self._look = Look()
        self._slots = Slots()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await (await self._answer(Request(scope)))(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return Response(status_code=405, headers={**self._look.headers, "Allow": "GET, HEAD"})
        name = str(request.scope["path"]).rpartition(RUNBOOKS_PATH)[2]
        try:
            html = await self._slots.run(partial(self._html, name))
        except BusyError:
            return self._page(503, title=self._service, words=BUSY)
        if html is None:
            return self._page(404, title=self._service, words=_UNKNOWN)
        return self._page(200, title=f"{name}: runbook", html=html)

    def _html(self, name: str) -> str | None:
        text = runbook_text(name, self._folder)
        return None if text is None else rendered(text)

    def _page(self, status: int, *, title: str, html: str = "", words: str = "") -> Response:
        return self._look.page("runbook.html", status, title=title, html=html, words=words)


@lru_cache(maxsize=64)
def rendered(text: str) -> str:
    """A runbook's Markdown (CommonMark and tables) as HTML that is safe to show, whatever it holds.

    HTML in it is shown as it is written, an image becomes a link. Links lead to the web, to a heading or to another
    runbook beside it; all others are plain text. What is longer than any runbook is cut off.
    """
    # A parser of its own, since threads render at the same time.
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = parser.parse(text[:_LONGEST])
    for position, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", heading_anchor(tokens[position + 1].content))
        _mend_links(token.children or ())
    return str(parser.renderer.render(tokens, parser.options, {}))


def _mend_links(tokens: Sequence[Token]) -> None:
    for token in tokens:
        if token.type != "link_open":
            continue
        target = str(token.attrGet("href") or "")
        beside = _OTHER_RUNBOOK.fullmatch(target)
        if beside is not None:
            token.attrSet("href", f"{beside[1]}{beside[2] or ''}")
        elif _WEB.match(target):
            token.attrSet("rel", "noreferrer noopener")
        elif not target.startswith("#"):
            token.attrs.pop("href", None)
