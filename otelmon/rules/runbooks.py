"""Runbooks: what to do about an alert. One Markdown file a built-in alert ships with otelmon, a team adds its own.

All have the same headings, in the same order; the page quotes the first steps, so that they are at hand on a phone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

HEADINGS = (
    "What it means", "First five minutes", "Likely causes", "Mitigation", "How to know it is over", "Escalate",
    "Tune or silence",
)  # fmt: skip
_CHECKOUT = Path(__file__).parents[2] / "runbooks"
# Longer names are no file names anywhere.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}")
_STEP = re.compile(r"^[0-9]+\. (.+(?:\n(?: {2,}\S.*))*)", re.MULTILINE)
_STEPS_IN_A_PAGE = 3
# A link to a runbook beside this one.
_BESIDE = re.compile(r"\[([^\]]+)\]\(([\w-]+)\.md\)")
_ADDRESS = re.compile(r"https?://\S+")


def runbook_text(name: str, folder: Path | None = None) -> str | None:
    """The runbook of a name, as Markdown: the team's own in ``folder``, else the built-in one; None without either."""
    if not _NAME.fullmatch(name):
        return None
    own = None if folder is None else folder / f"{name}.md"
    try:
        if own is not None and own.is_file():
            return own.read_text(encoding="utf-8", errors="replace")
    except OSError:
        pass  # the built-in one is better than none
    return _builtin_text(name)


def runbook_names(folder: Path | None = None) -> tuple[str, ...]:
    """The names of all runbooks: those that ship with otelmon and the team's own in ``folder``; sorted."""
    packaged = files("otelmon").joinpath("runbooks")
    shipped = [each.name for each in packaged.iterdir()] if packaged.is_dir() else []
    found = [*shipped, *(path.name for path in _CHECKOUT.glob("*.md"))]
    if folder is not None:
        found += [path.name for path in folder.glob("*.md")]
    return tuple(sorted({name.removesuffix(".md") for name in found if name.endswith(".md")}))


@cache
def _builtin_text(name: str) -> str | None:
    packaged = files("otelmon").joinpath("runbooks", f"{name}.md")
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    # A source checkout has them beside the package; the wheel takes them into it.
    checkout = _CHECKOUT / f"{name}.md"
    return checkout.read_text(encoding="utf-8") if checkout.is_file() else None


def first_steps(name: str, folder: Path | None = None) -> tuple[str, ...]:
    """The first three numbered steps of a runbook, each on one line; empty where there is no such runbook.

    A link to another runbook leads nowhere from a page, so the command that shows it stands in its place.
    """
    text = runbook_text(name, folder)
    steps = () if text is None else numbered_steps(section(text, HEADINGS[1]))[:_STEPS_IN_A_PAGE]
    return tuple(_BESIDE.sub(r"\1 (`otelmon runbook \2`)", step) for step in steps)


def section(text: str, heading: str) -> str:
    """What stands under a heading of the second level; empty where there is no such heading."""
    _, _, rest = text.partition(f"\n## {heading}\n")
    return rest.partition("\n## ")[0]


def numbered_steps(text: str) -> tuple[str, ...]:
    """The items of a numbered list, each on one line."""
    return tuple(" ".join(step.split()) for step in _STEP.findall(text))


def heading_anchor(heading: str) -> str:
    """How a link leads to a heading: ``#first-five-minutes``."""
    return re.sub(r"[^a-z0-9]+", "-", heading.lower())


def not_served(name: str) -> str:  # noqa: ARG001 (the signature is the caller's)
    """No runbook has a page of its own."""
    return ""


def own_runbooks(name: str, annotations: Mapping[str, str]) -> tuple[str, ...]:
    """The names under which an alert's runbook may be found: what its rule says, then the alert's own."""
    return tuple(each for each in (annotations.get("runbook", "").strip(), name) if each)


def runbook_link(
    name: str, annotations: Mapping[str, str], base_url: str | None, served: Callable[[str], str] = not_served
) -> str | None:
    """The address of the runbook of an alert with this name and these annotations.

    That is what ``runbook_url`` says (Prometheus's convention), or ``runbook`` where it is an address; else the
    runbook's name, by default the alert's, below ``base_url``; else what ``served`` gives, the address where the app
    shows the runbook of a name, "" where it has none. None where there is no address.
    """
    for said in (annotations.get("runbook_url", ""), annotations.get("runbook", "")):
        if _ADDRESS.fullmatch(said.strip()):
            return said.strip()
    names = own_runbooks(name, annotations)
    if not base_url:
        return next(filter(None, map(served, names)), None)
    if not names or any(character.isspace() for character in names[0]):
        return None
    return f"{base_url.rstrip('/')}/{quote(names[0])}"
