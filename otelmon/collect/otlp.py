"""Where OTLP goes, as the standard variables say it for one signal.

Read here: OTEL_{METRICS,LOGS}_EXPORTER, OTEL_EXPORTER_OTLP_[{METRICS,LOGS}_]{ENDPOINT,PROTOCOL,TIMEOUT}
(https://opentelemetry.io/docs/specs/otel/protocol/exporter/).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlsplit

from otelmon.errors import ConfigError, Problem
from otelmon.faults import logger

GRPC = "grpc"
HTTP = "http/protobuf"
_HTTP_PORT = 4318
_DEFAULT_TIMEOUT_SECONDS = 10.0
_Exporter = TypeVar("_Exporter")


class Signal(StrEnum):
    """What is exported; the word is the one in the variables' names."""

    TRACES = "TRACES"
    METRICS = "METRICS"
    LOGS = "LOGS"

    @property
    def path(self) -> str:
        """Where a receiver takes it over HTTP."""
        return f"/v1/{self.lower()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An endpoint. ``place`` is its host and port for logs, nothing secret."""

    protocol: str
    url: str
    place: str
    timeout_seconds: float

    def made(self, make: Callable[[str, str, float], _Exporter], timeout_seconds: float) -> _Exporter:
        """The exporter that ``make`` makes of protocol, URL and timeout. Raises ConfigError where it cannot."""
        try:
            return make(self.protocol, self.url, timeout_seconds)
        except Exception as error:
            hint = "see the OTLP exporter configuration of OpenTelemetry"
            raise ConfigError([Problem(message=f"{error}", file="OTEL_EXPORTER_OTLP_*", hint=hint)]) from error


def otlp_target(environ: Mapping[str, str], signal: Signal) -> Target | None:
    """Where a signal goes; None without an endpoint, or where OTEL_..._EXPORTER names others than otlp.

    Without a protocol it is http/protobuf for port 4318 or a path of /v1/..., else grpc, which OpenTelemetry Python
    takes by default. What cannot be meant is warned of and ignored; raises ConfigError for what is no endpoint.
    """
    own, general = f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"
    variable, url = _first(environ, own, general)
    exporters = {name.strip().lower() for name in _read(environ, f"OTEL_{signal}_EXPORTER").split(",")} - {""}
    if not url or (exporters and "otlp" not in exporters):
        return None
    endpoint = _Endpoint(url, variable)
    protocol = _protocol(environ, endpoint, signal)
    if protocol == HTTP and endpoint.scheme not in {"http", "https"}:
        raise endpoint.problem("it begins with neither http:// nor https://")
    if protocol == HTTP and variable == general:
        url = url.removesuffix("/") + signal.path
    # OpenTelemetry Python reads it in seconds, not in ms.
    timeout = positive(
        environ, _DEFAULT_TIMEOUT_SECONDS, f"OTEL_EXPORTER_OTLP_{signal}_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"
    )
    return Target(protocol=protocol, url=url, place=endpoint.place, timeout_seconds=timeout)


class _Endpoint:
    """An endpoint's parts. gRPC's may come without a scheme, ``collector:4317``."""

    def __init__(self, text: str, variable: str) -> None:
        split = urlsplit(text if "://" in text else f"//{text}")
        self.text = text
        self.variable = variable
        try:
            self.port = split.port
        except ValueError:
            raise self.problem("the port is not a number") from None
        self.scheme = split.scheme
        self.path = split.path
        # Without user and password.
        self.place = split.netloc.rpartition("@")[2]
        if not split.hostname:
            raise self.problem("there is no host in it")

    def problem(self, message: str) -> ConfigError:
        """An error that says so, without the value, which may hold a password."""
        hint = "write a URL such as http://collector:4318"
        return ConfigError([Problem(message=f"not an OTLP endpoint: {message}", file=self.variable, hint=hint)])


def _read(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, "").strip()


def _first(environ: Mapping[str, str], *variables: str) -> tuple[str, str]:
    """The first of these variables that is set, and its value; the last one, empty, when none is."""
    for name in variables:
        if value := _read(environ, name):
            return name, value
    return variables[-1], ""


def _protocol(environ: Mapping[str, str], endpoint: _Endpoint, signal: Signal) -> str:
    http = endpoint.port == _HTTP_PORT or endpoint.path.rstrip("/").endswith(signal.path)
    guess = HTTP if http else GRPC
    name, asked = _first(environ, f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    if not asked:
        return guess
    if asked.lower() in {GRPC, HTTP}:
        return asked.lower()
    ignored(name, asked, f"it is {GRPC} or {HTTP}; taking {guess}")
    return guess


def positive(environ: Mapping[str, str], default: float, *variables: str) -> float:
    """A positive number. The specification asks to warn of a value that is none and to go on without it."""
    name, asked = _first(environ, *variables)
    try:
        value = float(asked or default)
    except ValueError:
        value = math.nan
    if math.isfinite(value) and value > 0:
        return value
    ignored(name, asked, f"it is a number above 0; taking {default:g}")
    return default


def ignored(name: str, value: str, what: str) -> None:
    """Warn of a variable that cannot be meant."""
    logger.warning("otelmon: %s=%s cannot be meant: %s", name, value, what)
