"""Runs goalert's on-call cases: ``python -m tests.conformance.oncall FILE...``.

Prints each failing case with what was expected and what came out, then ``N of M cases pass``; exits 0 only if all do.
What kind a case is shows in its input, so that cases of one kind may stand in any file.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from otelmon.oncall.escalation import Escalation, acknowledge, begin
from otelmon.oncall.escalation import step as escalate
from otelmon.oncall.heartbeat import Heartbeat, missed
from otelmon.oncall.history import Recorded, shifts_with_history
from otelmon.oncall.layer import Layer
from otelmon.oncall.notices import NoticeStep, Subscription, next_notice_at
from otelmon.oncall.notices import step as tell
from otelmon.oncall.overrides import Override, apply
from otelmon.oncall.people import Person, Team
from otelmon.oncall.policy import Policy, Step, Target, TargetKind
from otelmon.oncall.restriction import Restriction, parse_days
from otelmon.oncall.rotation import Rotation
from otelmon.oncall.schedule import Schedule
from otelmon.oncall.temporary import FixedShift, TemporarySchedule, clear, merge
from otelmon.rules.model import Severity

Case = dict[str, Any]
EPOCH = datetime(2026, 1, 5, 12, tzinfo=UTC)
ALWAYS = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def instant(text: str) -> datetime:
    """An instant in UTC; what is finer than a microsecond is cut off."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text)).astimezone(UTC)


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


# --- handoffs -------------------------------------------------------------------------------------------------------


def handoffs(case: Case) -> tuple[Any, Any]:
    given = case["input"]
    zone = ZoneInfo(given["time_zone"])

    def local(name: str) -> datetime:
        return datetime.fromisoformat(given[name]).replace(tzinfo=zone)

    rotation = Rotation(["a", "b"], given["type"], given["shift_length"], local("rotation_start_local"))
    after = local("window_to_local").astimezone(UTC) + timedelta.resolution
    shifts = rotation.shifts(local("window_from_local"), after)
    return [instant(text) for text in case["expected"]["handoffs"]], [shifts[0].start, *(one.end for one in shifts)]


# --- final schedules ------------------------------------------------------------------------------------------------


def layer(rule: Case, zone: ZoneInfo) -> Layer:
    only = Restriction(rule["days"], time.fromisoformat(rule["start"]), time.fromisoformat(rule["end"]), zone)
    target = rule.get("target_rotation")
    if target is None:
        rotation = Rotation([rule["target_user"]], "daily", 1, EPOCH)
    else:
        start = instant(target["start"]).astimezone(ZoneInfo(target.get("time_zone", zone.key)))
        rotation = Rotation(target["users"], target["type"], target["shift_length"], start)
        if "current_index" in target:
            rotation = rotation.keeping(
                target["users"][target["current_index"]], instant(target["current_shift_start"])
            )
    return Layer(rotation=rotation, only=(only,), level=1)


def temporary(plan: Case) -> TemporarySchedule:
    shifts = tuple(
        FixedShift(person=one["user"], start=instant(one["start"]), end=instant(one["end"])) for one in plan["shifts"]
    )
    return TemporarySchedule(start=instant(plan["start"]), end=instant(plan["end"]), shifts=shifts)


def final_shifts(case: Case) -> tuple[Any, Any]:
    given = case["input"]
    zone = ZoneInfo(given["time_zone"])
    schedule = Schedule(
        time_zone=zone,
        layers=[layer(rule, zone) for rule in given.get("rules", ())],
        overrides=[
            Override(
                start=instant(one["start"]), end=instant(one["end"]), person=one.get("add") or "",
                replaces=one.get("remove") or "",
            )
            for one in given.get("overrides", ())
        ],
        temporary=[temporary(plan) for plan in given.get("temporary_schedules", ())],
    )  # fmt: skip
    start, end = instant(given["window_from"]), instant(given["window_to"])
    if "now" in given:
        history = [
            Recorded(
                person=one["user"], start=instant(one["start"]), end=instant(one["end"]) if one.get("end") else None
            )
            for one in given.get("history", ())
        ]
        found = shifts_with_history(schedule, history, start, end, at=instant(given["now"]))
    else:
        found = schedule.shifts(start, end)
    expected = [
        (one["user"], instant(one["start"]), instant(one["end"]), one["truncated"])
        for one in case["expected"]["shifts"]
    ]
    return sorted(expected, key=str), sorted(((s.person, s.start, s.end, s.truncated) for s in found), key=str)


def overridden(case: Case) -> tuple[Any, Any]:
    given = case["input"]
    overrides = [
        Override(start=ALWAYS[0], end=ALWAYS[1], person=one.get("add") or "", replaces=one.get("remove") or "")
        for one in given["active_overrides"]
    ]
    return sorted(case["expected"]["on_call"]), list(apply(given["scheduled"], overrides))


def temporary_operation(case: Case) -> tuple[Any, Any]:
    given = case["input"]
    plans = [temporary(plan) for plan in given.get("temporary_schedules", [])]
    if "temporary_schedule" in given:
        plans.append(temporary(given["temporary_schedule"]))
    match given["op"]:
        case "trim_start":
            found = [one.trim_start(instant(given["at"])) for one in plans]
        case "trim_end":
            found = [one.trim_end(instant(given["at"])) for one in plans]
        case "merge":
            found = list(merge(plans))
        case "clear":
            found = list(clear(plans, instant(given["start"]), instant(given["end"])))
        case other:
            raise ValueError(f"unknown operation {other}")
    expected = [plain(temporary(plan)) for plan in case["expected"]["temporary_schedules"]]
    return expected, [plain(one) for one in found if one is not None]


def plain(plan: TemporarySchedule) -> Any:
    return plan.start, plan.end, sorted((one.person, one.start, one.end) for one in plan.shifts)


# --- scenarios: escalation ------------------------------------------------------------------------------------------


def policy_of(given: Case) -> Policy:
    """goalert's delay is the time after a step; ours is the wait before it."""
    steps = given["steps"]
    if isinstance(steps, int):
        steps = [{"notify": [f"user{number}"]} for number in range(steps)]
    steps = sorted(steps, key=lambda one: one.get("stored_step_number", 0))
    delays = [minutes(one.get("delay_min", 30)) for one in steps]
    return Policy(
        name="policy",
        steps=tuple(
            Step(
                notify=tuple(Target(kind=TargetKind.PERSON, name=name) for name in one["notify"]),
                wait=delays[number - 1] if number else timedelta(0),
                everyone_acknowledges=one.get("multi_ack", False),
            )
            for number, one in enumerate(steps)
        ),
        repeat=given.get("repeat", 0),
        repeat_every=delays[-1],
        remind_after=tuple(minutes(one) for one in given.get("user_rules_min", ()) if one),
    )


class Incident:
    """One incident's escalation, minute by minute."""

    def __init__(self, given: Case) -> None:
        self.policy = policy_of(given)
        names = {target.name for one in self.policy.steps for target in one.notify}
        self.team = Team(people={name: Person(name=name, discord="1" * 18) for name in names})
        self.timeline = given.get("timeline", [])
        self.paged: list[tuple[int, str]] = []
        self.steps: list[int] = []
        self.escalation = begin(self.policy, EPOCH)

    def run(self, until: int) -> Escalation:
        for minute in range(until + 1):
            at = EPOCH + minutes(minute)
            done = escalate(self.escalation, self.policy, self.team, severity=Severity.CRITICAL, at=at)
            self.escalation = done.escalation
            self.steps += [one.step for one in done.decisions if one.people and one.step >= 0]
            self.paged += [(minute, person) for one in done.decisions for person in one.people]
            for event in self.timeline:
                if event.get("at_min", 0) == minute and "ack_by" in event:
                    self.escalation = acknowledge(self.escalation, event["ack_by"], at)
        return self.escalation


def escalation(case: Case) -> tuple[Any, Any]:
    incident = Incident(case["input"])
    if isinstance(case["expected"], dict) and "acknowledgements_logged" in case["expected"]:
        return case["expected"]["acknowledgements_logged"], len(incident.run(60).acknowledged_by)
    if isinstance(case["expected"], dict):
        incident.run(60 * 24)
        return case["expected"]["step_sequence"], incident.steps
    expected = [(int(one["at"].split()[0]), one) for one in case["expected"]]
    last = max(minute for minute, _ in expected)
    incident.run(last)
    wanted, found = [], []
    before = -1
    for minute, one in expected:
        wanted.append(sorted(one["notified"]))
        found.append(sorted({person for at, person in incident.paged if before < at <= minute}))
        before = minute
    return wanted, found


# --- scenarios: rotations, heartbeats, notices ----------------------------------------------------------------------


def moment(text: str, now: datetime = EPOCH) -> datetime:
    """``now``, ``now-3h50m``, ``+1h``, ``0``."""
    rest = text.removeprefix("now")
    sign = -1 if rest.startswith("-") else 1
    unit = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    seconds = sum(int(number) * unit[letter] for number, letter in re.findall(r"(\d+)\s*([dhms])", rest))
    return now + sign * timedelta(seconds=seconds)


def rotation_now(case: Case) -> tuple[Any, Any]:
    given = case["input"]["rotation"]
    positions = given.get("user_positions")
    users = sorted(positions, key=positions.__getitem__) if positions else given["users"]
    start = moment(given.get("start", "now"))
    rotation = Rotation(users, given["type"], given.get("shift_length", 1), start)
    if "active_index" in given:
        rotation = rotation.keeping(users[given["active_index"]], EPOCH)
    action = case["input"].get("action")
    if action is not None:
        rotation = rotation.without(action.split()[1], EPOCH)
    if isinstance(case["expected"], dict):
        on_call = rotation.participant_at(EPOCH)
        left = [one.person for one in rotation.members if one.takes_turns(EPOCH)]
        found = {"active_index": left.index(on_call), "active_user": on_call}
        return case["expected"], {name: found[name] for name in case["expected"]}
    return (
        [one["on_call"] for one in case["expected"]],
        [rotation.participant_at(moment(one["at"])) for one in case["expected"]],
    )


def heartbeat(case: Case) -> tuple[Any, Any]:
    monitors = [
        Heartbeat(name=one["id"], interval=minutes(one["interval_min"]), muted=one.get("muted", False))
        for one in case["input"]["monitors"]
    ]
    last: dict[str, datetime] = {}
    found = []
    for event in case["input"]["timeline"]:
        at = EPOCH + minutes(event["at_min"])
        last.update(dict.fromkeys(event.get("beat", ()), at))
        if event.get("check"):
            found.append((event["at_min"], ", ".join(missed(monitors, last, at=at)) or None))
    return [(one["at_min"], one["alert"]) for one in case["expected"]], found


def change_notices(case: Case) -> tuple[Any, Any]:
    given = case["input"]
    subscriptions = tuple(Subscription(channel=channel) for channel in given["channels"])
    rules = [(EPOCH, given["schedule_rule"])]
    rules += [(moment(event["at"]), event["add_rule"]) for event in given["timeline"]]
    layers = [
        Layer(rotation=Rotation([rule.split()[0]], "daily", 1, EPOCH), starts_at=start, level=1)
        for start, rule in rules
    ]
    schedule = Schedule(layers=layers)
    told: dict[str, list[tuple[datetime, str]]] = {one.channel: [] for one in subscriptions}
    before: tuple[str, ...] | None = None
    for minute in range(24 * 60):
        at = EPOCH + minutes(minute)
        now = schedule.on_call(at)
        done = tell(subscriptions, before, now, at=at, zone=ZoneInfo("UTC"))
        subscriptions, before = done.subscriptions, now
        for channel in done.channels:
            told[channel].append((at, ", ".join(now)))
    expected = [(moment(one["at"]), one["each_channel"]) for one in case["expected"]]
    return dict.fromkeys(told, expected), told


# --- notification times ---------------------------------------------------------------------------------------------


def notification_time(case: Case) -> tuple[Any, Any]:
    given = case["input"]
    time_of_day = time.fromisoformat(given["time_of_day"]) if given["time_of_day"] else None
    days = None if given["days"] is None else parse_days(given["days"])
    found = next_notice_at(instant(given["now"]), time_of_day, ZoneInfo(given["time_zone"]), days)
    expected = case["expected"]["next"]
    return expected and instant(expected), found


def subscription(channel: Case) -> Subscription:
    next_at = instant(channel["next"]) if channel.get("next") else None
    if channel["when"] == "on_change":
        return Subscription(channel=channel["id"], next_at=next_at)
    at, _, days = channel["when"].partition(" ")
    return Subscription(
        channel=channel["id"], time_of_day=time.fromisoformat(at), days=parse_days(days or "every day"), next_at=next_at
    )


def notices(case: Case) -> tuple[Any, Any]:
    given = case["input"]
    zone = ZoneInfo(given.get("time_zone", "UTC"))
    done: NoticeStep = tell(
        [subscription(channel) for channel in given["channels"]],
        given.get("previous_on_call", []),
        given.get("now_on_call", []),
        at=instant(given["now"]) if "now" in given else EPOCH,
        zone=zone,
    )
    found: Case = {"notify": list(done.channels)}
    expected = dict(case["expected"])
    if "next" in expected:
        found["next"] = {one.channel: one.next_at for one in done.subscriptions}
        expected["next"] = {name: at and instant(at) for name, at in expected["next"].items()}
    return expected, found


# --- running --------------------------------------------------------------------------------------------------------

KINDS = {
    "rotation_start_local": handoffs,
    "window_from": final_shifts,
    "active_overrides": overridden,
    "op": temporary_operation,
    "steps": escalation,
    "rotation": rotation_now,
    "monitors": heartbeat,
    "schedule_rule": change_notices,
    "time_of_day": notification_time,
    "channels": notices,
}


def run_case(case: Case) -> str:
    """Why a case fails; empty where it passes."""
    kind = next((kind for key, kind in KINDS.items() if key in case["input"]), None)
    if kind is None:
        return f"no such kind of case: {', '.join(case['input'])}"
    try:
        expected, found = kind(case)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return "" if expected == found else f"expected {expected}\n    found    {found}"


def run(path: Path) -> Iterator[tuple[str, str]]:
    """The cases of a file, each with why it fails; a file of another kind has none."""
    document = json.loads(path.read_text("utf-8"))
    if not isinstance(document, dict) or "cases" not in document:
        print(f"{path}: left out, it has no cases of schedules, rotations, escalation or notification times")
        return
    for case in document["cases"]:
        yield case["id"], run_case(case)


def main(arguments: list[str]) -> int:
    if not arguments:
        print("usage: python -m tests.conformance.oncall FILE...")
        return 2
    passed = number = 0
    for name in arguments:
        for id_, wrong in run(Path(name)):
            number += 1
            passed += not wrong
            if wrong:
                print(f"{name}: {id_}: {wrong}")
    print(f"{passed} of {number} cases pass")
    return 0 if passed == number > 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
