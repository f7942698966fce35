"""The queue on disk: what went in comes out, in order, whatever becomes of the process, the file and the disk."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otelmon.server.forward.disk_queue import DiskQueue

ROOMY = 2**20
ALL = 2**30


def opened(path: Path, size: int = ROOMY) -> DiskQueue:
    return DiskQueue(path / "queue", size_bytes=size)


def everything(queue: DiskQueue) -> list[bytes]:
    found = []
    while batch := queue.take(100, 3):
        found += batch
        queue.done()
    return found


def segments(path: Path) -> list[Path]:
    return sorted((path / "queue").glob("*.segment"))


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """What the kernel then says to a write beyond that is what it says on a full disk, but for the error's number."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_records_come_out_in_the_order_in_which_they_went_in(tmp_path: Path) -> None:
    queue = opened(tmp_path)
    for number in range(50):
        queue.append(b"%d" % number)
    assert queue.waiting == 50
    assert everything(queue) == [b"%d" % number for number in range(50)]
    assert (queue.waiting, queue.take(ALL, 1)) == (0, [])
    queue.close()


def test_a_batch_is_bounded_but_has_one_record_at_least(tmp_path: Path) -> None:
    queue = opened(tmp_path)
    for body in (b"a" * 60, b"b" * 60, b"c" * 500, b"d", b"e"):
        queue.append(body)
    sizes = []
    while batch := queue.take(100, 2):
        sizes.append([len(body) for body in batch])
        queue.done()
    assert sizes == [[60], [60], [500], [1, 1]]
    queue.close()


def test_what_was_taken_and_not_done_comes_again_and_after_a_restart_too(tmp_path: Path) -> None:
    queue = opened(tmp_path)
    for body in (b"a", b"b", b"c"):
        queue.append(body)
    whole = queue.size_bytes
    queue.take(ALL, 1)
    assert queue.owed_bytes == whole
    queue.done()
    assert queue.take(ALL, 2) == [b"b", b"c"]
    queue.back()
    assert queue.waiting == 2
    assert queue.owed_bytes == whole * 2 / 3
    assert queue.take(ALL, 1) == [b"b"]
    queue.close()
    queue = opened(tmp_path)
    assert queue.waiting == 2
    assert queue.owed_bytes == whole * 2 / 3
    assert everything(queue) == [b"b", b"c"]
    assert (queue.owed_bytes, queue.size_bytes) == (0, whole)
    queue.close()


def test_files_go_when_all_in_them_is_done_with(tmp_path: Path) -> None:
    queue = opened(tmp_path)
    for _ in range(8):
        queue.append(b"x" * 40_000)
    assert len(segments(tmp_path)) == 8
    everything(queue)
    assert len(segments(tmp_path)) == 1
    queue.append(b"y" * 40_000)
    assert everything(queue) == [b"y" * 40_000]
    assert len(segments(tmp_path)) == 1
    queue.close()


def test_the_oldest_goes_when_the_room_is_full_and_is_counted(tmp_path: Path) -> None:
    queue = opened(tmp_path)
    for number in range(100):
        queue.append(number.to_bytes(4) + b"x" * 30_000)
    assert sum(path.stat().st_size for path in segments(tmp_path)) == queue.size_bytes <= ROOMY
    left = [int.from_bytes(body[:4]) for body in everything(queue)]
    assert left == list(range(100 - len(left), 100))
    assert queue.dropped == 100 - len(left) > 60
    queue.append(b"x" * ROOMY)
    assert queue.dropped == 101 - len(left)
    assert queue.take(ALL, 1) == []
    queue.close()


def test_what_was_taken_before_its_file_had_to_go_is_not_counted_as_lost(tmp_path: Path) -> None:
    queue = opened(tmp_path)
    queue.append(b"a" * 60_000)
    queue.append(b"b" * 60_000)
    assert len(queue.take(ALL, 1)) == 1
    for _ in range(17):
        queue.append(b"c" * 60_000)
    queue.done()
    left = everything(queue)
    assert 1 + queue.dropped + len(left) == 19
    queue.close()


def test_what_comes_back_after_its_file_had_to_go_is_lost_and_counted(tmp_path: Path) -> None:
    queue = opened(tmp_path)
    for _ in range(2):
        queue.append(b"a" * 60_000)
    assert len(queue.take(ALL, 2)) == 2
    for _ in range(20):
        queue.append(b"c" * 60_000)
    queue.back()
    assert queue.dropped + len(everything(queue)) == 22
    queue.close()


@pytest.mark.parametrize("cut", [1, 5, 9])
def test_a_record_that_was_being_written_is_skipped_and_what_was_before_and_comes_after_it_is_not(
    cut: int, tmp_path: Path
) -> None:
    queue = opened(tmp_path)
    for body in (b"first", b"second"):
        queue.append(body)
    queue.close()
    (path,) = segments(tmp_path)
    os.truncate(path, path.stat().st_size - cut)
    queue = opened(tmp_path)
    assert queue.damaged == 1
    queue.append(b"third")
    assert everything(queue) == [b"first", b"third"]
    queue.close()


def test_a_bit_that_has_fallen_over_costs_no_more_than_its_file(tmp_path: Path) -> None:
    queue = opened(tmp_path)
    for number in range(3):
        queue.append(b"%d" % number + b"x" * 40_000)
    queue.close()
    middle = bytearray(segments(tmp_path)[1].read_bytes())
    middle[20_000] ^= 1
    segments(tmp_path)[1].write_bytes(middle)
    queue = opened(tmp_path)
    assert (queue.damaged, queue.waiting) == (1, 2)
    assert [body[:1] for body in everything(queue)] == [b"0", b"2"]
    queue.close()


def test_a_position_that_cannot_be_read_has_all_come_again_rather_than_none(tmp_path: Path) -> None:
    queue = opened(tmp_path)
    for body in (b"a", b"b"):
        queue.append(body)
    queue.take(ALL, 1)
    queue.done()
    queue.close()
    (tmp_path / "queue" / "position").write_bytes(b"\1" * 20)
    queue = opened(tmp_path)
    assert everything(queue) == [b"a", b"b"]
    queue.close()


def test_only_one_has_it_open(tmp_path: Path) -> None:
    queue = opened(tmp_path)
    with pytest.raises(BlockingIOError):
        opened(tmp_path)
    queue.close()
    opened(tmp_path).close()


def test_a_disk_that_is_full_costs_the_record_only_that_did_not_fit(tmp_path: Path) -> None:
    queue = opened(tmp_path)
    queue.append(b"a" * 300)
    with files_of_at_most(500), pytest.raises(OSError, match=r"space|large"):
        queue.append(b"b" * 300)
    queue.append(b"c" * 300)
    queue.close()
    queue = opened(tmp_path)
    assert queue.damaged == 0
    assert [body[:1] for body in everything(queue)] == [b"a", b"c"]
    queue.close()


BODY = st.tuples(st.binary(max_size=9), st.sampled_from([0, 30_000, 70_000])).map(lambda each: each[0] + b"x" * each[1])
STEP = st.one_of(
    BODY.map(lambda body: ("append", body)),
    st.sampled_from([("take", 1), ("take", 3), ("done", 0), ("back", 0), ("restart", 0), ("killed", 0)]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, max_size=25))
def test_it_is_a_list_that_forgets_nothing(
    steps: list[tuple[str, bytes | int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("queue")
    queue = opened(path, 2**24)
    waiting: list[bytes] = []
    taken: list[bytes] = []
    for name, value in steps:
        if isinstance(value, bytes):
            queue.append(value)
            waiting.append(value)
        elif name == "take":
            found = queue.take(ALL, value)
            assert found == waiting[:value]
            taken, waiting = taken + found, waiting[value:]
        elif name == "done":
            queue.done()
            taken = []
        else:
            if name == "back":
                queue.back()
            elif name == "restart":
                queue.close()
                queue = opened(path, 2**24)
            else:  # no more than the kernel does for a process that is killed
                os.close(queue._lock)
                queue = opened(path, 2**24)
            taken, waiting = [], taken + waiting
        assert queue.waiting == len(waiting)
    queue.close()
