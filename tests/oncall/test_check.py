"""What a check finds, and what it does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from otelmon.oncall.check import FindingKind, check
from otelmon.oncall.layer import Layer
from otelmon.oncall.overrides import Override
from otelmon.oncall.people import Person, Team
from otelmon.oncall.policy import Policy, Step, Target, TargetKind
from otelmon.oncall.rotation import Rotation
from otelmon.oncall.schedule import Schedule

AT = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)


def team(*overrides: Override, discord: str = "1" * 18, role: str = "1" * 18) -> Team:
    rotation = Rotation(["ana", "nobody", "bo"], "weekly", 1, AT)
    steps = (Step(notify=(Target(kind=TargetKind.PERSON, name="bo"),)),)
    return Team(
        people={"ana": Person(name="ana", discord=discord), "bo": Person(name="bo", discord="1" * 18)},
        schedules={"b": Schedule(name="b", layers=[Layer(rotation=rotation)], overrides=overrides)},
        policies={"default": Policy(name="default", steps=steps, fallback_role=role)},
    )


def test_nothing_is_found_where_all_is_well() -> None:
    swap = Override(start=AT, end=AT + DAY, person="bo", replaces="ana")
    assert check(team(swap), AT) == ()


def test_everything_that_is_wrong_is_found() -> None:
    removed = Override(start=AT + DAY, end=AT + 2 * DAY, replaces="ana")
    idle = Override(start=AT + DAY, end=AT + 2 * DAY, person="cy", replaces="ana")
    over = Override(start=AT - 2 * DAY, end=AT - DAY, person="bo", replaces="ana")
    found = [(one.kind, one.where, one.text) for one in check(team(removed, idle, over, discord="", role=""), AT)]
    assert found == [
        (FindingKind.GAP, "b", "from 2026-01-06 00:00 to 2026-01-07 00:00"),
        (FindingKind.IDLE_OVERRIDE, "b", "ana is not on call from 2026-01-06 00:00 to 2026-01-07 00:00"),
        (FindingKind.UNREACHABLE, "ana", "named in schedule b, without a Discord id"),
        (FindingKind.UNKNOWN_PERSON, "cy", "named in schedule b"),
        (FindingKind.NO_FALLBACK, "default", "write fallback_role: and a role's id"),
    ]
