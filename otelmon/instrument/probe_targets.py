"""Asking a probe's target: an HTTP endpoint or a TCP port. Imported in the background only, for httpx."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Mapping
from functools import cache
from time import monotonic, time

import httpx

from otelmon.instrument.probes import Answer, HttpTarget, TcpTarget

_MOST_BYTES = 1_000_000


def ask(target: HttpTarget | TcpTarget, timeout_seconds: float) -> Answer:
    """What the target answers now; raises the errors of sockets and TimeoutError, or says in words what is wrong."""
    if isinstance(target, TcpTarget):
        with socket.create_connection((target.host, target.port), timeout=timeout_seconds):
            return Answer()
    try:
        return _ask_http(target, timeout_seconds)
    except httpx.TimeoutException as error:
        raise TimeoutError from error
    except httpx.ConnectError as error:
        return Answer(problem=_connect_problem(error))


def _ask_http(target: HttpTarget, timeout_seconds: float) -> Answer:
    began = monotonic()
    # No connection is kept: whether a new one can be made is part of the question.
    with (
        httpx.Client(
            verify=_context(), timeout=timeout_seconds, limits=httpx.Limits(max_keepalive_connections=0)
        ) as client,
        client.stream(target.method, target.url, headers=dict(target.headers)) as response,
    ):
        expires_at = _expiry(response)
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if monotonic() - began > timeout_seconds:
                raise TimeoutError
            if len(body) > _MOST_BYTES:
                break
    problem = _status_problem(target, response.status_code) or _body_problem(target, bytes(body))
    if not problem and target.latency_limit_seconds is not None and monotonic() - began > target.latency_limit_seconds:
        problem = "too slow"
    if not problem and target.certificate_seconds is not None and expires_at is not None:
        problem = "" if expires_at - time() > target.certificate_seconds else "its certificate ends soon"
    return Answer(problem=problem, certificate_expires_at=expires_at)


def _status_problem(target: HttpTarget, status: int) -> str:
    well = status in target.statuses if target.statuses else 200 <= status < 300
    return "" if well else f"status {status}"


def _body_problem(target: HttpTarget, body: bytes) -> str:
    if target.body is not None and target.body.encode() not in body:
        return "another body"
    if target.json is not None:
        try:
            found = json.loads(body)
        except ValueError:
            return "no JSON"
        return "" if _is_part(target.json, found) else "another JSON"
    return ""


def _is_part(expected: object, found: object) -> bool:
    """Whether an object has what is expected of it, and maybe more; lists and values have to be equal."""
    if isinstance(expected, Mapping):
        return isinstance(found, Mapping) and all(
            key in found and _is_part(value, found[key]) for key, value in expected.items()
        )
    # True is 1 in Python, and not in JSON.
    return expected == found and isinstance(expected, bool) == isinstance(found, bool)


@cache
def _context() -> ssl.SSLContext:
    """The authorities that are trusted, as httpx has them (SSL_CERT_FILE is read), loaded once: it takes a while."""
    return httpx.create_ssl_context()


def _expiry(response: httpx.Response) -> float | None:
    stream = response.extensions.get("network_stream")
    connection = None if stream is None else stream.get_extra_info("ssl_object")
    certificate = None if connection is None else connection.getpeercert()
    return ssl.cert_time_to_seconds(str(certificate["notAfter"])) if certificate else None


def _connect_problem(error: BaseException) -> str:
    """Why there is no connection, as far as the causes tell."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"certificate: {cause.verify_message}"
        if isinstance(cause, ConnectionRefusedError):
            return "connection refused"
        if isinstance(cause, socket.gaierror):
            return "the name is not known"
        cause = cause.__cause__ or cause.__context__
    return "no connection"
