"""Reads ``forward:`` of otelmon.yaml: the OTLP backends to which everything goes on that came in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from otelmon.collect.otlp import GRPC, HTTP, Signal
from otelmon.config.client_tls import TlsSettings, read_client_tls
from otelmon.config.serve import ServeSettings
from otelmon.document.fields import Fields, Problems, did_you_mean, set_fields
from otelmon.document.model import Listing, Scalar, Section, describe, is_empty

DEFAULT_NAME = "backend"
"""What the target is called where ``forward:`` describes one only."""
DEFAULT_QUEUE_BYTES = 256 * 2**20
"""How much of each signal waits on disk for a target at most, where nothing else is said."""
DEFAULT_TIMEOUT_SECONDS = 10.0
"""How long a request may take where nothing else is said, as in OTLP's specification."""

_KEYS = ("endpoint", "protocol", "headers", "timeout", "compression", "signals", "tls", "queue")
_EXAMPLE = "write {endpoint: http://collector:4318}, or several by name: {backend: {endpoint: ...}, archive: {...}}"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TEXT = re.compile(r"[\x20-\x7e]*")
_SIZE = re.compile(r"([0-9]+)\s*(KiB|MiB|GiB|KB|MB|GB)")
_UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_SMALLEST_QUEUE, _LARGEST_QUEUE = 2**20, 2**40
_GRPC_PORT = 4317
# What OTLP itself says in a request's head.
_OURS = frozenset({"content-type", "content-encoding", "content-length", "host", "te", "transfer-encoding"})


class Compression(StrEnum):
    """How bodies are sent."""

    GZIP = "gzip"
    NONE = "none"


class ForwardSettings(BaseModel):
    """One backend. ``endpoint`` is a secret, as it may have a token in it; ``place`` is its host and port for logs.

    ``queue_bytes`` bounds what waits on disk of each signal.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = DEFAULT_NAME
    endpoint: SecretStr
    place: str
    protocol: str = HTTP
    headers: Mapping[str, SecretStr] = Field(default_factory=dict)
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    compression: Compression = Compression.GZIP
    signals: tuple[Signal, ...] = tuple(Signal)
    tls: TlsSettings = TlsSettings()
    queue_bytes: int = DEFAULT_QUEUE_BYTES


def read_forward(
    fields: Fields | None, base: Path, problems: Problems, *, serve: ServeSettings
) -> tuple[ForwardSettings, ...]:
    """``forward:``: one target, or several by name; files of TLS are relative to ``base``. Problems are noted.

    ``serve`` says where this server listens: what goes on to there would come back for ever.
    A target whose endpoint is empty (its variable is not set here) is left out.
    """
    value = None if fields is None else fields.value("forward")
    if fields is None or value is None or is_empty(value):
        return ()
    if not isinstance(value, Section):
        fields.fault("forward", f"a section of keys expected, not {describe(value)}", _EXAMPLE)
        return ()
    if set(value.entries) & set(_KEYS):
        found = [_Target(DEFAULT_NAME, value, "forward", base, problems, serve=serve).read()]
    else:
        found = []
        for name, entry in value.entries.items():
            path = f"forward.{name}"
            if isinstance(entry.value, Scalar) and (hint := did_you_mean(name, _KEYS)):
                problems.add(entry.key, "unknown key", key=path, hint=hint)
            elif not _NAME.fullmatch(name):
                hint = "write up to 40 small letters, digits, - and _"
                problems.add(entry.key, "no name for a target", key=path, hint=hint)
            elif not isinstance(entry.value, Section):
                message = f"a section of keys expected, not {describe(entry.value)}"
                problems.add(entry.key, message, key=path, hint=_EXAMPLE)
            else:
                found.append(_Target(name, entry.value, path, base, problems, serve=serve).read())
    return tuple(target for target in found if target is not None)


class _Target:
    """Reads one target."""

    def __init__(
        self, name: str, section: Section, path: str, base: Path, problems: Problems, *, serve: ServeSettings
    ) -> None:
        self.name = name
        self.serve = serve
        self.section = section
        self.base = base
        self.problems = problems
        self.fields = set_fields(section, problems, known=_KEYS, path=path)

    def read(self) -> ForwardSettings | None:
        url = self._endpoint()
        parts = urlsplit(url or "http://unset")
        secure = parts.scheme == "https"
        settings = ForwardSettings(
            name=self.name,
            endpoint=SecretStr(url or ""),
            place=parts.netloc.rpartition("@")[2],
            protocol=self._protocol(parts.port if url else None),
            headers=self._headers(),
            timeout_seconds=self.fields.duration("timeout", low=0.1, high=300.0) or DEFAULT_TIMEOUT_SECONDS,
            compression=Compression(self.fields.choice("compression", list(Compression)) or Compression.GZIP),
            signals=self._signals(),
            tls=self._tls(secure=secure or not url),
            queue_bytes=self._queue_bytes(),
        )
        return settings if url else None

    def _endpoint(self) -> str | None:
        entry = self.section.entries.get("endpoint")
        value = None if entry is None else entry.value
        if isinstance(value, Scalar) and value.written and is_empty(value):
            return None  # ${NAME:-} with nothing set
        url = value.text.strip().rstrip("/") if isinstance(value, Scalar) else ""
        fault = _endpoint_fault(url)
        if fault is not None:
            message, hint = fault if value is not None else ("the endpoint is missing", _EXAMPLE)
            self.fields.fault("endpoint", message, hint)
            return None
        parts = urlsplit(url)
        if self.serve.takes(parts.hostname or "", parts.port):
            hint = "write the backend's address, or give `serve:` other ports where the backend has these"
            self.fields.fault("endpoint", "leads back to this server, which would send for ever", hint)
            return None
        return url

    def _protocol(self, port: int | None) -> str:
        return self.fields.choice("protocol", (HTTP, GRPC)) or (GRPC if port == _GRPC_PORT else HTTP)

    def _headers(self) -> dict[str, SecretStr]:
        found: dict[str, SecretStr] = {}
        for name, scalar in self.fields.texts("headers").items():
            key = self.fields.key(f"headers.{name}")
            if not _HEADER.fullmatch(name) or name.lower() in _OURS:
                hint = "write a name such as Authorization"
                self.problems.add(scalar, "no header that can be set here", key=key, hint=hint)
            elif not _TEXT.fullmatch(scalar.text.strip()):
                hint = "write it on one line, without letters beyond ASCII"
                self.problems.add(scalar, "no value that a header can have", key=key, hint=hint)
            else:
                found[name.lower()] = SecretStr(scalar.text.strip())
        return found

    def _signals(self) -> tuple[Signal, ...]:
        value = self.fields.value("signals")
        if value is None:
            return tuple(Signal)
        words = {signal.lower(): signal for signal in Signal}
        found: list[Signal] = []
        for item in value.items if isinstance(value, Listing) else (value,):
            text = item.text.strip().lower() if isinstance(item, Scalar) else ""
            if text in words:
                found.append(words[text])
            else:
                hint = did_you_mean(text, words) or "write metrics, traces or logs"
                key = self.fields.key("signals")
                self.problems.add(item, f"{describe(item)} is no signal", key=key, hint=hint)
        if not found and isinstance(value, Listing) and not value.items:
            self.fields.fault("signals", "a target that gets nothing", "name a signal, or take the target away")
        return tuple(dict.fromkeys(found))

    def _tls(self, *, secure: bool) -> TlsSettings:
        if self.fields.value("tls") is not None and not secure:
            self.fields.fault("tls", "the endpoint is without TLS", "write https://... as the endpoint")
        return read_client_tls(self.fields, "tls", self.base)

    def _queue_bytes(self) -> int:
        section = self.fields.sub("queue")
        if section is None:
            return DEFAULT_QUEUE_BYTES
        fields = Fields(section, self.problems, known=("size",), path=self.fields.key("queue"))
        value = fields.value("size")
        if value is None:
            return DEFAULT_QUEUE_BYTES
        match = _SIZE.fullmatch(value.text.strip()) if isinstance(value, Scalar) else None
        if match is None:
            fields.fault("size", f"{describe(value)} is no size", "write 256MiB or 2GiB")
            return DEFAULT_QUEUE_BYTES
        size = int(match[1]) * _UNITS[match[2]]
        if not _SMALLEST_QUEUE <= size <= _LARGEST_QUEUE:
            fields.fault("size", f"{describe(value)} is out of bounds", "write at least 1MiB and at most 1024GiB")
            return DEFAULT_QUEUE_BYTES
        return size


def _endpoint_fault(url: str) -> tuple[str, str] | None:
    """What is wrong with an endpoint, without a word of it, and what to write instead; None where nothing is."""
    hint = "write http://host:4318, or https:// with TLS"
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
        parts = urlsplit("")
    if not whole or not re.fullmatch(r"[\x21-\x7e]+", url):
        return "is no OTLP endpoint", hint
    if parts.path.endswith(tuple(signal.path for signal in Signal)):
        return "ends in the path of one signal", "write it without /v1/...: that is added for each signal"
    if "?" in url or "#" in url:
        return "has more than an address and a path", hint
    return None
