"""What OTLP's two ways in have in common: settings, tokens, what a request is to whoever takes it, the answer to it."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otelmon.collect.limits import Taken
from otelmon.collect.otlp import Signal
from otelmon.errors import ConfigError, Problem
from otelmon.faults import logger


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A request, decompressed: protobuf, or OTLP/JSON where ``json`` says so. ``tenant`` is that of its token."""

    body: bytes
    json: bool = False
    tenant: str = ""


class Sink(Protocol):
    """What takes the requests of a signal, from several threads; quick, for it may be called on an event loop.

    Raises MalformedError (the client drops the request) or OverloadedError (the client sends it again later).
    """

    def __call__(self, arrived: Arrived, /) -> Taken:
        """Take a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """PEM files. With ``client_ca`` only clients with a certificate that it has signed are let in (mTLS)."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverSettings:
    """Where to listen, who may send and how much."""

    host: str = "127.0.0.1"
    http_port: int | None = 4318
    """0 is any free port, None is not to listen."""
    grpc_port: int | None = 4317
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The tenant of each bearer token, "" for none. Without tokens anybody may send, which is meant for loopback."""
    tls: TlsFiles | None = None
    most_body: int = 8 * 1024 * 1024
    """Bytes of a request as it is sent."""
    most_decompressed: int = 32 * 1024 * 1024
    """Bytes of a request after decompression."""
    most_json: int = 8 * 1024 * 1024
    """The same for JSON, which takes many times as much once it is read."""
    most_connections: int = 1000
    """Connections over HTTP. For one more, the one that waits for longest for a request is ended."""
    most_at_once: int = 32
    """Requests that are read at the same time, over HTTP and gRPC, and as many that are handled. For one more that is
    read the one that takes longest is to come later; for one more that is handled, itself."""
    most_held: int = 256 * 1024 * 1024
    """Bytes of all requests that are read or handled, after decompression."""
    head_seconds: float = 10.0
    """How long a client may take for the head of a request."""
    body_seconds: float = 20.0
    """How long a client may take for the body of a request."""
    retry_after_seconds: int = 5
    """When a client that is refused for want of room is to come again."""


_HOW_TO_SEND_ONE = (
    "apps with otelmon have it in OTELMON_TOKEN, SDKs in OTEL_EXPORTER_OTLP_HEADERS='authorization=Bearer%20TOKEN', "
    "and it is one of `serve: tokens`"
)


class Tokens:
    """The bearer tokens that are known. Comparing takes as long for a wrong one, however much of it is right."""

    def __init__(self, tokens: Mapping[str, str]) -> None:
        """``tokens`` has the tenant of each. Raises ConfigError for an empty one, which would let anybody in."""
        if "" in tokens:
            hint = "set the variable that it is read from, or leave it out"
            raise ConfigError([Problem(message="a token of the receiver is empty", hint=hint)])
        # Digests are of one length, and where they first differ says nothing about the token.
        self._known = [(sha256(token.encode()).digest(), tenant) for token, tenant in tokens.items()]
        self._said: set[str] = set()

    def tenant(self, authorization: str) -> str | None:
        """The tenant by an Authorization header, "" where no token is needed; None where it is not let in."""
        if not self._known:
            return ""
        scheme, _, token = authorization.partition(" ")
        given = sha256(token.strip().encode("utf-8", "surrogateescape")).digest()
        found = None
        for digest, tenant in self._known:
            if hmac.compare_digest(digest, given):
                found = tenant
        return found if scheme.lower() == "bearer" else None

    def refusal(self, authorization: str, peer: str) -> str:
        """Why this one is not let in, for its answer; what is wrong is logged once, since many SDKs say nothing."""
        scheme, _, token = authorization.partition(" ")
        if not authorization.strip():
            why = "a bearer token is needed"
        elif scheme.lower() != "bearer" or not token.strip():
            why = "a bearer token is needed, and Authorization does not begin with Bearer"
        else:
            why = "the bearer token is not known"
        if why not in self._said:
            self._said.add(why)
            logger.warning("otelmon: what %s sends is refused: %s; %s (said once)", peer, why, _HOW_TO_SEND_ONE)
        return why


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rejected:
    """How the response of a signal says what was rejected."""

    response: Any
    field: str
    json: str


REJECTED: Mapping[Signal, _Rejected] = {
    Signal.METRICS: _Rejected(
        response=ExportMetricsServiceResponse, field="rejected_data_points", json="rejectedDataPoints"
    ),
    Signal.TRACES: _Rejected(response=ExportTraceServiceResponse, field="rejected_spans", json="rejectedSpans"),
    Signal.LOGS: _Rejected(response=ExportLogsServiceResponse, field="rejected_log_records", json="rejectedLogRecords"),
}
"""By signal, the message of the response and the names of its count."""


def partial_success(signal: Signal, taken: Taken) -> bytes:
    """The serialised Export...ServiceResponse: empty where all was taken without a remark."""
    response = REJECTED[signal].response()
    if taken.rejected or taken.message:
        response.partial_success.error_message = taken.message
        setattr(response.partial_success, REJECTED[signal].field, taken.rejected)
    return bytes(response.SerializeToString())
