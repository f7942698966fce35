"""Reads the heartbeat: the address that is called after good ticks, a secret, and how often."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import SecretStr

from otelmon.config.settings import DEFAULT_HEARTBEAT_SECONDS
from otelmon.document.fields import Fields
from otelmon.document.model import Scalar
from otelmon.variables import Variables

_URL, _EVERY, _VARIABLE = "heartbeat_url", "heartbeat_every", "OTELMON_HEARTBEAT_URL"
_HINT = "copy it from the service that expects the calls: https://..."


def read_heartbeat_url(fields: Fields | None, variables: Variables) -> SecretStr | None:
    """``heartbeat_url:``, or OTELMON_HEARTBEAT_URL over it; what is wrong with it is said without a word of it."""
    url = variables.text(_VARIABLE)
    if url is not None:
        if not _is_address(url):
            variables.fault(_VARIABLE, "is no address that could be called", _HINT)
        return SecretStr(url)
    value = None if fields is None else fields.value(_URL)
    if fields is None or value is None:
        return None
    url = value.text.strip() if isinstance(value, Scalar) else ""
    if not _is_address(url):
        fields.fault(_URL, "is no address that could be called", _HINT)
    return SecretStr(url)


def read_heartbeat_seconds(fields: Fields | None) -> float:
    """``heartbeat_every:``."""
    seconds = None if fields is None else fields.duration(_EVERY, low=1.0, high=86400.0)
    return seconds or DEFAULT_HEARTBEAT_SECONDS


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and url.isprintable() and " " not in url
