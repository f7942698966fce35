"""Any split of the same requests over processes, dying and following one another, counts as one process does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelmon.collect import gathered
from otelmon.collect.collector import Collector
from otelmon.collect.merge import Merging, add_histograms, merging
from otelmon.collect.names import Kind
from otelmon.collect.translate import Point
from otelmon.errors import LostLeaseError
from otelmon.faults import Faults
from otelmon.histogram import Buckets, Histogram
from otelmon.instrument.model import Traffic
from otelmon.instrument.recorder import RequestRecorder
from otelmon.labels import Labels
from otelmon.runtime.siblings import FOLDER, Siblings
from otelmon.sample import is_stale
from otelmon.storage.lease import Moment
from otelmon.storage.sqlite import SqliteStorage
from otelmon.testing import FakeClock

ABOUT = {"job": "shop", "instance": "host"}
Values = dict[Labels, float | Histogram]


class Worker:
    """A process of the service, as far as counting goes."""

    def __init__(self, folder: Path, clock: FakeClock, *, boot: str = "boot") -> None:
        self.clock = clock
        self.faults = Faults()
        self.recorder = RequestRecorder(start_at=clock.now())
        self.siblings = Siblings(folder, about=ABOUT, boot=boot, interval_seconds=15, clock=clock, faults=self.faults)
        self.storage = SqliteStorage(folder / "state.db")
        self.collector = Collector(None, recorder=self.recorder, **ABOUT, shared=self.siblings)

    def serve(self, route: str, status: int, seconds: float) -> None:
        lane = self.recorder.lane(Traffic.REQUEST, "GET", "http")
        lane.begin()
        lane.end(route, status, "", seconds)

    def leave(self) -> None:
        self.collector.count(self.clock.now())
        self.collector.leave()

    def evaluate(self) -> Values:
        """One collection of a process that evaluates: the values of all series."""
        self.clock.advance(1)
        self.collector.gather()
        values = {sample.labels: sample.value for sample in self.collector.collect(self.clock.now())}
        self.collector.leave()
        return {
            labels: value for labels, value in values.items() if isinstance(value, Histogram) or not is_stale(value)
        }

    def take_over(self) -> None:
        assert self.storage.take_lease(self.siblings.id, self.moment(), 20)
        self.siblings.begin_term(self.storage)

    def moment(self) -> Moment:
        return Moment(boot="boot", monotonic=self.clock.monotonic(), wall=self.clock.now())

    def die(self) -> None:
        """Its lock is free, what it left stays."""
        self.siblings.close()
        self.storage.close()


def durations(values: Values) -> Values:
    return {
        labels: value if isinstance(value, Histogram) else round(value, 9)
        for labels, value in values.items()
        if labels.metric_name.startswith("http_server_request_duration")
    }


def exact(values: Values) -> Values:
    """Without the sums of seconds, whose last digits depend on the order of adding."""
    kept: Values = {}
    for labels, value in durations(values).items():
        if isinstance(value, Histogram):
            kept[labels] = Histogram(
                count=value.count, sum=0.0, scale=value.scale, zero_count=value.zero_count, positive=value.positive
            )
        elif not labels.metric_name.endswith("_sum"):
            kept[labels] = value
    return kept


requests = st.tuples(
    st.sampled_from(["/a", "/b"]), st.sampled_from([200, 500]), st.sampled_from([0.0, 0.003, 0.2, 0.21, 7.0, 40.0])
)
events = st.lists(
    st.one_of(
        st.tuples(st.just("serve"), st.integers(0, 3), requests),
        st.tuples(st.just("leave"), st.integers(0, 3), st.none()),
        st.tuples(st.just("die"), st.integers(0, 3), st.none()),
        st.tuples(st.just("evaluate"), st.none(), st.none()),
        st.tuples(st.just("take over"), st.integers(0, 3), st.none()),
    ),
    max_size=30,
)


@settings(max_examples=25, deadline=None)
@given(events)
def test_the_sum_over_any_split_is_one_processs_count_through_deaths_folds_and_take_overs(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[str, Any, Any]]
) -> None:
    folder, clock = tmp_path_factory.mktemp("state"), FakeClock()
    whole = RequestRecorder(start_at=clock.now())
    workers = [Worker(folder, clock) for _ in range(4)]
    holder = workers[0]
    holder.take_over()
    counted: Values = {}
    for event, number, request in events:
        worker = holder if number is None else workers[number]
        if event == "serve":
            worker.serve(*request)
            lane = whole.lane(Traffic.REQUEST, "GET", "http")
            lane.begin()
            lane.end(request[0], request[1], "", request[2])
        elif event == "leave" and worker is not holder:
            worker.leave()
        elif event == "evaluate":
            now = exact(holder.evaluate())
            assert all(
                after.count >= before.count if isinstance(before, Histogram) else after >= before
                for labels, before in counted.items()
                for after in [now[labels]]
            ), "a sum fell"
            counted = now
        elif (event == "die" and worker is holder) or event == "take over":
            holder.evaluate()
            holder.siblings.end_term()
            if event == "die":
                holder.die()
                workers[number] = Worker(folder, clock)
            else:
                holder.storage.release_lease()
            clock.advance(30)
            holder = workers[number]
            holder.take_over()
        elif event == "die":
            worker.leave()
            worker.die()
            workers[number] = Worker(folder, clock)
    for worker in workers:
        if worker is not holder:
            worker.leave()
    alone = Collector(None, recorder=whole, **ABOUT)
    expected = exact({sample.labels: sample.value for sample in alone.collect(clock.now() + 1)})
    assert exact(holder.evaluate()) == expected
    assert exact(holder.evaluate()) == expected
    assert not any(worker.faults.counts for worker in workers)
    for worker in workers:
        worker.die()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def pair(tmp_path: Path, clock: FakeClock) -> Iterator[tuple[Worker, Worker]]:
    holder, other = Worker(tmp_path, clock), Worker(tmp_path, clock)
    holder.take_over()
    yield holder, other
    holder.die()
    other.die()


def count(values: Values) -> float:
    return sum(
        value
        for labels, value in values.items()
        if labels.metric_name == "http_server_request_duration_seconds_count" and isinstance(value, float)
    )


def test_a_former_holder_that_wakes_up_folds_nothing(tmp_path: Path, clock: FakeClock) -> None:
    """It was stopped between reading that a process had ended and folding it; another has folded that one since."""
    first, second, ended = (Worker(tmp_path, clock) for _ in range(3))
    first.take_over()
    ended.serve("/a", 200, 0.1)
    ended.leave()
    first.evaluate()
    ended.die()
    first.collector.gather()  # it knows of the end, and stops here
    clock.advance(60)
    second.take_over()
    assert count(second.evaluate()) == 1
    with pytest.raises(LostLeaseError):
        first.collector.leave()
    assert count(second.evaluate()) == 1
    assert not list((tmp_path / FOLDER).glob(f"{ended.siblings.id}*"))
    first.die()
    second.die()


def test_a_kill_between_folding_and_deleting_counts_nothing_twice(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, ended = Worker(tmp_path, clock), Worker(tmp_path, clock)
    first.take_over()
    ended.serve("/a", 500, 0.1)
    ended.leave()
    ended.die()
    monkeypatch.setattr(first.siblings, "_delete", lambda _: None)
    assert count(first.evaluate()) == 1
    first.die()
    second = Worker(tmp_path, clock)
    clock.advance(60)
    second.take_over()
    assert count(second.evaluate()) == 1
    assert count(second.evaluate()) == 1
    second.die()


def test_a_file_that_cannot_be_read_counts_as_it_was_before(pair: tuple[Worker, Worker], tmp_path: Path) -> None:
    holder, other = pair
    other.serve("/a", 200, 0.1)
    other.leave()
    assert count(holder.evaluate()) == 1
    path = tmp_path / FOLDER / f"{other.siblings.id}.points"
    path.write_text("half of", encoding="ascii")
    assert count(holder.evaluate()) == 1
    assert holder.faults.counts["siblings"] >= 1
    other.leave()
    assert count(holder.evaluate()) == 1


def test_a_stopped_processs_counts_stay_and_its_requests_in_flight_do_not(
    pair: tuple[Worker, Worker], clock: FakeClock
) -> None:
    holder, other = pair
    other.serve("/a", 200, 0.1)
    other.recorder.lane(Traffic.REQUEST, "GET", "http").begin()
    other.leave()
    in_flight = Labels({**ABOUT, "__name__": "http_server_active_requests", "http_request_method": "GET",
                        "url_scheme": "http"})  # fmt: skip
    other_at = (Path(holder.siblings._folder) / f"{other.siblings.id}.points").stat().st_mtime
    clock.jump(other_at - clock.now())
    assert holder.evaluate()[in_flight] == 1
    clock.advance(60)
    found = holder.evaluate()
    assert in_flight not in found
    assert count(found) == 1


def test_counts_of_another_run_of_the_machine_are_let_go(tmp_path: Path, clock: FakeClock) -> None:
    before = Worker(tmp_path, clock, boot="before")
    before.serve("/a", 200, 0.1)
    before.leave()
    before.die()
    after = Worker(tmp_path, clock)
    after.take_over()
    after.evaluate()
    assert count(after.evaluate()) == 0
    assert len(list((tmp_path / FOLDER).iterdir())) == 2  # its own
    after.die()


def test_the_totals_forget_in_time_what_no_living_process_has(tmp_path: Path, clock: FakeClock) -> None:
    holder = Worker(tmp_path, clock)
    holder.take_over()
    for number, hours in ((0, 0.0), (1, 2.0), (2, 0.1)):
        clock.advance(hours * 3600)
        ended = Worker(tmp_path, clock)
        ended.serve(f"/{number}", 200, 0.1)
        ended.leave()
        ended.die()
        holder.evaluate()
    routes = {labels.get("http_route") for labels in holder.evaluate()} - {None}
    assert routes == {"/1", "/2"}
    holder.die()


def test_whether_a_process_has_ended_is_told_by_the_system(tmp_path: Path, clock: FakeClock) -> None:
    """A real process, killed: what it left is folded, and not while it lives."""
    code = (
        "import sys; from pathlib import Path; from tests.runtime.test_siblings import Worker, FakeClock\n"
        "worker = Worker(Path(sys.argv[1]), FakeClock()); worker.serve('/a', 200, 0.1); worker.leave()\n"
        "print(worker.siblings.id, flush=True); sys.stdin.read()"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            name = process.stdout.readline().strip()
            holder = Worker(tmp_path, clock)
            holder.take_over()
            assert count(holder.evaluate()) == 1
            assert (tmp_path / FOLDER / f"{name}.points").exists()
        finally:
            process.kill()
            process.wait(20)
    assert count(holder.evaluate()) == 1
    assert not (tmp_path / FOLDER / f"{name}.points").exists()
    assert count(holder.evaluate()) == 1
    holder.die()


def test_a_forked_child_does_not_take_its_parents_file_for_its_own(tmp_path: Path, clock: FakeClock) -> None:
    parent = Worker(tmp_path, clock)
    parent.serve("/a", 200, 0.1)
    parent.leave()
    from otelmon.runtime import siblings

    siblings._mine[parent.siblings.id] = os.getpid() + 1  # as a child sees it
    child = Worker(tmp_path, clock)
    child.take_over()
    assert count(child.evaluate()) == 1
    child.die()
    parent.die()


@pytest.mark.parametrize(
    ("kind", "name", "counts", "expected"),
    [
        (Kind.HISTOGRAM, "http_server_request_duration_seconds_count", True, Merging.SUM),
        (Kind.COUNTER, "orders_total", True, Merging.SUM),
        (Kind.COUNTER, "gc_runs_total", False, Merging.SUM),
        (Kind.COUNTER, "otelmon_cpu_time_seconds_total", False, Merging.OWN),
        (Kind.UP_DOWN, "http_server_active_requests", False, Merging.SUM),
        (Kind.UP_DOWN, "process_memory_usage_bytes", False, Merging.SUM),
        (Kind.UP_DOWN, "otelmon_memory_usage_bytes", False, Merging.OWN),
        (Kind.UP_DOWN, "db_client_connection_max", False, Merging.SUM),
        (Kind.GAUGE, "db_client_connection_count", False, Merging.SUM),
        (Kind.GAUGE, "system_filesystem_utilization_ratio", False, Merging.OWN),
        (Kind.GAUGE, "otelmon_event_loop_lag_seconds", False, Merging.LARGEST),
        (Kind.GAUGE, "target_info", False, Merging.OWN),
    ],
)
def test_each_kind_of_metric_is_merged_as_the_table_says(
    kind: Kind, name: str, counts: bool, expected: Merging
) -> None:
    assert merging(kind, name, counts_from_start=counts) is expected


def test_histograms_of_different_scales_meet_at_the_coarser_one() -> None:
    fine = Histogram(count=3, sum=6.0, scale=1, positive=Buckets(indices=(1, 2, 3), counts=(1.0, 1.0, 1.0)))
    coarse = Histogram(count=2, sum=3.0, scale=0, zero_count=1.0, positive=Buckets(indices=(1,), counts=(1.0,)))
    # At scale 0 the bucket 1 holds (1, 2], which are 1 and 2 at scale 1.
    assert add_histograms(fine, coarse) == Histogram(
        count=5, sum=9.0, scale=0, zero_count=1.0, positive=Buckets(indices=(1, 2), counts=(3.0, 1.0))
    )


def test_a_point_is_read_as_it_was_written() -> None:
    labels = [Labels({"__name__": name, "a": "tab\t, line\n, \ud800 and ü", **more}) for name, more in (
        ("x_count", {}), ("x", {}), ("x_bucket", {"le": "+Inf"}))]  # fmt: skip
    histogram = Histogram(count=1.0, sum=0.5, scale=5, positive=Buckets(indices=(-30,), counts=(1.0,)))
    point = Point(series=tuple(labels), values=[1.0, histogram, 0.1 + 0.2], start=1e9 / 3, kind=Kind.HISTOGRAM)
    line = gathered.Writer().line(point)
    assert "\n" not in line
    assert line.isascii()
    assert list(gathered.Parser().points([line])) == [point]
