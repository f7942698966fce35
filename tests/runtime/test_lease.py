"""One of several processes evaluates; what a former one still writes is refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelmon.errors import LostLeaseError, StateError
from otelmon.faults import Faults
from otelmon.runtime.lease import Lease
from otelmon.storage.lease import Moment
from otelmon.storage.sqlite import SqliteStorage
from otelmon.testing import FakeClock

AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
INTERVAL = 15.0
SECONDS = 1.5 * INTERVAL


class Process:
    """One process of those that share a file."""

    def __init__(self, path: Path, name: str, clock: FakeClock, *, boot: str = "boot") -> None:
        self.storage = SqliteStorage(path)
        self.lease = Lease(
            self.storage, holder=name, interval_seconds=INTERVAL, clock=clock, faults=Faults(), boot=boot
        )

    def writes(self) -> bool:
        """Whether what it decides is accepted."""
        try:
            self.storage.save(AT, alerts={})
        except LostLeaseError:
            return False
        return True


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def pair(tmp_path: Path, clock: FakeClock) -> Iterator[tuple[Process, Process]]:
    processes = Process(tmp_path / "state.db", "a", clock), Process(tmp_path / "state.db", "b", clock)
    yield processes
    for process in processes:
        process.storage.close()


def test_one_process_holds_the_lease_and_renews_it_for_as_long_as_it_lives(
    pair: tuple[Process, Process], clock: FakeClock
) -> None:
    a, b = pair
    assert a.lease.take()
    for _ in range(20):
        clock.advance(INTERVAL)
        assert not b.lease.take()
        assert a.lease.renew()
    assert a.writes()
    assert not b.writes()


def test_a_holder_that_is_stopped_is_followed_within_two_intervals_and_writes_and_sends_nothing_when_it_wakes_up(
    pair: tuple[Process, Process], clock: FakeClock
) -> None:
    a, b = pair
    assert a.lease.take()
    passed = 0.0
    while not b.lease.take():
        clock.advance(b.lease.ask_seconds)
        passed += b.lease.ask_seconds
    assert passed < 2 * INTERVAL
    assert not a.writes()
    assert not a.lease.renew()
    with pytest.raises(LostLeaseError):
        a.storage.claim(AT, lease_seconds=60, limit=1)
    assert b.writes()
    assert b.lease.renew()


def test_a_clean_stop_lets_another_process_take_over_at_once(pair: tuple[Process, Process]) -> None:
    a, b = pair
    assert a.lease.take()
    a.lease.release()
    assert b.lease.take()
    assert not a.writes()


def test_a_holder_that_wakes_up_before_anybody_took_over_goes_on(
    pair: tuple[Process, Process], clock: FakeClock
) -> None:
    a, b = pair
    assert a.lease.take()
    clock.advance(10 * INTERVAL)
    assert a.lease.renew()
    assert not b.lease.take()
    assert a.writes()


def test_a_clock_that_somebody_sets_neither_ends_a_lease_nor_lengthens_it(
    pair: tuple[Process, Process], clock: FakeClock
) -> None:
    a, b = pair
    assert a.lease.take()
    clock.jump(86400)
    assert not b.lease.take()
    clock.jump(-2 * 86400)
    assert not b.lease.take()
    clock.advance(SECONDS)
    assert b.lease.take()


def test_a_lease_from_before_the_machine_started_again_ends_by_the_wall_clock(tmp_path: Path, clock: FakeClock) -> None:
    before = Process(tmp_path / "state.db", "a", clock, boot="before")
    after = Process(tmp_path / "state.db", "b", clock, boot="after")
    assert before.lease.take()
    assert not after.lease.take()
    clock.advance(SECONDS)
    assert after.lease.take()
    before.storage.close()
    after.storage.close()


def test_a_lease_that_would_end_later_than_any_can_is_of_another_clock(tmp_path: Path) -> None:
    """A machine that names no run of itself was started again, and its clock began anew."""
    storage = SqliteStorage(tmp_path / "state.db")
    assert storage.take_lease("a", Moment(boot="", monotonic=9e5, wall=1e9), 20)
    assert storage.take_lease("b", Moment(boot="", monotonic=10.0, wall=1e9 + 60), 20)
    storage.close()


def test_where_the_state_cannot_be_written_the_holder_stays_one_and_a_follower_stays_one(
    pair: tuple[Process, Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = pair
    assert a.lease.take()

    def full(*_: object) -> bool:
        raise StateError("the disk is full")

    for process in pair:
        monkeypatch.setattr(process.storage, "take_lease", full)
        monkeypatch.setattr(process.storage, "renew_lease", full)
    assert a.lease.renew()
    assert not b.lease.take()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("advance"), st.sampled_from([0.2, 1.0, INTERVAL / 4, INTERVAL, 2 * INTERVAL])),
        st.tuples(st.just("jump"), st.sampled_from([-3600.0, 3600.0])),
        st.tuples(st.sampled_from(["run", "take", "renew", "release", "write"]), st.integers(0, 2)),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_never_do_two_processes_write_in_turns_without_a_take_over_between_them(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, float]]
) -> None:
    """Each step is one of a process that may have slept for any time before: stopped, continued, expired, released."""
    clock = FakeClock()
    path = tmp_path_factory.mktemp("lease") / "state.db"
    processes = [Process(path, name, clock) for name in "abc"]
    current: Process | None = None
    for step, argument in steps:
        if step == "advance":
            clock.advance(argument)
        elif step == "jump":
            clock.jump(argument)
        else:
            process = processes[int(argument)]
            if step == "take" and process.lease.take():
                current = process  # whoever took it last, and nobody else, may write from here
            elif step == "renew":
                assert process.lease.renew() <= (process is current)
            elif step == "release":
                process.lease.release()
                current = None if process is current else current
            elif step == "write":
                assert process.writes() <= (process is current) or process.storage._token is None
    for process in processes:
        assert process.lease.renew() <= (process is current)
        process.storage.close()
