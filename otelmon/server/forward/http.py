"""Sends over OTLP/HTTP: protobuf by POST, gzip, on a connection that is kept."""

from __future__ import annotations

import gzip
import time
from datetime import UTC, datetime

import httpx
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status

from otelmon.collect.otlp import Signal
from otelmon.config.forward import Compression, ForwardSettings
from otelmon.notify.backoff import asked_seconds
from otelmon.notify.exchange import BODY_LIMIT, keep_to_ourselves, why
from otelmon.server.forward.answers import Accepted, Answer, Later, Refused, accepted, shown

# The whole list of OTLP's specification.
_RETRYABLE = frozenset({429, 502, 503, 504})
# Too large, not understood, or what broke the backend: of several requests one may be to blame.
_FOR_CONTENT = frozenset({400, 413, 415, 422, 500})
_SMALLEST_COMPRESSED = 1024
# Fast rather than small: telemetry repeats itself so much that the difference is slight.
_LEVEL = 1


class HttpSender:
    """An OTLP/HTTP client for one target and one thread."""

    def __init__(self, settings: ForwardSettings) -> None:
        self._settings = settings
        self._client: httpx.Client | None = None
        self._headers = {
            "Content-Type": "application/x-protobuf",
            "User-Agent": "otelmon",
            **{name: value.get_secret_value() for name, value in settings.headers.items()},
        }

    def send(self, signal: Signal, body: bytes, timeout_seconds: float) -> Answer:
        """See ``Sender``."""
        headers = dict(self._headers)
        if self._settings.compression is Compression.GZIP and len(body) >= _SMALLEST_COMPRESSED:
            body = gzip.compress(body, compresslevel=_LEVEL)
            headers["Content-Encoding"] = "gzip"
        url = self._settings.endpoint.get_secret_value() + signal.path
        try:
            with (
                keep_to_ourselves(),
                self._opened().stream("POST", url, content=body, headers=headers, timeout=timeout_seconds) as response,
            ):
                received, end = bytearray(), time.monotonic() + timeout_seconds
                for piece in response.iter_bytes():
                    received += piece
                    if len(received) > BODY_LIMIT or time.monotonic() > end:  # all that counts is read by then
                        break
                return _answer(signal, response, bytes(received))
        except Exception as error:  # noqa: BLE001 (whatever it was, it is tried again; its text may hold the endpoint)
            return Later(reason=why(error))

    def close(self) -> None:
        """See ``Sender``."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _opened(self) -> httpx.Client:
        if self._client is None:
            self._client = httpx.Client(verify=self._settings.tls.context, follow_redirects=False)
        return self._client


def _answer(signal: Signal, response: httpx.Response, body: bytes) -> Answer:
    if response.is_success:
        return accepted(signal, body) if body else Accepted()
    reason = f"HTTP {response.status_code}"
    if response.status_code in _RETRYABLE:
        return Later(reason=reason, seconds=asked_seconds(response.headers.get("retry-after"), datetime.now(UTC)))
    return Refused(reason=reason, message=shown(_said(body)), for_content=response.status_code in _FOR_CONTENT)


def _said(body: bytes) -> str:
    """The message of the google.rpc.Status that a refusal may have in its body; empty where there is none."""
    try:
        return str(Status.FromString(body).message)
    except DecodeError:
        return ""
