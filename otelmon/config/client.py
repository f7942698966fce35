"""Reads ``endpoint:``, ``token:`` and ``endpoint_tls:``: the `otelmon serve` that pages in this application's place."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr

from otelmon.config.client_tls import TlsSettings, read_client_tls
from otelmon.document.fields import Fields
from otelmon.document.model import Scalar
from otelmon.variables import Variables

_URL, _TOKEN = "OTELMON_ENDPOINT", "OTELMON_TOKEN"
_GRPC_PORT = 4317
_SIGNAL_PATHS = ("/v1/metrics", "/v1/traces", "/v1/logs")
_NO_ADDRESS = "is no address of a server"
_HINT = "write where otelmon serve takes OTLP over HTTP, such as http://otelmon:4318"


class ClientSettings(BaseModel):
    """Where `otelmon serve` takes OTLP over HTTP, without a slash at its end, and the bearer token for it.

    ``tls`` has who signs its certificate, where that is nobody whom the machine trusts anyway, and our own one for it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: str
    token: SecretStr | None = None
    tls: TlsSettings = TlsSettings()


def read_client(fields: Fields | None, base: Path, variables: Variables) -> ClientSettings | None:
    """``endpoint:`` and ``token:``, or OTELMON_ENDPOINT and OTELMON_TOKEN over them; None without an endpoint.

    The files of ``endpoint_tls:`` are relative to ``base``.
    """
    url = variables.text(_URL)
    if url is not None:
        if wrong := _wrong(url):
            variables.fault(_URL, wrong, _HINT)
    elif fields is not None:
        value = fields.value("endpoint")
        url = value.text.strip() if isinstance(value, Scalar) else None if value is None else ""
        if url == "" and isinstance(value, Scalar) and value.written:
            url = None  # its variable is not set here
        if url is not None and (wrong := _wrong(url)):
            fields.fault("endpoint", wrong, _HINT)
    token = variables.text(_TOKEN)
    if token is None and fields is not None:
        written = fields.value("token")
        token = written.text.strip() or None if isinstance(written, Scalar) else None
    tls = TlsSettings() if fields is None else read_client_tls(fields, "endpoint_tls", base)
    if url is None:
        return None
    return ClientSettings(url=url.rstrip("/"), token=None if token is None else SecretStr(token), tls=tls)


def _wrong(url: str) -> str:
    """What is wrong with the address, "" for nothing."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return _NO_ADDRESS
    plain = not parts.username and not parts.query and not parts.fragment and url.isprintable() and " " not in url
    if parts.scheme not in {"http", "https"} or not parts.hostname or not plain:
        return _NO_ADDRESS
    if port == _GRPC_PORT:
        return f"is the port of OTLP over gRPC ({_GRPC_PORT}), and this app sends over HTTP"
    if parts.path.rstrip("/").endswith(_SIGNAL_PATHS):
        return "ends in the path of one signal, which is added here"
    return ""
