"""Silences: alerts that match page nobody for a while."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from otelmon.alerts.model import Alert
from otelmon.incidents.ids import incident_id
from otelmon.labels import Labels
from otelmon.matching import Matcher, MatchOperator

# As Alertmanager reads them: name, operator, then a value in quotes or without.
_MATCHER = re.compile(r"\s*([^\s=!~,{}\"]+)\s*(=~|!=|!~|=)\s*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"\s*', re.DOTALL)
_BARE = re.compile(r'[^,{}"\s]*\s*')
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
PREFIX = "S"
"""What a silence's id begins with; an incident's has no S."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Alerts that meet all matchers page nobody from ``starts_at`` until ``ends_at``.

    With ``until_resolved`` it ends as soon as nothing that it matches fires, at ``ends_at`` at the latest if there is
    one. ``ended_at`` is when it ended, with ``ended_by`` who expired it (empty: it ran out). ``noticed_at`` is when
    people were told that it is about to end.
    """

    id: str
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime | None
    until_resolved: bool = False
    author: str
    comment: str = ""
    created_at: datetime
    ended_at: datetime | None = None
    ended_by: str = ""
    noticed_at: datetime | None = None

    @property
    def shown(self) -> str:
        """The matchers as they are written."""
        return ", ".join(map(str, self.matchers))

    def is_active(self, at: datetime) -> bool:
        """Whether it mutes at this instant."""
        return self.ended_at is None and self.starts_at <= at and (self.ends_at is None or at < self.ends_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddSilence:
    """A person's request for a silence."""

    silence: Silence


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireSilence:
    """A person's request to end a silence now."""

    silence_id: str
    by: str


class SilenceEnd(StrEnum):
    """Why a silence is over."""

    RAN_OUT = "its time is over"
    RESOLVED = "nothing that it matches fires any more"
    EXPIRED = "somebody ended it"


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceNotice:
    """A silence that ends soon while it hides alerts that fire; they will page then."""

    silence: Silence
    hidden: tuple[Alert, ...]


def parse_matchers(texts: Iterable[str]) -> tuple[Matcher, ...]:
    """Matchers as Alertmanager writes them: ``alertname=error_rate``, ``route=~"/pay.*"``, ``{a="b", c!="d"}``.

    A text without an operator is an alert's name. Raises ValueError, in words, for what cannot be read, and for
    matchers that every alert meets.
    """
    found = tuple(matcher for text in texts for matcher in _matchers(text))
    if all(matcher.matches("") for matcher in found):
        raise ValueError("one matcher at least has to ask for a value, or everything would be silent")
    return found


def meets(labels: Labels, matchers: Iterable[Matcher]) -> bool:
    """Whether a label set meets all matchers; a label that is missing is an empty one."""
    return all(matcher.matches(labels.get(matcher.name, "")) for matcher in matchers)


def silence_id(matchers: Iterable[Matcher], author: str, created_at: datetime) -> str:
    """The id of a silence, such as S7KQ2X: not one that an incident can have."""
    about = Labels({"matchers": ", ".join(map(str, matchers)), "author": author})
    return PREFIX + incident_id(about, created_at, (), shortest=5)


def ended(
    silences: Mapping[str, Silence], firing: Iterable[Alert], at: datetime
) -> tuple[dict[str, Silence], dict[str, SilenceEnd]]:
    """The silences that go on at ``at``, and why the others end."""
    waiting = [alert.labels for alert in firing] if any(each.until_resolved for each in silences.values()) else []
    left: dict[str, Silence] = {}
    over: dict[str, SilenceEnd] = {}
    for id_, silence in silences.items():
        if silence.ends_at is not None and silence.ends_at <= at:
            over[id_] = SilenceEnd.RAN_OUT
        elif (
            silence.until_resolved
            and silence.starts_at <= at
            and not any(meets(labels, silence.matchers) for labels in waiting)
        ):
            over[id_] = SilenceEnd.RESOLVED
        else:
            left[id_] = silence
    return left, over


def notice_due(silence: Silence, at: datetime, notice: timedelta) -> bool:
    """Whether it is time to say that a silence ends soon; of a short one, when half of it is over."""
    if silence.ends_at is None or silence.noticed_at is not None or not silence.is_active(at):
        return False
    ahead = min(notice, (silence.ends_at - silence.starts_at) / 2)
    return at >= silence.ends_at - ahead


def shift_silence(silence: Silence, by: timedelta) -> Silence:
    """The same silence after the wall clock jumped."""

    def moved(instant: datetime | None) -> datetime | None:
        return None if instant is None else instant + by

    return replace(
        silence,
        starts_at=silence.starts_at + by,
        ends_at=moved(silence.ends_at),
        created_at=silence.created_at + by,
        noticed_at=moved(silence.noticed_at),
    )


def _matchers(text: str) -> list[Matcher]:
    inner = text.strip()
    if inner.startswith("{") and inner.endswith("}"):
        inner = inner[1:-1]
    if inner and not re.search(r'[=~!{}",]', inner):
        return [Matcher(name="alertname", operator=MatchOperator.EQUAL, value=inner.strip())]
    found: list[Matcher] = []
    position = 0
    while position < len(inner):
        named = _MATCHER.match(inner, position)
        if named is None:
            raise ValueError(f"{text!r} is no matcher; write name=value, name!=value, name=~regex or name!~regex")
        quoted = _QUOTED.match(inner, named.end())
        value = quoted or _BARE.match(inner, named.end())
        assert value is not None  # noqa: S101 (a bare value may be empty)
        position = value.end()
        if position < len(inner):
            if inner[position] != ",":
                raise ValueError(f'{text!r}: put the value of {named[1]} in "quotes", or a comma after it')
            position += 1
        written = _unescaped(quoted[1]) if quoted else value[0].strip()
        found.append(_matcher(named[1], named[2], written))
    return found


def _matcher(name: str, operator: str, value: str) -> Matcher:
    try:
        return Matcher(name=name, operator=MatchOperator(operator), value=value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], text)
