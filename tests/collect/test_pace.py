from __future__ import annotations

import sys
import threading
import time

from otelmon.collect.pace import Pace


def test_short_work_is_not_interrupted_and_long_work_is() -> None:
    short, long = Pace(), Pace()
    begun = time.thread_time(), time.perf_counter()
    assert list(short.each(range(100))) == list(range(100))
    until = time.perf_counter() + 0.02
    rests = 0
    while time.perf_counter() < until:
        before = time.perf_counter()
        long.rest()
        rests += time.perf_counter() - before > 0.0001
    assert 1 <= rests <= 40
    assert time.thread_time() - begun[0] <= time.perf_counter() - begun[1]


def test_other_threads_run_while_paced_work_goes_on() -> None:
    """With a switch interval too long to help, only the pauses let the other thread in."""
    turns, stop = [0], threading.Event()

    def other() -> None:
        while not stop.is_set():
            turns[0] += 1
            time.sleep(0.0001)

    thread = threading.Thread(target=other)
    before = sys.getswitchinterval()
    thread.start()
    sys.setswitchinterval(10.0)
    try:
        turns[0] = 0
        until = time.perf_counter() + 0.05
        for _ in Pace().each(iter(lambda: time.perf_counter() < until, False)):
            pass
        counted = turns[0]
    finally:
        sys.setswitchinterval(before)
        stop.set()
        thread.join()
    assert counted >= 2
