"""Reading a section's fields: typed, strict, and collecting every problem instead of stopping at the first."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence

from otelmon.document.model import Entry, Listing, Node, Place, Scalar, Section, Value, describe, is_empty
from otelmon.duration import format_duration, parse_duration, read_duration
from otelmon.errors import ConfigError, Problem

# YAML 1.1's words for true and false, which people still write (and mean).
_BOOLEAN_WORDS = {
    "true": True, "on": True, "yes": True, "enabled": True,
    "false": False, "off": False, "no": False, "disabled": False,
}  # fmt: skip


class Problems:
    """The problems found so far. With ``ignore_unknown``, a key that is not known is none."""

    def __init__(self, *, ignore_unknown: bool = False) -> None:
        self.found: list[Problem] = []
        self.ignore_unknown = ignore_unknown

    def add(
        self, where: Node, message: str, *, key: str | None = None, hint: str | None = None, place: Place | None = None
    ) -> None:
        """Note a fault in what ``where`` says; ``place`` when it is inside of it."""
        at = place or where.place
        self.found.append(
            Problem(file=where.source.name, line=at.line, column=at.column, key=key, message=message, hint=hint)
        )

    def add_error(self, error: ConfigError) -> None:
        """Note everything that another reader found."""
        self.found.extend(error.problems)

    def raise_any(self) -> None:
        """Raise ConfigError if there is any problem; those of one file in the order of its lines."""
        if self.found:
            files = list(dict.fromkeys(problem.file for problem in self.found))
            order = {file: index for index, file in enumerate(files)}
            raise ConfigError(sorted(self.found, key=lambda each: (order[each.file], each.line or 0, each.column or 0)))


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """``did you mean "x"?`` for the closest known word, else None."""
    words = list(known)
    folded = {name.lower().replace("-", "_"): name for name in words}
    close = difflib.get_close_matches(word.lower().replace("-", "_"), folded, n=1, cutoff=0.6)
    return f'did you mean "{folded[close[0]]}"?' if close else None


def as_boolean(value: Value) -> bool | None:
    """True or false as written in any of YAML's spellings (on, yes, true ...); None for anything else."""
    if isinstance(value, Scalar):
        if isinstance(value.value, bool):
            return value.value
        return _BOOLEAN_WORDS.get(value.text.strip().lower())
    return None


class Fields:
    """The fields of one section. Unknown keys are problems; every reader returns None after noting a fault.

    ``path`` is the dotted path of the section in the document, for the errors.
    """

    def __init__(self, section: Section, problems: Problems, *, known: Iterable[str], path: str = "") -> None:
        self.section = section
        self.problems = problems
        self.path = path
        names = tuple(known)
        for name, entry in section.entries.items():
            if name not in names and not problems.ignore_unknown:
                listed = ", ".join(names)
                hint = did_you_mean(name, names) or f"known here: {listed}"
                problems.add(entry.key, "unknown key", key=self.key(name), hint=hint)

    def key(self, name: str) -> str:
        """The dotted path of a field."""
        return f"{self.path}.{name}" if self.path else name

    def entry(self, name: str) -> Entry | None:
        """The field as it was written; None if it was not."""
        return self.section.entries.get(name)

    def value(self, name: str) -> Value | None:
        """What the field is set to; None if it is not there."""
        entry = self.section.entries.get(name)
        return None if entry is None else entry.value

    def fault(self, name: str, message: str, hint: str | None = None) -> None:
        """Note a fault of a field (at its value), or of the section where the field is missing."""
        entry = self.entry(name)
        where = self.section if entry is None else entry.key if is_empty(entry.value) else entry.value
        self.problems.add(where, message, key=self.key(name), hint=hint)

    def text(self, name: str, *, what: str = "text") -> str | None:
        """A text; a number or a word like ``on`` is the text that it was written as."""
        value = self.value(name)
        if value is None:
            return None
        if not isinstance(value, Scalar) or is_empty(value):
            self.fault(name, f"{what} expected, not {describe(value)}")
            return None
        if not value.text.strip():
            self.fault(name, f"{what} expected, not an empty text")
            return None
        return value.text

    def boolean(self, name: str) -> bool | None:
        """True or false, in any of YAML's spellings."""
        value = self.value(name)
        if value is None:
            return None
        found = as_boolean(value)
        if found is None:
            self.fault(name, f"{describe(value)} is neither true nor false", "write true or false")
        return found

    def integer(self, name: str, *, low: int = 0, high: int | None = None) -> int | None:
        """A whole number within bounds."""
        value = self.value(name)
        if value is None:
            return None
        number = value.value if isinstance(value, Scalar) else None
        if not isinstance(number, int) or isinstance(number, bool):
            self.fault(name, f"a whole number expected, not {describe(value)}")
            return None
        if number < low or (high is not None and number > high):
            bounds = f"at least {low}" if high is None else f"{low} to {high}"
            self.fault(name, f"{describe(value)} is out of bounds", f"write a number of {bounds}")
            return None
        return number

    def duration(self, name: str, *, low: float = 0.0, high: float = math.inf, exact: bool = False) -> float | None:
        """Seconds of a duration such as ``5m`` or ``5 minutes``, within bounds; ``exact``: as Prometheus reads it."""
        value = self.value(name)
        if value is None:
            return None
        if not isinstance(value, Scalar) or is_empty(value):
            self.fault(name, f"a duration expected, not {describe(value)}", "write 30s, 5m or 1h30m")
            return None
        try:
            seconds = parse_duration(value.text) if exact else read_duration(value.text)
        except (ValueError, OverflowError):
            self.fault(name, f"{value.shown} is no duration", _duration_hint(value))
            return None
        if not math.isfinite(seconds) or not low <= seconds <= high:
            bounds = [f"at least {format_duration(low)}"] if low > 0 else []
            bounds += [f"at most {format_duration(high)}"] if math.isfinite(high) else []
            self.fault(name, f"{value.shown} is out of bounds", f"write {' and '.join(bounds) or 'a shorter one'}")
            return None
        return seconds

    def sub(self, name: str) -> Section | None:
        """A section of keys."""
        value = self.value(name)
        if value is None or isinstance(value, Section):
            return value
        self.fault(name, f"a section of keys expected, not {describe(value)}")
        return None

    def listing(self, name: str) -> Listing | None:
        """A list."""
        value = self.value(name)
        if value is None or isinstance(value, Listing):
            return value
        self.fault(name, f"a list expected, not {describe(value)}", "write each item on its own line after '- '")
        return None

    def texts(self, name: str) -> dict[str, Scalar]:
        """A section whose values are texts (labels, annotations); what is not is a fault and left out."""
        section = self.sub(name)
        found: dict[str, Scalar] = {}
        for key, entry in {} if section is None else section.entries.items():
            if isinstance(entry.value, Scalar):
                found[key] = entry.value
            else:
                self.problems.add(
                    entry.value, f"text expected, not {describe(entry.value)}", key=f"{self.key(name)}.{key}"
                )
        return found

    def choice(self, name: str, choices: Mapping[str, object] | Iterable[str]) -> str | None:
        """One of a few words."""
        value = self.value(name)
        if value is None:
            return None
        words = list(choices)
        text = value.text.strip() if isinstance(value, Scalar) else ""
        if text in words:
            return text
        listed = ", ".join(words[:-1]) + f" or {words[-1]}"
        self.fault(name, f"{describe(value)} is not known here", did_you_mean(text, words) or f"write {listed}")
        return None


def _duration_hint(value: Scalar) -> str:
    number = value.value
    if isinstance(number, (int, float)) and not isinstance(number, bool) and math.isfinite(number) and number > 0:
        seconds = min(float(number), 1e9)
        return f"a number needs its unit: write {format_duration(seconds)} for seconds"
    return "write 30s, 5m or 1h30m"


def set_fields(section: Section, problems: Problems, *, known: Sequence[str], path: str = "") -> Fields:
    """The fields that are set: a heading whose lines are all commented out is no fault, if its name is known."""
    kept = {name: entry for name, entry in section.entries.items() if name not in known or not is_empty(entry.value)}
    set_only = Section(source=section.source, start=section.start, end=section.end, entries=kept)
    return Fields(set_only, problems, known=known, path=path)
