"""The page where an incident is acknowledged: a GET shows it, only a POST acts.

Previewers and prefetchers fetch links that stand in messages; whatever they do, nobody has taken the incident. The
POST leaves a request in the inbox, as `otelmon ack` does, so any process that shares the state may serve this.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response

from otelmon.clock import Clock
from otelmon.errors import StateError
from otelmon.faults import Faults
from otelmon.incidents.model import Acknowledge, IncidentState
from otelmon.instrument.lifecycle import Receive, Scope, Send
from otelmon.paging.text import Context
from otelmon.server.links import Claim, Links, Verdict, judge
from otelmon.server.look import Look
from otelmon.server.mount import ACKNOWLEDGE_PATH
from otelmon.server.slots import BUSY, BusyError, Slots
from otelmon.server.view import View, person, view_of
from otelmon.storage.store import Storage

WAIT_SECONDS = 3.0
"""How long a POST waits for the monitor to take its request, before the page says that it is on its way."""

_LOOK_SECONDS = 0.1
_LONGEST_BODY = 4096
_COOKIE = "otelmon_name"
_COOKIE_SECONDS = 365 * 24 * 3600
_FORM = "application/x-www-form-urlencoded"
_STATUS = {Verdict.FORGED: 403, Verdict.UNKNOWN: 404, Verdict.EXPIRED: 410, Verdict.OUTDATED: 410}
_SHOWN = (Verdict.VALID, Verdict.ACKNOWLEDGED, Verdict.RESOLVED)
_NO_STATE = "otelmon cannot read or write its state just now. Try again in a moment."
_NO_FORM = "This is no form of this page. Open the link again."
_NO_NAME = "Say who you are, so that the others know."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What a link is worth and what there is to see; ``pending`` is whose request is on its way to the monitor."""

    verdict: Verdict
    view: View | None = None
    pending: str = ""


class AcknowledgePage:
    """An ASGI application for what lies below ``ACKNOWLEDGE_PATH``.

    ``open_state`` opens the state for a ``with`` block; it is called in a thread, and only for genuine links.
    ``about`` is what pages say of where they come from; ``public_url`` is where people reach the app.
    """

    def __init__(
        self,
        open_state: Callable[[], AbstractContextManager[Storage]],
        *,
        about: Context,
        public_url: str,
        clock: Clock,
        faults: Faults,
    ) -> None:
        self._open_state = open_state
        self._about = about
        self._public_url = public_url
        self._clock = clock
        self._faults = faults
        self._links: Links | None = None
        self._slots = Slots()
        self._pages = Look()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        token = scope["path"].rpartition("/")[2]
        # Servers write their access log from the scope once the response begins: the link must not stand there.
        scope["path"] = scope["path"].removesuffix(token) + "..."
        scope["raw_path"] = scope["path"].encode("utf-8", "replace")
        try:
            response = await self._answer(request, token)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _answer(self, request: Request, token: str) -> Response:
        if request.method not in ("GET", "HEAD", "POST"):
            return Response(status_code=405, headers={**self._pages.headers, "Allow": "GET, HEAD, POST"})
        try:
            if self._links is None:
                self._links = await self._slots.run(self._made_links)
            claim = self._links.read(token)
            if claim is None:
                return self._page(request, _Seen(verdict=Verdict.FORGED))
            if request.method == "POST":
                return await self._post(request, token, claim)
            return self._page(request, await self._slots.run(partial(self._look, claim)))
        except BusyError:
            return self._notice(503, BUSY)
        except StateError as error:
            self._faults.add("own_pages", "the acknowledge page cannot use the state", error)
            return self._notice(503, _NO_STATE)

    async def _post(self, request: Request, token: str, claim: Claim) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
            return self._notice(415, _NO_FORM)
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > _LONGEST_BODY:
                return self._notice(413, _NO_FORM)
        try:
            fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=4)
        except ValueError:
            return self._notice(400, _NO_FORM)
        by = person(fields.get("name", [""])[0])
        if not by:
            return self._page(request, await self._slots.run(partial(self._look, claim)), problem=_NO_NAME)
        seen = await self._slots.run(partial(self._take, claim, by))
        if seen.verdict is not Verdict.VALID or seen.pending:
            return self._page(request, seen)
        # Back by a GET, so that reloading the page sends nothing again; relative, whatever a proxy makes of paths.
        response = RedirectResponse(token, status_code=303, headers=self._pages.headers)
        response.set_cookie(
            _COOKIE,
            quote(by, safe=""),
            max_age=_COOKIE_SECONDS,
            path=urlsplit(self._public_url).path + ACKNOWLEDGE_PATH,
            secure=self._public_url.startswith("https:"),
            httponly=True,
            samesite="lax",
        )
        return response

    def _made_links(self) -> Links:
        with self._open_state() as storage:
            return Links(storage.link_secret(), self._public_url)

    def _look(self, claim: Claim) -> _Seen:
        with self._open_state() as storage:
            return self._seen(storage, claim)

    def _take(self, claim: Claim, by: str) -> _Seen:
        """Leave the request, unless there is nothing to take, and wait a little for the monitor to read it."""
        with self._open_state() as storage:
            seen = self._seen(storage, claim)
            if seen.verdict is not Verdict.VALID or seen.pending:
                return seen
            storage.ask(Acknowledge(incident_id=claim.incident_id, by=by), self._now())
            deadline = self._clock.monotonic() + WAIT_SECONDS
            while self._clock.monotonic() < deadline:
                incident = storage.incident(claim.incident_id)
                if incident is None or incident.state is not IncidentState.TRIGGERED:
                    break
                self._clock.wait(threading.Event(), _LOOK_SECONDS)
        return seen

    def _seen(self, storage: Storage, claim: Claim) -> _Seen:
        incident = storage.incident(claim.incident_id)
        verdict = judge(claim, incident, self._now())
        pending = ""
        if verdict is Verdict.VALID:
            asked = (request.body for request in storage.requests())
            wanted = (body for body in asked if isinstance(body, Acknowledge))
            pending = next((body.by for body in wanted if body.incident_id == claim.incident_id), "")
        view = None
        if incident is not None and verdict in _SHOWN:
            view = view_of(incident, about=self._about, at=self._now())
        return _Seen(verdict=verdict, view=view, pending=pending)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now(), UTC)

    def _page(self, request: Request, seen: _Seen, *, problem: str = "") -> Response:
        status = _STATUS.get(seen.verdict, 200)
        if request.method == "POST":
            status = 422 if problem else 409 if status == 200 else status
        return self._rendered(
            status,
            verdict=seen.verdict.name,
            words=str(seen.verdict),
            view=seen.view,
            pending=seen.pending,
            name=person(unquote(request.cookies.get(_COOKIE, ""))),
            problem=problem,
        )

    def _notice(self, status: int, words: str) -> Response:
        return self._rendered(status, verdict="NONE", words=words, view=None, pending="", name="", problem="")

    def _rendered(self, status: int, **values: Any) -> Response:
        return self._pages.page("acknowledge.html", status, service=self._about.service, **values)
