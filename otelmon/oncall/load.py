"""Reading people, schedules and escalation policies from a document.

people:
  ana: {discord: 112233445566778899, time_zone: Europe/Lisbon}
schedules:
  backend:
    time_zone: Europe/Lisbon
    layers:
      - rotation: weekly              # hourly | daily | weekly | monthly; every: N
        start: 2026-01-05 09:00
        participants: [ana, nobody, {person: bo, from: 2026-03-01 00:00, to: 2026-09-01 00:00}]
        only: {days: mon-fri, from: 09:00, to: 18:00}
    overrides:
      - {from: 2026-12-24 00:00, to: 2026-12-27 00:00, person: bo, replaces: ana}
escalation:
  default:
    repeat: 3
    steps:
      - {notify: [schedule: backend]}
      - {wait: 10m, notify: [next: backend, role: 998877665544332211]}

Every fault is noted with its place and with what to write. Times are wall-clock times of the schedule's zone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from zoneinfo import ZoneInfo

from otelmon.document.fields import Fields, Problems, did_you_mean
from otelmon.document.model import Entry, Listing, Scalar, Section, Value, describe, is_empty
from otelmon.duration import read_duration
from otelmon.oncall.load_schedule import read_restriction, read_schedule, read_zone, unknown_hint
from otelmon.oncall.people import Person, Team
from otelmon.oncall.policy import Policy, Step, Target, TargetKind
from otelmon.oncall.rotation import NOBODY
from otelmon.oncall.schedule import Schedule

__all__ = ["read_team"]

_SNOWFLAKE = re.compile(r"[0-9]{17,20}")
_LONGEST_WAIT = 9000 * 60.0
_REPEAT_EVERY = 15 * 60.0
_POLICY_KEYS = (
    "repeat", "repeat_every", "steps", "fallback_role", "acknowledge_timeout", "quiet_hours", "remind_after",
)  # fmt: skip
_SNOWFLAKE_HINT = "copy the id in Discord (developer mode, right click): 17 to 20 digits"
_TARGETS_HINT = "write a list such as [schedule: backend] or [person: ana, role: 998877665544332211]"


def read_team(
    people: Value | None,
    schedules: Value | None,
    escalation: Value | None,
    problems: Problems,
    *,
    webhooks: tuple[str, ...] | None = None,
) -> Team:
    """The team that the three sections of a document describe; whatever cannot be meant is noted in ``problems``.

    ``webhooks`` are the names that a policy may page; None where they are not known, and any name is taken.
    """
    found_people = _read_people(people, problems)
    found_schedules: dict[str, Schedule] = {}
    for name, entry in _entries(schedules, problems, "schedules").items():
        schedule = read_schedule(name, entry.value, frozenset(found_people), problems, path=f"schedules.{name}")
        if schedule is not None:
            found_schedules[name] = schedule
    listed = frozenset(_entries(schedules, Problems(), "schedules"))
    known = _Known(frozenset(found_people), listed, webhooks)
    policies: dict[str, Policy] = {}
    for name, entry in _entries(escalation, problems, "escalation").items():
        policy = _read_policy(name, entry.value, known, found_schedules, problems)
        if policy is not None:
            policies[name] = policy
    return Team(people=found_people, schedules=found_schedules, policies=policies)


class _Known:
    """The names that a target may have, by its kind; None where any name will do."""

    def __init__(self, people: frozenset[str], schedules: frozenset[str], webhooks: tuple[str, ...] | None) -> None:
        self.names: Mapping[TargetKind, frozenset[str] | None] = {
            TargetKind.PERSON: people,
            TargetKind.SCHEDULE: schedules,
            TargetKind.NEXT: schedules,
            TargetKind.EVERYONE: schedules,
            TargetKind.WEBHOOK: None if webhooks is None else frozenset(webhooks),
            TargetKind.ROLE: None,
        }


def _entries(value: Value | None, problems: Problems, key: str) -> dict[str, Entry]:
    if value is None or is_empty(value):
        return {}
    if isinstance(value, Section):
        return value.entries
    message = f"a section of names expected, not {describe(value)}"
    problems.add(value, message, key=key, hint=f"write {key}: with a name under it")
    return {}


def _read_people(value: Value | None, problems: Problems) -> dict[str, Person]:
    people: dict[str, Person] = {}
    for name, entry in _entries(value, problems, "people").items():
        path = f"people.{name}"
        if name == NOBODY:
            problems.add(
                entry.key, '"nobody" is a turn off, and no name', key=path, hint="give the person another name"
            )
            continue
        if not isinstance(entry.value, Section):
            hint = f"write {name}: {{discord: 112233445566778899, time_zone: Europe/Lisbon}}"
            problems.add(entry.key, f"a section of keys expected, not {describe(entry.value)}", key=path, hint=hint)
            people[name] = Person(name=name)
            continue
        fields = Fields(entry.value, problems, known=("discord", "time_zone"), path=path)
        discord = _snowflake(fields, "discord") if fields.entry("discord") else ""
        zone = read_zone(fields, "time_zone") if fields.entry("time_zone") else None
        people[name] = Person(name=name, discord=discord, time_zone=zone)
    return people


def _snowflake(fields: Fields, name: str) -> str:
    text = (fields.text(name, what="an id") or "").strip()
    if text and not _SNOWFLAKE.fullmatch(text):
        fields.fault(name, f"{text!r} is no Discord id", _SNOWFLAKE_HINT)
        return ""
    return text


def _read_policy(
    name: str, value: Value, known: _Known, schedules: Mapping[str, Schedule], problems: Problems
) -> Policy | None:
    path = f"escalation.{name}"
    if not isinstance(value, Section):
        hint = "write steps: and under it - {notify: [schedule: backend]}"
        problems.add(value, f"a section of keys expected, not {describe(value)}", key=path, hint=hint)
        return None
    fields = Fields(value, problems, known=_POLICY_KEYS, path=path)
    steps = _read_steps(fields, known)
    repeat = fields.integer("repeat", low=0, high=5)
    repeat_every = fields.duration("repeat_every", low=60.0, high=_LONGEST_WAIT)
    timeout = fields.duration("acknowledge_timeout", low=60.0, high=_LONGEST_WAIT)
    quiet = fields.sub("quiet_hours")
    zone = next((one.zone for one in schedules.values()), ZoneInfo("UTC"))
    restriction = None if quiet is None else read_restriction(quiet, zone, problems, path=fields.key("quiet_hours"))
    if restriction is not None and restriction.always:
        fields.fault("quiet_hours", "these hours never end", "write them as {from: 22:00, to: 08:00}")
    role = _snowflake(fields, "fallback_role") if fields.entry("fallback_role") else ""
    remind_after = _read_durations(fields, "remind_after")
    if not steps:
        return None
    return Policy(
        name=name,
        steps=steps,
        repeat=repeat or 0,
        repeat_every=timedelta(seconds=_REPEAT_EVERY if repeat_every is None else repeat_every),
        fallback_role=role,
        acknowledge_timeout=None if timeout is None else timedelta(seconds=timeout),
        quiet=restriction,
        remind_after=remind_after,
    )


def _read_durations(fields: Fields, name: str) -> tuple[timedelta, ...]:
    listing = fields.listing(name)
    found: list[timedelta] = []
    for item in () if listing is None else listing.items:
        try:
            seconds = read_duration(item.text) if isinstance(item, Scalar) else 0.0
        except (ValueError, OverflowError):
            seconds = 0.0
        if 60.0 <= seconds <= _LONGEST_WAIT:
            found.append(timedelta(seconds=seconds))
        else:
            hint = "write times of a minute or more, such as [30m, 1h]"
            fields.problems.add(item, f"{describe(item)} is no such duration", key=fields.key(name), hint=hint)
    if found != sorted(set(found)):
        fields.fault(name, "these times do not increase", "write the shortest first, each once")
    return tuple(sorted(set(found)))


def _read_steps(fields: Fields, known: _Known) -> tuple[Step, ...]:
    hint = "write under steps: - {notify: [schedule: backend]}"
    if fields.entry("steps") is None:
        fields.fault("steps", "a policy without steps pages nobody", hint)
        return ()
    listing = fields.listing("steps")
    if listing is None:
        return ()
    if not listing.items:
        fields.fault("steps", "a policy without steps pages nobody", hint)
    steps = []
    for number, item in enumerate(listing.items):
        path = f"{fields.key('steps')}[{number}]"
        if not isinstance(item, Section):
            fields.problems.add(item, f"a step expected, not {describe(item)}", key=path, hint=hint)
            continue
        inner = Fields(item, fields.problems, known=("wait", "notify", "everyone_acknowledges"), path=path)
        wait = inner.duration("wait", high=_LONGEST_WAIT)
        if number and inner.entry("wait") is None:
            inner.fault(
                "wait", "this step has no wait since the one before", "write wait: 10m, or wait: 0 to page at once"
            )
        targets = _read_targets(inner, known)
        if targets:
            everyone = bool(inner.boolean("everyone_acknowledges"))
            steps.append(Step(notify=targets, wait=timedelta(seconds=wait or 0.0), everyone_acknowledges=everyone))
    return tuple(steps)


def _read_targets(fields: Fields, known: _Known) -> tuple[Target, ...]:
    if fields.entry("notify") is None:
        fields.fault("notify", "a step that notifies nobody", _TARGETS_HINT)
        return ()
    listing = fields.value("notify")
    if not isinstance(listing, Listing) or not listing.items:
        fields.fault(
            "notify", f"a list of whom to notify expected, not {describe(listing or fields.section)}", _TARGETS_HINT
        )
        return ()
    return tuple(target for item in listing.items if (target := _read_target(item, fields, known)) is not None)


def _read_target(item: Value, fields: Fields, known: _Known) -> Target | None:
    key, problems = fields.key("notify"), fields.problems
    if not isinstance(item, Section) or len(item.entries) != 1:
        problems.add(item, f"one target expected, not {describe(item)}", key=key, hint=_TARGETS_HINT)
        return None
    word, entry = next(iter(item.entries.items()))
    kinds = {kind.value: kind for kind in TargetKind}
    if word not in kinds:
        hint = did_you_mean(word, kinds) or f"write one of {', '.join(kinds)}"
        problems.add(entry.key, f"{word!r} is nothing that can be notified", key=key, hint=hint)
        return None
    kind = kinds[word]
    inner = Fields(item, problems, known=(word,), path=key)
    name = _snowflake(inner, word) if kind is TargetKind.ROLE else (inner.text(word, what="a name") or "").strip()
    if not name:
        return None
    names = known.names[kind]
    if names is not None and name not in names:
        what = "schedule" if kind in (TargetKind.NEXT, TargetKind.EVERYONE) else word
        inner.fault(word, f"there is no {what} {name!r}", unknown_hint(name, names, what))
        return None
    return Target(kind=kind, name=name)
