"""The built-in rules, read once from builtin.yml."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from otelmon.rules.load import load_rules
from otelmon.rules.model import AlertingRule
from otelmon.rules.tune import at_least_of, quantiles_of, windows_of

BUILTIN_GROUP = "otelmon"
_OFF_GROUP = "otelmon_off_by_default"
_FILE = "otelmon/rules/builtin.yml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Builtin:
    """A built-in rule with its defaults, whether it is on by default, and what can be tuned in it.

    ``has_window``: its expression looks back over a range, which ``window`` sets. Where it has none, the rule looks
    at a gauge, and ``window`` is how long the gauge must be beyond the threshold (``for``).
    """

    rule: AlertingRule
    enabled: bool
    has_window: bool
    has_percentile: bool
    has_at_least: bool


def builtin_text() -> str:
    """The rule file as it stands."""
    return files("otelmon.rules").joinpath("builtin.yml").read_text(encoding="utf-8")


@cache
def builtins() -> dict[str, Builtin]:
    """The built-in rules by name, in the order of the file."""
    found: dict[str, Builtin] = {}
    for group in load_rules(builtin_text(), name=_FILE):
        for rule in group.rules:
            if isinstance(rule, AlertingRule):
                found[rule.name] = Builtin(
                    rule=rule,
                    enabled=group.name != _OFF_GROUP,
                    has_window=bool(windows_of(rule.expr)),
                    has_percentile=bool(quantiles_of(rule.expr)),
                    has_at_least=at_least_of(rule.expr) is not None,
                )
    return found
