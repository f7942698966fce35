"""Prometheus's functions for templates (prometheus/template/template.go; the reference is
https://prometheus.io/docs/prometheus/latest/configuration/template_reference/).
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from otelmon.duration import parse_duration
from otelmon.promql.evaluation import Element
from otelmon.re2 import compiled
from otelmon.rules.gotemplate.builtins import BUILTINS, query_escaped, text_of
from otelmon.rules.gotemplate.times import Duration, Time
from otelmon.rules.gotemplate.values import (
    Arguments,
    Function,
    FunctionError,
    Object,
    TemplateValue,
    go_text,
    go_type,
    not_finite,
)

RunQuery = Callable[[str], Sequence[Element]]
"""Evaluates an expression at the instant of the rule. Raises ValueError, saying why it cannot."""

_LARGE = ("k", "M", "G", "T", "P", "E", "Z", "Y")
_SMALL = ("m", "u", "n", "p", "f", "a", "z", "y")
_BINARY = ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi")
_NUMBER = re.compile(
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|0[xX][0-9a-fA-F]*\.?[0-9a-fA-F]*[pP][+-]?[0-9]+"
    r"|(?i:inf|infinity|nan))"
)
# Beyond these an int64 of nanoseconds ends.
_LAST_SECOND = 2**63 / 1e9


class QueryResult(Object):
    """One element of what ``query`` found: ``.Labels`` and ``.Value``."""

    go_type = "*template.sample"

    def __init__(self, element: Element) -> None:
        """What a template sees of it; a histogram has no value, which Go writes as 0."""
        self.labels = dict(element.labels)
        self.value = element.value if isinstance(element.value, float | int) else 0.0

    def fields(self) -> Mapping[str, TemplateValue]:
        """Labels, the metric's name among them, and the value."""
        return {"Labels": self.labels, "Value": float(self.value)}

    def text(self) -> str:
        """As Go prints a pointer to a struct."""
        return "&" + super().text()


def to_float(value: TemplateValue) -> float:
    """A number, or a text that is one, as Prometheus's functions take them."""
    if isinstance(value, Duration):
        return value.nanoseconds / 1e9
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        raise FunctionError(f"can't convert {go_type(value)} to float")
    if not _NUMBER.fullmatch(value):
        raise FunctionError(f"{value!r} is no number")
    return float.fromhex(value) if "x" in value.lower() else float(value)


def _four(value: float) -> str:
    """Go's ``%.4g``."""
    return f"{value:.4g}" if math.isfinite(value) else not_finite(value)


def _scaled(value: float, step: float, prefixes: tuple[str, ...]) -> tuple[float, str]:
    chosen = ""
    for prefix in prefixes:
        if (abs(value) < step) if step > 1 else (abs(value) >= 1):
            break
        chosen = prefix
        value = value / step if step > 1 else value * 1000
    return value, chosen


def humanize(value: TemplateValue) -> str:
    """Four digits and a metric prefix: 1234567 is ``1.235M``."""
    number = to_float(value)
    if number == 0 or not math.isfinite(number):
        return _four(number)
    scaled, prefix = _scaled(number, 1000, _LARGE) if abs(number) >= 1 else _scaled(number, 0.001, _SMALL)
    return _four(scaled) + prefix


def humanize1024(value: TemplateValue) -> str:
    """Four digits and a binary prefix: 1048576 is ``1Mi``."""
    number = to_float(value)
    if abs(number) <= 1 or not math.isfinite(number):
        return _four(number)
    scaled, prefix = _scaled(number, 1024, _BINARY)
    return _four(scaled) + prefix


def humanize_duration(value: TemplateValue) -> str:
    """Seconds as days to seconds, or with a metric prefix below one: 5400 is ``1h 30m 0s``."""
    number = to_float(value)
    if not math.isfinite(number):
        return _four(number)
    if number == 0:
        return "0s"
    if abs(number) < 1:
        scaled, prefix = _scaled(number, 0.001, _SMALL)
        return f"{_four(scaled)}{prefix}s"
    sign, number = ("-", -number) if number < 0 else ("", number)
    whole = int(number)
    days, hours, minutes, seconds = whole // 86400, whole // 3600 % 24, whole // 60 % 60, whole % 60
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds}s"
    if minutes:
        return f"{sign}{minutes}m {seconds}s"
    return f"{sign}{_four(number)}s"


def humanize_percentage(value: TemplateValue) -> str:
    """A ratio as percent: 0.123 is ``12.3%``."""
    return _four(to_float(value) * 100) + "%"


def to_time(value: TemplateValue) -> Time:
    """Unix seconds as a time, with Go's methods."""
    number = to_float(value)
    if not abs(number) < _LAST_SECOND:
        raise FunctionError(f"{_four(number)} cannot be converted to a time")
    return Time(number)


def humanize_timestamp(value: TemplateValue) -> str:
    """Unix seconds as a UTC time, as Go prints one."""
    number = to_float(value)
    return to_time(number).text() if math.isfinite(number) else _four(number)


def to_duration(value: TemplateValue) -> Duration:
    """Seconds as a duration, with Go's methods."""
    number = to_float(value)
    if not abs(number) < _LAST_SECOND:
        raise FunctionError(f"{_four(number)} cannot be converted to a duration")
    return Duration(number)


def title(value: TemplateValue) -> str:
    """The first letter of each word in upper case (Go: strings.Title, which takes it's for two words)."""
    before = " "
    characters = []
    for character in text_of(value):
        separated = before.isspace() if before > "\x7f" else not (before.isalnum() or before == "_")
        characters.append(character.title() if separated else character)
        before = character
    return "".join(characters)


def _first(found: TemplateValue) -> TemplateValue:
    results = _results(found)
    if not results:
        raise FunctionError("first() called on vector with no elements")
    return results[0]


def _results(found: TemplateValue) -> list[QueryResult]:
    if not isinstance(found, list) or not all(isinstance(item, QueryResult) for item in found):
        raise FunctionError(f"what query found is expected, not {go_text(found)}")
    return [item for item in found if isinstance(item, QueryResult)]


def _result(found: TemplateValue) -> QueryResult:
    if not isinstance(found, QueryResult):
        raise FunctionError(f"one element of what query found is expected, not {go_text(found)}")
    return found


def _sorted(label: TemplateValue, found: TemplateValue) -> TemplateValue:
    name = text_of(label)
    return [*sorted(_results(found), key=lambda item: item.labels.get(name, ""))]


def _replaced(pattern: TemplateValue, replacement: TemplateValue, text: TemplateValue) -> str:
    template = text_of(replacement)

    def group(found: re.Match[str], reference: re.Match[str]) -> str:
        name = reference[1] or reference[2]
        if name is None:
            return "$"
        try:
            return found[int(name) if name.isdigit() else name] or ""
        except IndexError:
            return ""

    def expanded(found: re.Match[str]) -> str:
        return re.sub(r"\$(?:\$|(\w+)|\{(\w+)\})", lambda reference: group(found, reference), template)

    return compiled(text_of(pattern)).sub(expanded, text_of(text))


def _host_and_port(address: str) -> tuple[str, str] | None:
    """Go's net.SplitHostPort; None where it is not one."""
    found = re.fullmatch(r"(?:\[([^\[\]]*)\]|([^:\[\]]*)):([^:\[\]]*)", address)
    return None if found is None else (found[1] if found[1] is not None else found[2], found[3])


def _strip_port(value: TemplateValue) -> str:
    address = text_of(value)
    found = _host_and_port(address)
    return address if found is None else found[0]


def _strip_domain(value: TemplateValue) -> str:
    address = text_of(value)
    host, port = _host_and_port(address) or (address, "")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        name = host.split(".", maxsplit=1)[0]
        return f"{name}:{port}" if port else name
    return address


FUNCTIONS: dict[str, Function] = {
    **BUILTINS,
    "first": _first,
    "label": lambda name, found: _result(found).labels.get(text_of(name), ""),
    "value": lambda found: _result(found).value,
    "strvalue": lambda found: _result(found).labels.get("__value__", ""),
    "sortByLabel": _sorted,
    "args": lambda *values: Arguments({f"arg{number}": value for number, value in enumerate(values)}),
    "match": lambda pattern, text: compiled(text_of(pattern)).search(text_of(text)) is not None,
    "reReplaceAll": _replaced,
    "safeHtml": text_of,
    "title": title,
    "toUpper": lambda text: text_of(text).upper(),
    "toLower": lambda text: text_of(text).lower(),
    "graphLink": lambda expr: f"/graph?g0.expr={query_escaped(text_of(expr))}&g0.tab=0",
    "tableLink": lambda expr: f"/graph?g0.expr={query_escaped(text_of(expr))}&g0.tab=1",
    "urlQueryEscape": lambda text: query_escaped(text_of(text)),
    "stripPort": _strip_port,
    "stripDomain": _strip_domain,
    "humanize": humanize,
    "humanize1024": humanize1024,
    "humanizeDuration": humanize_duration,
    "humanizePercentage": humanize_percentage,
    "humanizeTimestamp": humanize_timestamp,
    "toTime": to_time,
    "toDuration": to_duration,
    "parseDuration": lambda text: parse_duration(text_of(text)),
}
"""Functions of Go and Prometheus that need to know nothing but their arguments, by name."""

WITH_SURROUNDINGS = ("query", "now", "externalURL", "pathPrefix")
"""Functions that need to know where and when; see :func:`surrounding_functions`."""


def surrounding_functions(*, query: RunQuery | None, at: float, external_url: str) -> dict[str, Function]:
    """The functions that look at the data, the clock's instant ``at`` (unix seconds) and where the monitor is found."""

    def ask(text: TemplateValue) -> TemplateValue:
        if query is None:
            raise FunctionError("there are no data here to query")
        return [QueryResult(element) for element in query(text_of(text))]

    return {
        "query": ask,
        "now": lambda: at,
        "externalURL": lambda: external_url,
        "pathPrefix": lambda: urlsplit(external_url).path,
    }
