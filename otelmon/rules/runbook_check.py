"""Whether a runbook can be followed at night: its form, its commands, its queries and its links. A pure check."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import PurePosixPath

from otelmon.errors import Problem, PromQLError
from otelmon.promql.parse import parse
from otelmon.promql.supported import check_supported
from otelmon.rules.runbooks import HEADINGS, heading_anchor, numbered_steps, section

CommandFault = Callable[[Sequence[str]], str | None]
"""What is wrong with the arguments of an ``otelmon`` command, in words; None where nothing is."""

_LEAST_STEPS = 3
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_ITEM = re.compile(r"^- (.+(?:\n(?: {2,}\S.*))*)", re.MULTILINE)
# A span of code may be wrapped, but not beyond its paragraph.
_CODE = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^()\s]*)\)")
_ADDRESS = re.compile(r"https?://[^\s/]+(/\S*)?")


def check_runbook(text: str, *, file: str, known: Collection[str], command_fault: CommandFault) -> tuple[Problem, ...]:
    """What is wrong with a runbook; nothing where a person can follow it.

    ``file`` is its path, whose last part is the alert's name; ``known`` are the names of all runbooks, for links
    between them. Commands are those in spans of code that begin with ``otelmon``; an expression is what ``otelmon
    query`` is given.
    """
    found = [*_form(text, PurePosixPath(file).stem), *_commands(text, command_fault), *_links(text, known)]
    return tuple(
        Problem(file=file, line=_line(text, where), message=message, hint=hint) for where, message, hint in found
    )


_Fault = tuple[str, str, str]


def _form(text: str, name: str) -> Iterator[_Fault]:
    first = text.partition("\n")[0]
    if not re.fullmatch(rf"# {re.escape(name)}: \S.*", first):
        yield first, "the first line is not the alert's name and what is wrong", f"write # {name}: what is wrong"
    headings = tuple(_HEADING.findall(text))
    if headings != HEADINGS:
        hint = f"write ## and {', '.join(HEADINGS)}, in this order"
        missing = [heading for heading in HEADINGS if heading not in headings]
        other = next((heading for heading in headings if heading not in HEADINGS), "")
        said = f"the heading {missing[0]!r} is missing" if missing else "the headings are in another order"
        yield f"## {other}" if other else "", f"there is a heading {other!r}" if other else said, hint
    for heading in HEADINGS:
        if heading in headings and not section(text, heading).strip():
            yield f"## {heading}", f"nothing stands under {heading!r}", "say it in a sentence or two"
    yield from _steps(text)
    yield from _lists(text)


def _steps(text: str) -> Iterator[_Fault]:
    steps = numbered_steps(section(text, "First five minutes"))
    if len(steps) < _LEAST_STEPS:
        hint = "write 1., 2., 3.: the page shows the first three"
        yield "## First five minutes", f"the first five minutes have {len(steps)} numbered steps", hint
    for number, step in enumerate(steps, start=1):
        if not _CODE.search(step) and not _LINK.search(step):
            hint = "put the command in backquotes, or link to the place, and say what to expect"
            yield f"\n{number}. ", f"step {number} names no command and no place to look", hint


def _lists(text: str) -> Iterator[_Fault]:
    causes = section(text, "Likely causes")
    if not _ITEM.search(causes):
        yield "## Likely causes", "no causes are listed", "write - a cause: how to tell it from the others"
    elif not any(code.startswith("otelmon query ") for code in _codes(causes)):
        hint = "show an expression that tells the causes apart: `otelmon query 'EXPR'`"
        yield "## Likely causes", "no query tells the causes apart", hint
    items = _ITEM.findall(section(text, "Mitigation"))
    if not items:
        yield "## Mitigation", "no mitigation is listed", "write - what to do. Risk: ... Undo: ..."
    for item in items:
        missing = next((word for word in ("Risk:", "Undo:") if word not in item), None)
        if missing is not None:
            yield item.splitlines()[0], f"a mitigation has no {missing!r}", "say what it risks and how to undo it"


def _commands(text: str, command_fault: CommandFault) -> Iterator[_Fault]:
    for code in _codes(text):
        try:
            words = shlex.split(code)
        except ValueError as error:
            if code.startswith("otelmon "):
                yield code, f"`{code}` is no command: {error}", "close the quotes"
            continue
        if words[:1] != ["otelmon"]:
            continue
        fault = command_fault(words[1:])
        if fault is not None:
            yield code, f"`{code}`: {fault}", "see `otelmon --help`"
        elif words[1:2] == ["query"] and len(words) > 2:
            problem = _expression_fault(words[2])
            if problem is not None:
                yield code, f"{words[2]!r} cannot be evaluated: {problem}", "try it with `otelmon query`"


def _expression_fault(text: str) -> str | None:
    try:
        check_supported(parse(text), text)
    except PromQLError as error:
        return str(error)
    return None


def _links(text: str, known: Collection[str]) -> Iterator[_Fault]:
    for target in _LINK.findall(text):
        if _ADDRESS.fullmatch(target):
            continue
        page, _, anchor = target.partition("#")
        anchors = {heading_anchor(heading) for heading in HEADINGS}
        if (page and page.removesuffix(".md") not in known) or not target or (anchor and anchor not in anchors):
            hint = "link to another runbook (error_rate.md), to a heading of one (#mitigation) or to https://..."
            yield f"({target})", f"the link to {target!r} leads nowhere", hint


def _codes(text: str) -> Iterator[str]:
    for code in _CODE.findall(text):
        if "\n\n" not in code:
            yield " ".join(code.split())


def _line(text: str, where: str) -> int | None:
    """The line, from 1, on which something stands; also where it is wrapped in the text."""
    if not where:
        return None
    pattern = r"\s+".join(re.escape(word) for word in where.split())
    found = re.search(pattern, text)
    return None if found is None else text.count("\n", 0, found.start()) + 1
