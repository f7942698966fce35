"""Environment variables that otelmon reads, each checked on its own; a fault names its variable, never its value."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

from otelmon.errors import Problem

_TRUE = {"true", "1", "yes", "on"}
_FALSE = {"false", "0", "no", "off"}


class Variables:
    """The environment, with the problems found in it so far. A variable set to nothing counts as not set."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[Problem] = []

    def text(self, name: str) -> str | None:
        """The value without white space around it; None where it is not set."""
        return self.environ.get(name, "").strip() or None

    def fault(self, name: str, message: str, hint: str | None = None) -> None:
        """Note what is wrong with a variable."""
        self.problems.append(Problem(file=name, message=message, hint=hint))

    def boolean(
        self, name: str, *, fault: str = "is neither true nor false", hint: str = "set it to true or false"
    ) -> bool | None:
        """True or false; None where it is not set, or is set to another word, whose ``fault`` is noted."""
        word = (self.text(name) or "").lower()
        if not word:
            return None
        if word not in _TRUE | _FALSE:
            self.fault(name, fault, hint)
            return None
        return word in _TRUE

    def resource_attributes(self) -> dict[str, str]:
        """``OTEL_RESOURCE_ATTRIBUTES``: ``key=value,key=value``, values percent-encoded."""
        found: dict[str, str] = {}
        for pair in (self.text("OTEL_RESOURCE_ATTRIBUTES") or "").split(","):
            key, equals, value = pair.partition("=")
            if equals and key.strip() and value.strip():
                found[key.strip()] = unquote(value.strip())
        return found

    def disabled_by(self) -> str | None:
        """The variable that switches everything off; None where none does."""
        if self.boolean("OTELMON_ENABLED") is False:
            return "OTELMON_ENABLED"
        # OpenTelemetry: only "true" disables, in any case; everything else is false.
        if (self.text("OTEL_SDK_DISABLED") or "").lower() == "true":
            return "OTEL_SDK_DISABLED"
        return None
