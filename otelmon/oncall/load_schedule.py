"""Reading one schedule: its layers, restrictions and overrides, and the wall-clock times in them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import datetime, time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from otelmon.document.fields import Fields, Problems, did_you_mean
from otelmon.document.model import Scalar, Section, Value, describe, is_empty
from otelmon.oncall.layer import Layer
from otelmon.oncall.overrides import Override
from otelmon.oncall.restriction import Restriction, parse_days
from otelmon.oncall.rotation import NOBODY, Participant, Rotation, RotationUnit
from otelmon.oncall.schedule import Schedule
from otelmon.oncall.wall import first_instant

_MOST = 9000
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})")
_MOMENT = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})(?:[T ]+([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?)?(.*)")
_LAYER_KEYS = ("rotation", "every", "start", "end", "participants", "only", "level")
_OVERRIDE_KEYS = ("from", "to", "person", "replaces", "removes", "reason", "by")
_LAYER_HINT = "write - rotation: weekly, and under it start: 2026-01-05 09:00 and participants: [ana, bo]"
_MOMENT_HINT = "write a date and a time, such as 2026-01-05 09:00"


def unknown_hint(name: str, names: Collection[str], what: str) -> str:
    """What to write instead of a name that is not known."""
    close = did_you_mean(name, names)
    if close:
        return close
    listed = ", ".join(sorted(names))
    return f"known here: {listed}" if listed else f"there is no {what} yet: add one"


def read_zone(fields: Fields, name: str) -> ZoneInfo | None:
    """A time zone by its name; None after a fault."""
    text = fields.text(name, what="a time zone")
    if text is None:
        return None
    try:
        return ZoneInfo(text.strip())
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a name that leads out of the database, or to a folder of it
        pass
    hint = (
        did_you_mean(text.strip(), available_timezones())
        or "write a name of the time zone database, such as Europe/Lisbon"
    )
    fields.fault(name, f"{text!r} is no time zone", hint)
    return None


def read_schedule(
    name: str, value: Value, people: Collection[str], problems: Problems, *, path: str
) -> Schedule | None:
    """The schedule that a section describes; None where so much is wrong that there is none."""
    if not isinstance(value, Section):
        hint = "write time_zone: Europe/Lisbon and layers: under it"
        problems.add(value, f"a section of keys expected, not {describe(value)}", key=path, hint=hint)
        return None
    fields = Fields(value, problems, known=("time_zone", "layers", "overrides"), path=path)
    if fields.entry("time_zone") is None:
        fields.fault("time_zone", "a schedule needs a time zone", "write time_zone: Europe/Lisbon")
    zone = read_zone(fields, "time_zone")
    # After a fault the rest is read nevertheless, to find what else is wrong.
    reader = _Reader(zone or ZoneInfo("UTC"), people, problems)
    layers = list(reader.layers(fields))
    overrides = list(reader.overrides(fields))
    return Schedule(name=name, time_zone=zone, layers=layers, overrides=overrides) if zone and layers else None


def read_restriction(section: Section, zone: ZoneInfo, problems: Problems, *, path: str) -> Restriction | None:
    """``{days: mon-fri, from: 09:00, to: 18:00}``; without ``days`` on every day, without times all day."""
    fields = Fields(section, problems, known=("days", "from", "to"), path=path)
    if not section.entries:
        problems.add(section, "nothing is written here", key=path, hint="write {days: mon-fri, from: 09:00, to: 18:00}")
        return None
    for one, other in (("from", "to"), ("to", "from")):
        if fields.entry(one) is not None and fields.entry(other) is None:
            fields.fault(other, f"{one} without {other}", f"write {other}: 18:00")
            return None
    days = _read_days(fields)
    start = read_time(fields, "from") if fields.entry("from") else time(0)
    end = read_time(fields, "to") if fields.entry("to") else time(0)
    if days is None or start is None or end is None:
        return None
    return Restriction(sorted(days), start, end, zone)


def _read_days(fields: Fields) -> frozenset[int] | None:
    value = fields.value("days")
    if value is None:
        return frozenset(range(7))
    items = (value,) if isinstance(value, Scalar) else getattr(value, "items", ())
    found: set[int] = set()
    for item in items:
        if not isinstance(item, Scalar) or is_empty(item):
            fields.fault("days", f"days expected, not {describe(item)}", "write mon-fri or sat,sun")
            return None
        try:
            found |= parse_days(item.text)
        except ValueError:
            fields.fault("days", f"{item.shown} is no day of the week", "write mon-fri, or sat,sun, or every day")
            return None
    if not found:
        fields.fault("days", "no days", "write mon-fri, sat,sun or every day")
        return None
    return frozenset(found)


def read_time(fields: Fields, name: str) -> time | None:
    """A time of day; 24:00 is the midnight at which the day ends."""
    text = fields.text(name, what="a time of day")
    if text is None:
        return None
    match = _TIME.fullmatch(text.strip())
    hour, minute = (int(match[1]), int(match[2])) if match else (99, 0)
    if (hour, minute) == (24, 0):
        return time(0)
    if hour > 23 or minute > 59:
        fields.fault(name, f"{text!r} is no time of day", "write hours and minutes, 00:00 to 24:00, such as 18:00")
        return None
    return time(hour, minute)


def _read_moment(fields: Fields, name: str) -> datetime | None:
    """A wall-clock time with its date (naive); None after a fault, also where there is none."""
    if fields.entry(name) is None:
        fields.fault(name, f"{name} is missing", _MOMENT_HINT)
        return None
    text = fields.text(name, what="a date and a time")
    if text is None:
        return None
    match = _MOMENT.fullmatch(text.strip())
    if match is None:
        fields.fault(name, f"{text!r} is no date with a time", _MOMENT_HINT)
        return None
    year, month, day, hour, minute, second, rest = match.groups()
    if rest.strip():
        hint = "times are of the schedule's time_zone; write it without an offset, such as 2026-01-05 09:00"
        fields.fault(name, f"{text!r} has more than a date and a time", hint)
        return None
    if hour is None:
        fields.fault(name, f"{text!r} has no time", f"write it, such as {text.strip()} 00:00")
        return None
    try:
        moment = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0))  # noqa: DTZ001
    except ValueError:
        fields.fault(name, f"{text!r} is no day and time of the calendar", _MOMENT_HINT)
        return None
    if not 1970 <= moment.year <= 2200:
        fields.fault(name, f"{text!r} is not of our time", "write a year from 1970 to 2200")
        return None
    return moment


class _Reader:
    """What a schedule's parts share while they are read."""

    def __init__(self, zone: ZoneInfo, people: Collection[str], problems: Problems) -> None:
        self._zone = zone
        self._people = people
        self._problems = problems

    def layers(self, fields: Fields) -> Iterator[Layer]:
        """The layers that can be meant."""
        if fields.entry("layers") is None:
            fields.fault("layers", "a schedule without layers has nobody on call", _LAYER_HINT)
            return
        listing = fields.listing("layers")
        if listing is not None and not listing.items:
            fields.fault("layers", "a schedule without layers has nobody on call", _LAYER_HINT)
        for number, item in enumerate(() if listing is None else listing.items):
            path = f"{fields.key('layers')}[{number}]"
            if isinstance(item, Section):
                layer = self._layer(Fields(item, self._problems, known=_LAYER_KEYS, path=path))
                if layer is not None:
                    yield layer
            else:
                self._problems.add(item, f"a layer expected, not {describe(item)}", key=path, hint=_LAYER_HINT)

    def _layer(self, fields: Fields) -> Layer | None:
        if fields.entry("rotation") is None:
            fields.fault("rotation", "a layer needs a rotation", "write rotation: weekly")
        unit = fields.choice("rotation", [unit.value for unit in RotationUnit])
        every = fields.integer("every", low=1, high=_MOST)
        start = _read_moment(fields, "start")
        end = self._instant(fields, "end") if fields.entry("end") else None
        level = fields.integer("level", low=1, high=1000)
        participants = self._participants(fields)
        only = self._restrictions(fields)
        if unit is None or start is None or not participants:
            return None
        starts_at = first_instant(start, self._zone)
        if end is not None and end <= starts_at:
            fields.fault("end", "the layer ends before it starts", "write a later end, or leave it out")
            return None
        # Whoever left before the start has no turn that the first one's could follow.
        present = [one for one in participants if one.leaves_at is None or one.leaves_at > starts_at]
        if not present:
            fields.fault("participants", "everybody leaves before the start", "write participants: [ana, bo]")
            return None
        rotation = Rotation(present, unit, every or 1, start.replace(tzinfo=self._zone))
        return Layer(rotation=rotation, only=only, starts_at=starts_at, ends_at=end, level=level)

    def _instant(self, fields: Fields, name: str) -> datetime | None:
        moment = _read_moment(fields, name)
        return None if moment is None else first_instant(moment, self._zone)

    def _participants(self, fields: Fields) -> tuple[Participant, ...]:
        hint = "write participants: [ana, bo]"
        if fields.entry("participants") is None:
            fields.fault("participants", "a rotation needs participants", hint)
            return ()
        listing = fields.listing("participants")
        if listing is None:
            return ()
        if not listing.items:
            fields.fault("participants", "a rotation of an empty list", f"{hint}; nobody for a turn off")
            return ()
        found = [one for item in listing.items if (one := self._participant(item, fields)) is not None]
        if len(found) == len(listing.items) and all(one.person == NOBODY for one in found):
            fields.fault("participants", "nobody is ever on call here", f"{hint}, or take the layer out")
            return ()
        return tuple(found)

    def _participant(self, item: Value, fields: Fields) -> Participant | None:
        key = fields.key("participants")
        if isinstance(item, Scalar) and not is_empty(item):
            return self._known(item, key)
        if not isinstance(item, Section):
            hint = "write a name, or {person: ana, from: 2026-03-01 00:00}"
            self._problems.add(item, f"a name expected, not {describe(item)}", key=key, hint=hint)
            return None
        inner = Fields(item, self._problems, known=("person", "from", "to"), path=key)
        person = self._person(inner, "person")
        joins = self._instant(inner, "from") if inner.entry("from") else None
        leaves = self._instant(inner, "to") if inner.entry("to") else None
        if inner.entry("person") is None:
            inner.fault("person", "a participant without a name", "write {person: ana, from: 2026-03-01 00:00}")
        if joins is not None and leaves is not None and leaves <= joins:
            inner.fault("to", "leaves before joining", "write a time after from:")
            return None
        return None if person is None else Participant(person, joins, leaves)

    def _known(self, item: Scalar, key: str) -> Participant | None:
        name = item.text.strip()
        if name == NOBODY or name in self._people:
            return Participant(name)
        hint = unknown_hint(name, self._people, "person")
        self._problems.add(item, f"there is no person {name!r}", key=key, hint=hint)
        return None

    def _person(self, fields: Fields, name: str) -> str | None:
        value = fields.value(name)
        if value is None:
            return None
        text = (fields.text(name, what="a name") or "").strip()
        if text and text != NOBODY and text not in self._people:
            fields.fault(name, f"there is no person {text!r}", unknown_hint(text, self._people, "person"))
            return None
        return text or None

    def _restrictions(self, fields: Fields) -> tuple[Restriction, ...]:
        value = fields.value("only")
        if value is None:
            return ()
        items = (value,) if isinstance(value, Section) else getattr(value, "items", (value,))
        found = []
        for item in items:
            if isinstance(item, Section):
                found.append(read_restriction(item, self._zone, self._problems, path=fields.key("only")))
            else:
                hint = "write {days: mon-fri, from: 09:00, to: 18:00}"
                message = f"days and times expected, not {describe(item)}"
                where = fields.section if is_empty(item) else item
                self._problems.add(where, message, key=fields.key("only"), hint=hint)
        return tuple(one for one in found if one is not None)

    def overrides(self, fields: Fields) -> Iterator[Override]:
        """The overrides that can be meant, in their order."""
        listing = fields.listing("overrides")
        for number, item in enumerate(() if listing is None else listing.items):
            path = f"{fields.key('overrides')}[{number}]"
            if isinstance(item, Section):
                override = self._override(Fields(item, self._problems, known=_OVERRIDE_KEYS, path=path))
                if override is not None:
                    yield override
            else:
                hint = "write {from: 2026-12-24 00:00, to: 2026-12-27 00:00, person: bo, replaces: ana}"
                self._problems.add(item, f"an override expected, not {describe(item)}", key=path, hint=hint)

    def _override(self, fields: Fields) -> Override | None:
        start, end = self._instant(fields, "from"), self._instant(fields, "to")
        person, replaces, removes = (self._person(fields, name) for name in ("person", "replaces", "removes"))
        reason, by = (fields.text(name) or "" for name in ("reason", "by"))
        named = [name for name in ("person", "replaces", "removes") if fields.entry(name) is not None]
        if person == NOBODY:
            fields.fault("person", "nobody cannot be put on call", "write removes: and who is taken off")
        elif not named:
            fields.fault(
                "person", "an override of nobody", "write person: bo, with replaces: ana where bo takes a turn"
            )
        elif "replaces" in named and "person" not in named:
            fields.fault(
                "person", "replaces whom by whom?", "write person: bo beside it, or removes: in place of replaces:"
            )
        elif "removes" in named and len(named) > 1:
            fields.fault("removes", "removes stands alone", "write replaces: where somebody takes the turn")
        elif person is not None and person == replaces:
            fields.fault("replaces", "replaces somebody by the same", "write two different people")
        elif start is not None and end is not None and end <= start:
            fields.fault("to", "the override ends before it starts", "write a time after from:")
        elif start is not None and end is not None and any((person, removes)) and ("replaces" not in named or replaces):
            return Override(
                start=start, end=end, person=person or "", replaces=replaces or removes or "", reason=reason, by=by
            )
        return None
