"""OpenTelemetry names, units and attributes as Prometheus writes them.

The rules are those of the specification (compatibility/prometheus_and_openmetrics) as Prometheus' own OTLP receiver
applies them (otlptranslator, UnderscoreEscapingWithSuffixes), so that a rule means the same series here and there.
"""

from __future__ import annotations

import json
import math
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any

_OUTSIDE_NAME = re.compile(r"[^a-zA-Z0-9:]+")
_OUTSIDE_LABEL = re.compile(r"[^a-zA-Z0-9]+")

# otlptranslator, unitMap and perUnitMap.
_UNITS = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tibibytes",
    "KBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "1": "",
    "%": "percent",
}
_PER_UNITS = {
    "s": "second",
    "m": "minute",
    "h": "hour",
    "d": "day",
    "w": "week",
    "mo": "month",
    "y": "year",
}


class Kind(StrEnum):
    """What a metric is to Prometheus; it decides the suffix of the name."""

    COUNTER = "counter"
    GAUGE = "gauge"
    UP_DOWN = "up_down"
    HISTOGRAM = "histogram"


def metric_name(name: str, unit: str, kind: Kind) -> str:
    """The Prometheus name of a metric: ``http.server.request.duration`` in ``s`` is
    ``http_server_request_duration_seconds``.

    The unit is appended unless the name has it, ``total`` ends a counter's name and ``ratio`` that of a gauge with
    unit 1. Empty when the name has no character that Prometheus allows.
    """
    words = [word for word in _OUTSIDE_NAME.split(name) if word]
    if not words:
        return ""
    main, per = _unit_words(unit)
    if main and main not in words:
        words.append(main)
    if per and per not in words:
        words += ["per", per]
    if kind is Kind.COUNTER:
        words = [word for word in words if word != "total"] + ["total"]
    elif kind is Kind.GAUGE and unit == "1":
        words = [word for word in words if word != "ratio"] + ["ratio"]
    joined = "_".join(words)
    return f"_{joined}" if joined[0].isdigit() else joined


def _unit_words(unit: str) -> tuple[str, str]:
    main, _, per = unit.partition("/")
    return _unit_word(main, _UNITS), _unit_word(per, _PER_UNITS)


def _unit_word(unit: str, known: Mapping[str, str]) -> str:
    unit = unit.strip()
    # {requests} annotates what is counted; it is no unit.
    if "{" in unit or "}" in unit:
        return ""
    return _OUTSIDE_NAME.sub("_", known.get(unit, unit)).strip("_")


def label_name(key: str) -> str:
    """The Prometheus label of an attribute: ``http.route`` is ``http_route``; ``2xx`` is ``key_2xx``."""
    name = _OUTSIDE_LABEL.sub("_", key)
    if not name:
        return "key_"
    if name[0].isdigit():
        return f"key_{name}"
    return f"key{name}" if name[0] == "_" else name


def label_value(value: Any) -> str:
    """The text of an attribute's value: true, 200, 0.5; sequences and mappings as compact JSON, bytes as base64."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _plain_number(value)
    if isinstance(value, bytes):
        return b64encode(value).decode("ascii")
    return json.dumps(_jsonable(value), ensure_ascii=False, separators=(",", ":"), default=str)


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _jsonable(inner) for key, inner in value.items()}
    if isinstance(value, bytes):
        return b64encode(value).decode("ascii")
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_jsonable(inner) for inner in value]
    return value


def _plain_number(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value)


def label_set(attributes: Mapping[str, Any] | None) -> dict[str, str]:
    """The labels of attributes. Keys that become the same label are joined with ``;`` in the order of the keys."""
    labels: dict[str, str] = {}
    for key in sorted(attributes or ()):
        name = label_name(key)
        value = label_value((attributes or {})[key])
        labels[name] = f"{labels[name]};{value}" if name in labels else value
    return labels


def bound_label(bound: float) -> str:
    """The value of ``le``: Prometheus 3 and OpenMetrics write the shortest float, with ``.0`` where it has no point.

    Format: expfmt ``writeOpenMetricsFloat``, which is Go's ``%g``: an exponent below 1e-04 and from 1e+06 on.
    """
    if math.isinf(bound):
        return "+Inf" if bound > 0 else "-Inf"
    if bound == 0 or 1e-4 <= abs(bound) < 1e6:
        return repr(float(bound))
    sign, digits, exponent = Decimal(repr(float(bound))).normalize().as_tuple()
    fraction = "".join(map(str, digits[1:]))
    power = int(exponent) + len(digits) - 1
    return f"{'-' if sign else ''}{digits[0]}{'.' if fraction else ''}{fraction}e{power:+03d}"
