"""Values and functions of templates, printed as Go prints them.

Formulas from Prometheus's template/template.go; formats from Go's fmt package.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from otelmon.duration import parse_duration

TemplateValue = str | int | float | bool | dict[str, "TemplateValue"] | dict[str, str]

_LARGE = ("k", "M", "G", "T", "P", "E", "Z", "Y")
_SMALL = ("m", "u", "n", "p", "f", "a", "z", "y")
_BINARY = ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VERB = re.compile(r"%([-+# 0]*)([0-9]*)(?:\.([0-9]*))?(.?)", re.DOTALL)
_WIDEST = 1000
# Go, strconv.FormatFloat: the precision that %g takes for this decision when it prints the fewest digits.
_SHORTEST_EXPONENT = 6


def go_text(value: TemplateValue) -> str:
    """A value as Go's ``%v`` prints it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _shortest(value)
    if isinstance(value, dict):
        return "map[" + " ".join(f"{name}:{go_text(item)}" for name, item in sorted(value.items())) + "]"
    return str(value)


def _not_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def _shortest(value: float) -> str:
    """Go's ``%v`` of a float64: the fewest digits that read back, with an exponent below 1e-4 and from 1e6 on."""
    if not math.isfinite(value):
        return _not_finite(value)
    exact = Decimal(repr(value)).normalize()
    if value != 0 and not -4 <= exact.adjusted() < _SHORTEST_EXPONENT:
        sign, digits, _ = exact.as_tuple()
        head, tail = digits[0], "".join(map(str, digits[1:]))
        return f"{'-' * sign}{head}{'.' + tail if tail else ''}e{exact.adjusted():+03d}"
    return format(exact, "f")


def _four(value: float) -> str:
    """Go's ``%.4g``."""
    return f"{value:.4g}" if math.isfinite(value) else _not_finite(value)


def to_float(value: TemplateValue) -> float:
    """A number, a text that is one, or a duration, as Prometheus's functions take them."""
    if isinstance(value, bool | dict):
        raise ValueError(f"{go_text(value)!r} is no number")  # noqa: TRY004 (one kind of error for templates)
    if isinstance(value, int | float):
        return float(value)
    try:
        return float(value)
    except ValueError:
        pass
    try:
        return parse_duration(value)
    except ValueError:
        raise ValueError(f"{value!r} is no number") from None


def _text(value: TemplateValue) -> str:
    if not isinstance(value, str):
        raise ValueError(f"text expected, not {go_text(value)}")  # noqa: TRY004 (one kind of error for templates)
    return value


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


def humanize_timestamp(value: TemplateValue) -> str:
    """Unix seconds as a UTC time, as Go prints one."""
    number = to_float(value)
    if not math.isfinite(number):
        return _four(number)
    at = _EPOCH + timedelta(milliseconds=math.floor(number * 1000))
    fraction = f".{at.microsecond // 1000:03d}".rstrip("0").rstrip(".")
    return f"{at:%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"


def title(value: TemplateValue) -> str:
    """The first letter of each word in upper case."""
    return re.sub(r"(^|[^\w'])(\w)", lambda found: found[1] + found[2].upper(), _text(value))


def upper(value: TemplateValue) -> str:
    """In upper case."""
    return _text(value).upper()


def lower(value: TemplateValue) -> str:
    """In lower case."""
    return _text(value).lower()


def index(mapping: TemplateValue, key: TemplateValue) -> TemplateValue:
    """``index $labels "http.route"``: the label of a name that is no identifier."""
    if not isinstance(mapping, dict):
        raise ValueError(f"cannot index {go_text(mapping)}")  # noqa: TRY004 (one kind of error for templates)
    return mapping.get(_text(key), "")


def printf(template: TemplateValue, *arguments: TemplateValue) -> str:
    """Go's Printf with the verbs v, s, d, f, e, g, q and t."""
    rest = list(arguments)

    def replaced(found: re.Match[str]) -> str:
        flags, width, precision, verb = found.groups()
        if verb == "%":
            return "%"
        if not rest:
            return f"%!{verb}(MISSING)" if verb else "%!(NOVERB)"
        if int(width or 0) > _WIDEST or int(precision or 0) > _WIDEST:
            raise ValueError(f"{found[0]!r} asks for more than {_WIDEST} characters")
        return _formatted(rest.pop(0), flags, width, precision, verb)

    text = _VERB.sub(replaced, _text(template))
    if rest:
        text += "%!(EXTRA " + ", ".join(f"{_go_type(item)}={go_text(item)}" for item in rest) + ")"
    return text


def _formatted(value: TemplateValue, flags: str, width: str, precision: str | None, verb: str) -> str:
    """One verb of printf; what Go cannot print it prints as ``%!d(float64=1.5)``, and so does this."""
    plain = "." + (precision or "0") if precision is not None else ""
    python_flags = flags.replace("#", "")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if verb in ("f", "F", "e", "E", "g", "G") and isinstance(value, float):
        if not math.isfinite(value):
            return format(_not_finite(value), f">{width}" if width else "")
        if verb in "gG" and precision is None:
            return format(_shortest(value), f">{width}" if width else "")
        return f"%{python_flags}{width}{plain}{verb}" % value
    if verb == "d" and number and isinstance(value, int):
        return f"%{python_flags}{width}d" % value
    if verb == "s" and isinstance(value, str):
        return f"%{python_flags.replace('0', '')}{width}{plain}s" % value
    if verb == "q" and isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
        return f"%{python_flags.replace('0', '')}{width}s" % f'"{escaped}"'
    if verb == "v" or (verb == "t" and isinstance(value, bool)):
        if precision is not None and isinstance(value, float) and math.isfinite(value):
            return f"%{python_flags}{width}{plain}g" % value
        return f"%{python_flags.replace('0', '')}{width}s" % go_text(value)
    return f"%!{verb}({_go_type(value)}={go_text(value)})"


def _go_type(value: TemplateValue) -> str:
    if isinstance(value, bool):
        return "bool"
    return {"str": "string", "int": "int", "float": "float64"}.get(type(value).__name__, "map[string]string")


FUNCTIONS: dict[str, Callable[..., TemplateValue]] = {
    "humanize": humanize,
    "humanize1024": humanize1024,
    "humanizeDuration": humanize_duration,
    "humanizePercentage": humanize_percentage,
    "humanizeTimestamp": humanize_timestamp,
    "title": title,
    "toUpper": upper,
    "toLower": lower,
    "index": index,
    "printf": printf,
}
"""By the name that a template calls them."""

LATER_FUNCTIONS = frozenset({
    "and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len", "print", "println", "html", "js", "urlquery",
    "slice", "call", "query", "first", "value", "label", "strvalue", "args", "match", "reReplaceAll", "safeHtml",
    "stripPort", "stripDomain", "graphLink", "tableLink", "sortByLabel", "parseDuration", "toTime", "toDuration", "now",
    "externalURL", "pathPrefix", "urlQueryEscape",
})  # fmt: skip
"""Functions of Go and Prometheus that this version does not expand; a template that calls one is no mistake."""
