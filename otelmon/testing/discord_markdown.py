"""Discord's markdown as HTML, in the part that pages use; whatever is not understood is shown as text.

Everything is escaped for HTML; a link leads to http or https only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape

_RULES = re.compile(
    r"""
    (?P<fence>```(?:[a-z0-9_+-]*\n)?(?P<fenced>.+?)\n?```)
  | (?P<code>(?P<ticks>`+)(?P<coded>[^`](?:.*?[^`])?)(?P=ticks)(?!`))
  | \\(?P<escaped>[^0-9A-Za-z\s])
  | \[(?P<label>(?:\\.|[^\]\\\n])+)\]\((?P<href>https?://[^\s()]+)\)
  | <(?P<bare>https?://[^\s<>]+)>
  | (?P<url>https?://[^\s<]+[^<.,:;"'\]\s)])
  | <t:(?P<unix>-?\d{1,14})(?::(?P<style>[tTdDfFR]))?>
  | <@(?P<role>&)?!?(?P<mention>\d{1,20})>
  | (?P<everyone>@everyone|@here)
  | \*\*(?P<bold>(?:\\.|[^\\])+?)\*\*(?!\*)
  | __(?P<underlined>(?:\\.|[^\\])+?)__(?!_)
  | ~~(?P<struck>(?:\\.|[^\\])+?)~~
  | \|\|(?P<spoiler>(?:\\.|[^\\])+?)\|\|
  | \*(?P<italic>(?:\\.|[^\\\s*])(?:\\.|[^\\*])*?)\*
  | (?<![A-Za-z0-9])_(?P<slanted>(?:\\.|[^\\_])+?)_(?![A-Za-z0-9])
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK = re.compile(r"^(?P<mark>\#{1,3} |-\# |> |[-*] )(?P<text>.*)$")
_BLOCKS = {"# ": "h1", "## ": "h2", "### ": "h3", "-# ": "small", "> ": "blockquote", "- ": "li", "* ": "li"}
_SPANS = {
    "bold": "<strong>{}</strong>",
    "underlined": "<u>{}</u>",
    "struck": "<s>{}</s>",
    "spoiler": '<span class="spoiler">{}</span>',
    "italic": "<em>{}</em>",
    "slanted": "<em>{}</em>",
}
_DEEPEST = 8
_UNITS = ((31_556_952, "year"), (2_629_746, "month"), (86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def html(text: str, *, names: Mapping[str, str], now: float, block: bool = True) -> str:
    """The text as HTML. ``names`` are those of mentioned ids; ``now`` (unix seconds) is what times are relative to.

    ``block`` renders headings, quotes and lists at line starts too (a title has none).
    """
    if not block:
        return _inline(text, names, now)
    parts: list[str] = []
    for piece in re.split(r"(```.+?```)", text, flags=re.DOTALL):
        if piece.startswith("```") and len(piece) > 6:
            parts.append(_inline(piece, names, now))
        else:
            parts.append(_lines(piece, names, now))
    return "".join(parts)


def relative(at: float, now: float) -> str:
    """How long ago, or how soon: "3 minutes ago", "in 2 hours"."""
    seconds = abs(now - at)
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= size), _UNITS[-1])
    count = int(seconds // size)
    words = f"{count} {unit}{'' if count == 1 else 's'}"
    return f"in {words}" if at > now else f"{words} ago"


def moment(at: float, style: str, now: float) -> str:
    """A time as Discord writes it in one of its styles, in UTC."""
    if style == "R":
        return relative(at, now)
    try:
        when = datetime.fromtimestamp(at, UTC)
    except (ValueError, OverflowError, OSError):
        return "Invalid Date"
    day = f"{when.day} {when:%B %Y}"
    styles = {"t": f"{when:%H:%M}", "T": f"{when:%H:%M:%S}", "d": f"{when:%d/%m/%Y}", "D": day}
    styles |= {"f": f"{day} {when:%H:%M}", "F": f"{when:%A}, {day} {when:%H:%M}"}
    return styles[style]


def _lines(text: str, names: Mapping[str, str], now: float) -> str:
    """Paragraph text, with the marks that count at the start of a line."""
    out: list[str] = []
    plain: list[str] = []

    def flush() -> None:
        if plain:
            out.append(_inline("\n".join(plain), names, now))
            plain.clear()

    for line in text.split("\n"):
        if found := _BLOCK.match(line):
            flush()
            tag = _BLOCKS[found["mark"]]
            out.append(f"<{tag}>{_inline(found['text'], names, now)}</{tag}>")
        else:
            plain.append(line)
    flush()
    return "".join(out)


def _inline(text: str, names: Mapping[str, str], now: float, depth: int = 0) -> str:
    out: list[str] = []
    last = 0
    for found in _RULES.finditer(text):
        out.append(_plain(text[last : found.start()]))
        out.append(_span(found, names, now, depth))
        last = found.end()
    out.append(_plain(text[last:]))
    return "".join(out)


def _plain(text: str) -> str:
    return escape(text).replace("\n", "<br>")


def _span(found: re.Match[str], names: Mapping[str, str], now: float, depth: int) -> str:
    if found["fence"]:
        return f"<pre><code>{escape(found['fenced'])}</code></pre>"
    if found["code"]:
        return f"<code>{escape(found['coded'].strip())}</code>"
    if found["escaped"]:
        return _plain(found["escaped"])
    if found["unix"]:
        at = float(found["unix"])
        title = escape(moment(at, "F", now))
        return f'<time title="{title}">{escape(moment(at, found["style"] or "f", now))}</time>'
    if found["mention"]:
        name = names.get(found["mention"], found["mention"])
        return f'<span class="mention">@{escape(name)}</span>'
    if found["everyone"]:
        return f'<span class="mention">{escape(found["everyone"])}</span>'

    def inner(part: str) -> str:
        return _inline(part, names, now, depth + 1) if depth < _DEEPEST else _plain(part)

    if found["href"]:
        return _anchor(found["href"], inner(found["label"]))
    if address := found["bare"] or found["url"]:
        return _anchor(address, escape(address))
    kind: str = next(name for name in _SPANS if found[name])
    return _SPANS[kind].format(inner(found[kind]))


def _anchor(address: str, shown: str) -> str:
    return f'<a href="{escape(address)}" rel="noreferrer noopener" target="_blank">{shown}</a>'
