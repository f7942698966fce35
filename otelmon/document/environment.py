"""``${NAME}`` and ``${NAME:-default}`` in a scalar's text.

Replaced after YAML is parsed, so a value from the environment is always one value, whatever characters it has.
``$$`` is one dollar sign. ``$labels``, ``$1`` and ``${1}`` are no variables: templates and label_replace use them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from otelmon.document.model import Span

_PATTERN = re.compile(r"\$\$|\$\{([A-Za-z_][^}\n]*)(\})?")
_REFERENCE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """A text with the variables replaced; ``spans`` is empty where nothing was.

    ``faults`` are (offset, message, hint) of what cannot be replaced.
    """

    text: str
    spans: tuple[Span, ...] = ()
    faults: tuple[tuple[int, str, str], ...] = ()


def replace_variables(text: str, environ: Mapping[str, str]) -> Replaced:
    """The text with every ``${NAME}`` replaced by its value."""
    if "$" not in text:
        return Replaced(text=text)
    parts: list[str] = []
    spans: list[Span] = []
    faults: list[tuple[int, str, str]] = []
    length = 0
    copied = 0

    def add(part: str, written_start: int, *, verbatim: bool) -> None:
        nonlocal length
        if part:
            spans.append(Span(start=length, written_start=written_start, verbatim=verbatim))
            parts.append(part)
            length += len(part)

    for match in _PATTERN.finditer(text):
        add(text[copied : match.start()], copied, verbatim=True)
        copied = match.end()
        if match[0] == "$$":
            add("$", match.start(), verbatim=False)
            continue
        value = _value(match, environ)
        if isinstance(value, str):
            add(value, match.start(), verbatim=False)
        else:
            faults.append((match.start(), *value))
    if not copied:
        return Replaced(text=text)
    add(text[copied:], copied, verbatim=True)
    return Replaced(text="".join(parts), spans=tuple(spans), faults=tuple(faults))


def _value(match: re.Match[str], environ: Mapping[str, str]) -> str | tuple[str, str]:
    """The value of one reference, or (message, hint)."""
    reference = _REFERENCE.fullmatch(match[1])
    if match[2] is None or reference is None:
        return ("this reads no environment variable", "write ${NAME} or ${NAME:-default}, or $${ for the text itself")
    name, default = reference[1], reference[2]
    value = environ.get(name)
    if default is not None:
        return value or str(default)
    if value is None:
        return (
            f"the environment variable {name} is not set",
            f"set it, or write ${{{name}:-default}}; $${{{name}}} is the text itself",
        )
    return value
