"""A stand-in for Sentry on a real socket: takes envelopes as its servers do, and keeps the events in them."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

PUBLIC_KEY = "d1234567890abcdef1234567890abcde"


@dataclass(slots=True)
class Answer:
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: bool = False


def parse_envelope(raw: bytes) -> tuple[dict[str, Any], list[tuple[dict[str, Any], Any]]]:
    """The headers of an envelope, and its items: headers and payload (https://develop.sentry.dev/sdk/envelopes/)."""
    head, _, rest = raw.partition(b"\n")
    items = []
    while rest.strip():
        item, _, rest = rest.partition(b"\n")
        headers = json.loads(item)
        length = headers.get("length")
        if length is None:
            payload, _, rest = rest.partition(b"\n")
        else:
            payload, rest = rest[:length], rest[length:]
            assert len(payload) == length
            assert rest[:1] in (b"", b"\n")
            rest = rest[1:]
        items.append((headers, json.loads(payload) if headers["type"] == "event" else payload))
    return json.loads(head), items


class SentryStandIn:
    """Keeps what it is sent in ``events``; ``answers`` are given in turn, then 200. A wrong key is refused with 403."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.answers: list[Answer] = []
        self._arrived = threading.Condition()
        self._stop = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def dsn(self) -> str:
        return f"{self.address.replace('//', f'//{PUBLIC_KEY}@')}/42"

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool], timeout: float = 45.0) -> dict[str, Any]:
        """The first event like this."""

        def found() -> dict[str, Any] | None:
            return next(filter(wanted, self.events), None)

        with self._arrived:
            event = self._arrived.wait_for(found, timeout)
        assert event is not None, f"not within {timeout:g} s: {[each.get('message') for each in self.events]}"
        return event

    def _handler(stand_in) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    raw = gzip.decompress(raw)
                answer = stand_in.answers.pop(0) if stand_in.answers else Answer()
                if answer.hang:
                    stand_in._stop.wait(20)
                    return
                known = self.path == "/api/42/envelope/" and f"sentry_key={PUBLIC_KEY}" in self.headers["X-Sentry-Auth"]
                status = answer.status if known else 403
                if status == 200:
                    _, items = parse_envelope(raw)
                    with stand_in._arrived:
                        stand_in.events += [payload for head, payload in items if head["type"] == "event"]
                        stand_in._arrived.notify_all()
                self.send_response(status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                pass

        return Handler
