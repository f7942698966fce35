"""What a running monitor knows of rules that are checked: selectors that have found nothing so far."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from otelmon.cli.options import state_folder
from otelmon.config.settings import Settings
from otelmon.duration import format_duration
from otelmon.errors import OtelmonError, Problem
from otelmon.rules.builtin import BUILTIN_GROUP
from otelmon.rules.model import Group
from otelmon.runtime.control import ask

_ASK_SECONDS = 5.0


def running_rules(settings: Settings) -> list[dict[str, Any]]:
    """The rules of the monitor that runs by these settings, as it answers them; none where none runs."""
    try:
        said = ask(state_folder(settings, None), {"verb": "rules"}, timeout_seconds=_ASK_SECONDS)
    except OtelmonError:
        return []
    rules = said.get("rules")
    return [rule for rule in rules if isinstance(rule, dict)] if isinstance(rules, list) else []


def unmatched_advice(groups: Iterable[Group], running: Iterable[dict[str, Any]]) -> Iterator[Problem]:
    """Of each rule that runs just as it is written here: which of its selectors match no series.

    A selector may be right and its series not there yet, such as that of a first error: so this is advice, and of the
    built-in rules, whose names are otelmon's own, there is none.
    """
    known = {(str(rule.get("name")), str(rule.get("expr"))): rule for rule in running}
    for group in groups:
        if group.name == BUILTIN_GROUP:
            continue
        for rule in group.rules:
            found = known.get((rule.name, rule.text))
            if found is None or found.get("evaluated_at") is None:
                continue
            since = max(
                0.0, float(found["evaluated_at"]) - float(found.get("evaluated_since") or found["evaluated_at"])
            )
            for selector in found.get("unmatched") or ():
                yield Problem(
                    file=rule.origin.file,
                    line=rule.origin.line,
                    key=rule.name,
                    message=f"{selector} matches no series in the running monitor, "
                    + (f"which has evaluated it for {format_duration(round(since))}" if since >= 1 else "so far"),
                    hint="look at its name and labels, unless the series only begins with a first error",
                )
