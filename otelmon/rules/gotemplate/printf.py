"""Go's Printf: verbs, flags, width, precision, and what it prints where they do not fit (package fmt)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from otelmon.rules.gotemplate.values import FunctionError, Object, TemplateValue, go_text, go_type, not_finite, shortest

_VERB = re.compile(
    r"%([-+# 0]*)(?:\[(\d+)\])?(\*|[0-9]*)(?:(\.)(?:\[(\d+)\])?(\*|[0-9]*))?(?:\[(\d+)\])?(.?)", re.DOTALL
)
_WIDEST = 1000
_BASES = {"d": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}
_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\"}


def printf(template: str, arguments: Sequence[TemplateValue]) -> str:
    """Go's Sprintf."""
    return _Printer(arguments).printed(template)


class _Printer:
    """The arguments, and which comes next."""

    def __init__(self, arguments: Sequence[TemplateValue]) -> None:
        self._arguments = arguments
        self._next = 0
        self._reordered = False

    def printed(self, template: str) -> str:
        """The template with its verbs replaced; arguments that are left over are said, as Go does."""
        text = _VERB.sub(self._verb, template)
        rest = self._arguments[self._next :]
        if rest and not self._reordered:
            text += "%!(EXTRA " + ", ".join(f"{go_type(item)}={go_text(item)}" for item in rest) + ")"
        return text

    def _verb(self, found: re.Match[str]) -> str:
        flags, width_index, width_text, point, precision_index, precision_text, index, verb = found.groups()
        width, wrong_width = self._number(width_text, width_index if width_text == "*" else None, "WIDTH")
        precision, wrong_precision = self._number(precision_text, precision_index, "PREC") if point else (None, "")
        if point and not precision_text:
            precision = 0
        if not verb:
            return wrong_width + wrong_precision + "%!(NOVERB)"
        if verb == "%":
            return "%"
        if width is not None and width < 0:
            flags, width = flags + "-", -width
        if max(width or 0, precision or 0) > _WIDEST:
            raise FunctionError(f"{found[0]!r} asks for more than {_WIDEST} characters")
        if precision is not None and precision < 0:
            precision = None
        chosen = index or (width_index if width_text != "*" else None)
        if chosen is not None:
            self._reordered = True
            self._next = int(chosen) - 1
            if not 0 <= self._next < len(self._arguments):
                return f"%!{verb}(BADINDEX)"
        if self._next >= len(self._arguments):
            return f"{wrong_width}{wrong_precision}%!{verb}(MISSING)"
        value = self._arguments[self._next]
        self._next += 1
        return wrong_width + wrong_precision + _formatted(value, flags, width, precision, verb)

    def _number(self, text: str | None, index: str | None, what: str) -> tuple[int | None, str]:
        if text != "*":
            return (int(text[:6]) if text else None), ""
        if index is not None:
            self._reordered = True
            self._next = int(index) - 1
        value = self._arguments[self._next] if 0 <= self._next < len(self._arguments) else None
        self._next += 1
        if isinstance(value, bool) or not isinstance(value, int):
            return None, f"%!(BAD{what})"
        return value, ""


def _formatted(value: TemplateValue, flags: str, width: int | None, precision: int | None, verb: str) -> str:
    """One verb; what Go cannot print it prints as ``%!d(float64=1.5)``, and so does this."""
    if verb == "T":
        return _padded(_cut(go_type(value), precision), flags, width)
    if isinstance(value, list | dict) and verb != "p":
        return _padded(_compound(value, flags, width, precision, verb), "", None)
    if isinstance(value, bool):
        made = go_text(value) if verb in "tv" else None
    elif isinstance(value, int):
        made = _whole(value, flags, width, precision, verb)
    elif isinstance(value, float):
        made = _float(value, flags, precision, verb)
    elif isinstance(value, str | Object):
        made = _string(go_text(value), flags, precision, verb)
        if made is not None and isinstance(value, str) and verb == "v" and "#" in flags:
            made = _quoted(value)
    else:
        made = "<nil>" if verb == "v" else None
        if made is None:
            return f"%!{verb}(<nil>)"
    if made is None:
        return f"%!{verb}({go_type(value)}={go_text(value)})"
    return _padded(made, flags, width, number=isinstance(value, int | float) and not isinstance(value, bool))


def _compound(value: TemplateValue, flags: str, width: int | None, precision: int | None, verb: str) -> str:
    """Lists and maps: the verb goes to each item."""

    def item(inner: TemplateValue) -> str:
        return _formatted(inner, flags, width, precision, verb)

    if isinstance(value, dict):
        return "map[" + " ".join(f"{item(name)}:{item(value[name])}" for name in sorted(value)) + "]"
    return "[" + " ".join(item(inner) for inner in value) + "]" if isinstance(value, list) else ""


def _padded(text: str, flags: str, width: int | None, *, number: bool = False) -> str:
    missing = (width or 0) - len(text)
    if missing <= 0:
        return text
    if "-" in flags:
        return text + " " * missing
    if "0" in flags and number and text[-1:].isalnum() and not text.endswith(("Inf", "NaN")):
        sign = text[:1] if text[:1] in ("+", "-", " ") else ""
        return sign + "0" * missing + text[len(sign) :]
    return " " * missing + text


def _cut(text: str, precision: int | None) -> str:
    return text if precision is None else text[:precision]


def _signed(text: str, flags: str) -> str:
    if text.startswith(("-", "+")):
        return text
    return "+" + text if "+" in flags else " " + text if " " in flags else text


def _whole(value: int, flags: str, width: int | None, precision: int | None, verb: str) -> str | None:
    if verb in ("c", "q", "U"):
        if not 0 <= value <= 0x10FFFF or 0xD800 <= value <= 0xDFFF:
            value = 0xFFFD
        if verb == "U":
            return f"U+{value:04X}" + (f" '{chr(value)}'" if "#" in flags else "")
        return chr(value) if verb == "c" else "'" + _quoted(chr(value), "'")[1:-1] + "'"
    base = _BASES.get("d" if verb == "v" else verb)
    if base is None:
        return None
    digits = format(abs(value), base)
    if precision is not None:
        digits = "" if precision == 0 and value == 0 else digits.rjust(precision, "0")
    prefix = "0o" if verb == "O" else ""
    if "#" in flags and verb != "v":
        prefix = {"b": "0b", "o": "0", "x": "0x", "X": "0X"}.get(verb, prefix)
    sign = _signed("-" if value < 0 else "", flags)
    if precision is None and "0" in flags and "-" not in flags and width:
        digits = digits.rjust(width - len(sign), "0")
    return sign + prefix + digits


def _float(value: float, flags: str, precision: int | None, verb: str) -> str | None:
    if verb not in "vfFeEgG":
        return None
    if not math.isfinite(value):
        return _signed(not_finite(value).lstrip("+"), flags if " " in flags or math.isnan(value) else "+")
    if verb == "v" or (verb in "gG" and precision is None):
        text = shortest(value) if precision is None else f"{value:.{precision}g}"
        return _signed(text.upper() if verb == "G" else text, flags)
    number = 6 if precision is None else precision
    alternate = "#" if "#" in flags else ""
    return _signed(format(value, f"{alternate}.{number}{verb}"), flags)


def _string(text: str, flags: str, precision: int | None, verb: str) -> str | None:
    if verb in ("s", "v"):
        return _cut(text, precision)
    if verb == "q":
        cut = _cut(text, precision)
        return f"`{cut}`" if "#" in flags and "`" not in cut and cut.isprintable() else _quoted(cut)
    if verb in ("x", "X"):
        data = text.encode("utf-8", "surrogatepass")
        made = (data if precision is None else data[:precision]).hex(*((" ",) if " " in flags else ()))
        return made.upper() if verb == "X" else made
    return None


def _quoted(text: str, quote: str = '"') -> str:
    """Go's strconv.Quote."""
    parts = []
    for character in text:
        if character in _ESCAPES:
            parts.append(_ESCAPES[character])
        elif character == quote:
            parts.append("\\" + quote)
        elif character.isprintable():
            parts.append(character)
        else:
            code = ord(character)
            parts.append(f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return quote + "".join(parts) + quote
