"""Reads ``serve:`` of otelmon.yaml: where `otelmon serve` listens, whom it lets in, and how much it takes."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from otelmon.document.fields import Fields, Problems, as_boolean, set_fields
from otelmon.document.model import Scalar, Section, describe, is_empty
from otelmon.tenants import Tenants

DEFAULT_NAME = "otelmon"
"""What a server calls itself, in the labels of its own metrics and in its state directory."""
DEFAULT_FORGET_SECONDS = 86_400.0
"""How long an instance that fell silent is waited for."""
DEFAULT_MAX_SERIES = 200_000
"""How many series a server keeps in memory where ``max_series:`` does not say."""

DEFAULT_SHARE = 0.5
"""Of max_series, what one client may have."""

_KEYS = ("name", "host", "grpc", "http", "public", "tokens", "tls", "max_body", "share", "forget_after")
_TLS_KEYS = ("certificate", "key", "client_ca")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SIZE = re.compile(r"([0-9]+)\s*(KiB|MiB|GiB|KB|MB|GB)")
_UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_SHARE = re.compile(r"([0-9]{1,3})\s*%")
_SHORTEST_TOKEN = 16
_LAST_PORT = 65535


class Listen(BaseModel):
    """A host and port; port 0 takes a free one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str
    port: int


DEFAULT_PUBLIC = Listen(host="127.0.0.1", port=4319)
"""Where health, metrics and pages are where nothing else is said."""


class ServeTlsSettings(BaseModel):
    """Files in PEM: the certificate that is shown with its key, and who signs those of clients (mTLS)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    certificate: Path
    key: Path
    client_ca: Path | None = None


class ServeSettings(BaseModel):
    """How `otelmon serve` listens. ``tokens`` are the bearer tokens, by whose they are; without any nobody is asked.

    ``grpc_port`` and ``http_port``, at ``host``, take OTLP and are None where they are off. ``public`` has the pages,
    health and metrics; these need no token. ``max_body_bytes`` bounds a request after decompression, ``share`` (0 to 1)
    what one service, and one of several tokens, may have of ``max_series``; one instance has half of that.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = DEFAULT_NAME
    host: str = "127.0.0.1"
    grpc_port: int | None = 4317
    http_port: int | None = 4318
    public: Listen | None = DEFAULT_PUBLIC
    tokens: Mapping[str, SecretStr] = Field(default_factory=dict)
    tls: ServeTlsSettings | None = None
    max_body_bytes: int | None = None
    share: float = DEFAULT_SHARE
    forget_seconds: float = DEFAULT_FORGET_SECONDS

    @property
    def tenants(self) -> Tenants:
        """Whose the tokens are."""
        return Tenants(names=tuple(self.tokens))

    def takes(self, host: str, port: int | None) -> bool:
        """Whether what is sent to this host and port of this machine comes to this server's own OTLP ports."""
        return _is_local(host) and bool(port) and port in {self.grpc_port, self.http_port}


def read_serve(fields: Fields | None, base: Path, problems: Problems) -> ServeSettings:
    """``serve:``; files are relative to ``base``. Problems are noted."""
    section = None if fields is None else fields.sub("serve")
    if section is None:
        return ServeSettings()
    own = set_fields(section, problems, known=_KEYS, path="serve")
    found = ServeSettings(
        name=_name(own),
        host=(own.text("host") or "127.0.0.1").strip(),
        grpc_port=_port(own, "grpc", 4317),
        http_port=_port(own, "http", 4318),
        public=_public(own),
        tokens=_tokens(own),
        tls=_tls(own, base),
        max_body_bytes=_size(own, "max_body"),
        share=_share(own),
        forget_seconds=own.duration("forget_after", low=60.0, high=30 * 86_400.0) or DEFAULT_FORGET_SECONDS,
    )
    if found.grpc_port is None and found.http_port is None:
        own.fault("http", "a server that takes nothing", "leave grpc: or http: on")
    _check_ports(own, found)
    if not found.tokens and (found.tls is None or found.tls.client_ca is None) and not _is_local(found.host):
        hint = 'write tokens: {apps: "${OTELMON_TOKEN}"}, or tls: with client_ca, so that not just anybody can send'
        own.fault("host", "is reached from beyond this machine, and nobody is asked who they are", hint)
    return found


def _check_ports(fields: Fields, found: ServeSettings) -> None:
    """No two listeners have one port (0 is any free one)."""
    public = None if found.public is None else found.public.port
    ports = {"grpc": found.grpc_port, "http": found.http_port, "public": public}
    taken: dict[int, str] = {}
    for name, port in ports.items():
        if not port:
            continue
        if port in taken:
            fields.fault(name, f"the port {port} is that of {taken[port]}: already", "give each a port of its own")
        taken.setdefault(port, name)


def _name(fields: Fields) -> str:
    text = (fields.text("name") or DEFAULT_NAME).strip()
    if not _NAME.fullmatch(text):
        fields.fault("name", "is no name for a server", "write letters, digits, dots, - and _, 100 at most")
        return DEFAULT_NAME
    return text


def _port(fields: Fields, name: str, default: int) -> int | None:
    value = fields.value(name)
    if value is None:
        return default
    if as_boolean(value) is False:
        return None
    text = value.text.strip() if isinstance(value, Scalar) else ""
    if not text.isascii() or not text.isdigit() or int(text) > _LAST_PORT:
        fields.fault(name, f"{describe(value)} is no port", f"write {default}, or off; the address is host:")
        return default
    return int(text)


def _public(fields: Fields) -> Listen | None:
    value = fields.value("public")
    if value is None:
        return DEFAULT_PUBLIC
    if as_boolean(value) is False:
        return None
    text = value.text.strip() if isinstance(value, Scalar) else ""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or " " in host or not port.isascii() or not port.isdigit() or int(port) > _LAST_PORT:
        fields.fault("public", f"{describe(value)} is no address to listen on", "write 127.0.0.1:4319, or off")
        return DEFAULT_PUBLIC
    return Listen(host=host, port=int(port))


def _is_local(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _tokens(fields: Fields) -> dict[str, SecretStr]:
    value = fields.value("tokens")
    if value is None:
        return {}
    if not isinstance(value, Section):
        fields.fault("tokens", "a section of keys expected", 'write tokens: {shop: "${SHOP_TOKEN}"}')
        return {}
    found: dict[str, SecretStr] = {}
    for whose, entry in value.entries.items():
        key = fields.key(f"tokens.{whose}")
        token = entry.value.text.strip() if isinstance(entry.value, Scalar) else ""
        if not _TENANT.fullmatch(whose):
            fields.problems.add(entry.key, "no name for whom a token is", key=key, hint="write letters and digits")
        elif is_empty(entry.value) or len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
            hint = f"set its variable, to {_SHORTEST_TOKEN} characters at least: `openssl rand -hex 32` makes one"
            fields.problems.add(entry.key, "is no token", key=key, hint=hint)
        elif other := next((name for name, known in found.items() if known.get_secret_value() == token), ""):
            hint = "give each one of its own, or leave one name out: the token says whose the data are"
            fields.problems.add(entry.key, f"is the token of {other} too", key=key, hint=hint)
        else:
            found[whose] = SecretStr(token)
    if not value.entries:
        fields.fault("tokens", "nobody has one", 'write tokens: {shop: "${SHOP_TOKEN}"}')
    return found


def _tls(fields: Fields, base: Path) -> ServeTlsSettings | None:
    section = fields.sub("tls")
    if section is None:
        return None
    own = Fields(section, fields.problems, known=_TLS_KEYS, path=fields.key("tls"))
    files: dict[str, Path] = {}
    for name in _TLS_KEYS:
        text = own.text(name, what="a file")
        if text is None:
            if name != "client_ca":
                own.fault(name, "is missing", f"write {name}: FILE, in PEM")
            continue
        files[name] = (base / text.strip()).absolute()
        if not files[name].is_file():
            own.fault(name, f"{text.strip()!r} is no file", "write the path of a file in PEM, relative to this one")
    if not {"certificate", "key"} <= files.keys():
        return None
    return ServeTlsSettings(**files)


def _size(fields: Fields, name: str) -> int | None:
    value = fields.value(name)
    if value is None:
        return None
    match = _SIZE.fullmatch(value.text.strip()) if isinstance(value, Scalar) else None
    size = 0 if match is None else int(match[1]) * _UNITS[match[2]]
    if not 2**10 <= size <= 2**30:
        fields.fault(name, f"{describe(value)} is no size", "write 64MiB; 1KiB at least, 1GiB at most")
        return None
    return size


def _share(fields: Fields) -> float:
    value = fields.value("share")
    if value is None:
        return DEFAULT_SHARE
    match = _SHARE.fullmatch(value.text.strip()) if isinstance(value, Scalar) else None
    percent = 0 if match is None else int(match[1])
    if not 1 <= percent <= 100:
        fields.fault(
            "share", f"{describe(value)} is no share of max_series", "write 50%; 1% at least, 100% for no bound"
        )
        return DEFAULT_SHARE
    return percent / 100
