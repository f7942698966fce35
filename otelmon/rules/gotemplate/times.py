"""Times and durations of templates: how Go prints them, and the methods that templates call on them (package time)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from otelmon.rules.gotemplate.values import Function, FunctionError, Object, TemplateValue

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 10**9
_LAYOUT = re.compile(
    r"January|Jan|Monday|Mon|MST|2006|Z07:00|Z0700|-07:00|-0700|-07|[.,]0+(?!\d)|[.,]9+(?!\d)|01|02|03|04|05|06|002"
    r"|15|PM|pm|_2|1|2|3|4|5"
)
_PARTS: dict[str, Callable[[datetime], str]] = {
    "January": lambda at: f"{at:%B}",
    "Jan": lambda at: f"{at:%b}",
    "Monday": lambda at: f"{at:%A}",
    "Mon": lambda at: f"{at:%a}",
    "MST": lambda _at: "UTC",
    "2006": lambda at: f"{at.year:04d}",
    "Z07:00": lambda _at: "Z",
    "Z0700": lambda _at: "Z",
    "-07:00": lambda _at: "+00:00",
    "-0700": lambda _at: "+0000",
    "-07": lambda _at: "+00",
    "01": lambda at: f"{at.month:02d}",
    "02": lambda at: f"{at.day:02d}",
    "03": lambda at: f"{at:%I}",
    "04": lambda at: f"{at.minute:02d}",
    "05": lambda at: f"{at.second:02d}",
    "06": lambda at: f"{at.year % 100:02d}",
    "002": lambda at: f"{at:%j}",
    "15": lambda at: f"{at.hour:02d}",
    "PM": lambda at: "AM" if at.hour < 12 else "PM",
    "pm": lambda at: "am" if at.hour < 12 else "pm",
    "_2": lambda at: f"{at.day:2d}",
    "1": lambda at: str(at.month),
    "2": lambda at: str(at.day),
    "3": lambda at: str(int(f"{at:%I}")),
    "4": lambda at: str(at.minute),
    "5": lambda at: str(at.second),
}


class Time(Object):
    """An instant, in UTC, to the millisecond."""

    go_type = "*time.Time"

    def __init__(self, seconds: float) -> None:
        """Unix seconds. Raises FunctionError outside of the years 1 to 9999."""
        try:
            self._at = _EPOCH + timedelta(milliseconds=int(seconds * 1000))
        except OverflowError:
            raise FunctionError(f"{seconds:.4g} is no time of this calendar") from None

    def text(self) -> str:
        """``2015-06-23 13:19:44.128 +0000 UTC``."""
        return self.formatted("2006-01-02 15:04:05.999999999 -0700 MST")

    def formatted(self, layout: str) -> str:
        """By a layout that shows how Go's reference time, Mon Jan 2 15:04:05 MST 2006, would look."""

        def part(found: re.Match[str]) -> str:
            element = found[0]
            if element[0] in ".,":
                digits = f"{self._at.microsecond:06d}000"[: len(element) - 1]
                if element[1] == "9":
                    digits = digits.rstrip("0")
                return element[0] + digits if digits else ""
            return _PARTS[element](self._at)

        return _LAYOUT.sub(part, layout)

    def methods(self) -> Mapping[str, Function]:
        """Those of time.Time that give a text or a number."""
        at = self._at
        return {
            "Format": self._format,
            "String": self.text,
            "UTC": lambda: self,
            "Unix": lambda: int((at - _EPOCH) // timedelta(seconds=1)),
            "UnixMilli": lambda: int((at - _EPOCH) // timedelta(milliseconds=1)),
            "Year": lambda: at.year,
            "Month": lambda: f"{at:%B}",
            "Day": lambda: at.day,
            "Hour": lambda: at.hour,
            "Minute": lambda: at.minute,
            "Second": lambda: at.second,
            "YearDay": lambda: int(f"{at:%j}"),
            "Weekday": lambda: f"{at:%A}",
        }

    def _format(self, layout: TemplateValue) -> str:
        if not isinstance(layout, str):
            raise FunctionError("a layout in quotes expected")
        return self.formatted(layout)


class Duration(Object):
    """A length of time, in whole nanoseconds."""

    go_type = "*time.Duration"

    def __init__(self, seconds: float) -> None:
        """Seconds."""
        self.nanoseconds = int(seconds * _SECOND)

    def text(self) -> str:
        """``1h30m0s``."""
        rest = abs(self.nanoseconds)
        sign = "-" if self.nanoseconds < 0 else ""
        if rest == 0:
            return "0s"
        if rest < _SECOND:
            unit, size = next((unit, size) for unit, size in (("ms", 10**6), ("µs", 1000), ("ns", 1)) if rest >= size)
            return f"{sign}{_decimal(rest, size)}{unit}"
        minutes, rest = divmod(rest, 60 * _SECOND)
        hours, minutes = divmod(minutes, 60)
        head = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
        return f"{sign}{head}{_decimal(rest, _SECOND)}s"

    def methods(self) -> Mapping[str, Function]:
        """Those of time.Duration that give a text or a number."""
        return {
            "String": self.text,
            "Hours": lambda: self.nanoseconds / (3600 * _SECOND),
            "Minutes": lambda: self.nanoseconds / (60 * _SECOND),
            "Seconds": lambda: self.nanoseconds / _SECOND,
            "Milliseconds": lambda: int(self.nanoseconds / 10**6),
            "Microseconds": lambda: int(self.nanoseconds / 1000),
            "Nanoseconds": lambda: self.nanoseconds,
        }


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    fraction = f"{rest:0{len(str(unit)) - 1}d}".rstrip("0") if unit > 1 else ""
    return f"{whole}.{fraction}" if fraction else str(whole)
