"""Runbooks: what to do about an alert. One Markdown file for each built-in alert ships with otelmon.

All have the same headings, in the same order; the page quotes the first steps, so that they are at hand on a phone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

HEADINGS = (
    "What it means", "First five minutes", "Likely causes", "Mitigation", "How to know it is over", "Escalate",
    "Tune or silence",
)  # fmt: skip
# Longer names are no file names anywhere.
_NAME = re.compile(r"[a-z0-9_]{1,100}")
_STEP = re.compile(r"^[0-9]+\. (.+(?:\n(?: {2,}\S.*))*)", re.MULTILINE)
_STEPS_IN_A_PAGE = 3
_ADDRESS = re.compile(r"https?://\S+")


@cache
def runbook_text(name: str) -> str | None:
    """The built-in runbook of a name, as Markdown; None where there is none."""
    if not _NAME.fullmatch(name):
        return None
    packaged = files("otelmon").joinpath("runbooks", f"{name}.md")
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    # A source checkout has them beside the package; the wheel takes them into it.
    checkout = Path(__file__).parents[2] / "runbooks" / f"{name}.md"
    return checkout.read_text(encoding="utf-8") if checkout.is_file() else None


def first_steps(name: str) -> tuple[str, ...]:
    """The first three numbered steps of a built-in runbook, each on one line; empty where there is no such runbook."""
    text = runbook_text(name)
    if text is None:
        return ()
    _, _, section = text.partition(f"## {HEADINGS[1]}\n")
    section = section.partition("\n## ")[0]
    steps = [" ".join(step.split()) for step in _STEP.findall(section)]
    return tuple(steps[:_STEPS_IN_A_PAGE])


def runbook_link(name: str, annotations: Mapping[str, str], base_url: str | None) -> str | None:
    """The address of the runbook of an alert with this name and these annotations.

    That is what ``runbook_url`` says (Prometheus's convention), or ``runbook`` where it is an address; else the
    runbook's name, by default the alert's, below ``base_url``. None where there is no address: the runbook is a text,
    or no base is configured.
    """
    for said in (annotations.get("runbook_url", ""), annotations.get("runbook", "")):
        if _ADDRESS.fullmatch(said.strip()):
            return said.strip()
    named = annotations.get("runbook", "").strip() or name
    if not base_url or any(character.isspace() for character in named):
        return None
    return f"{base_url.rstrip('/')}/{quote(named)}"
