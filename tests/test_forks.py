"""A fork waits for what is under way, and goes first where one thing follows the other."""

from __future__ import annotations

import threading

import pytest

from otelmon.forks import Forks

PATIENCE = 30.0


class Held:
    def __init__(self) -> None:
        self.let_go_times = 0

    def let_go(self) -> None:
        self.let_go_times += 1


def test_a_fork_waits_for_what_is_under_way_and_what_comes_after_waits_for_the_fork() -> None:
    forks, entered, leave, entered_again = Forks(), threading.Event(), threading.Event(), threading.Event()
    held = Held()
    forks.add(held)

    def work() -> None:
        with forks.whole():
            entered.set()
            assert leave.wait(PATIENCE)
        with forks.whole():
            entered_again.set()

    thread = threading.Thread(target=work)
    thread.start()
    assert entered.wait(PATIENCE)
    forking = threading.Thread(target=forks.before)
    forking.start()
    assert held.let_go_times == 0
    leave.set()
    forking.join(PATIENCE)
    assert not forking.is_alive()
    assert held.let_go_times == 1
    assert not entered_again.is_set()
    forks.in_parent()
    assert entered_again.wait(PATIENCE)
    thread.join()


def test_threads_that_are_busy_without_a_pause_do_not_hold_up_a_fork() -> None:
    forks, over = Forks(), threading.Event()

    def work() -> None:
        while not over.is_set():
            with forks.whole():
                sum(range(2_000))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        forks.before()
        forks.in_parent()
    over.set()
    for thread in threads:
        thread.join()
    forks.before()
    forks.in_child()
    assert not forks.cut


def test_a_fork_goes_on_after_a_while_and_its_child_knows_that_it_cut_something() -> None:
    forks, entered, leave = Forks(most_seconds=0.01), threading.Event(), threading.Event()
    held = Held()
    forks.add(held)

    def work() -> None:
        with forks.whole():
            entered.set()
            assert leave.wait(PATIENCE)

    thread = threading.Thread(target=work)
    thread.start()
    assert entered.wait(PATIENCE)
    forks.before()
    assert held.let_go_times == 0  # closing it would fail whoever uses it
    leave.set()
    thread.join()
    forks.in_child()
    assert forks.cut
    # Its own forks find nothing under way; what it lacks from its parent it still lacks.
    with forks.whole():
        pass
    forks.before()
    forks.in_child()
    assert forks.cut


@pytest.mark.parametrize("depth", [1, 2])
def test_a_thread_that_forks_in_the_middle_of_something_does_not_wait_for_itself(depth: int) -> None:
    forks = Forks(most_seconds=PATIENCE)
    with forks.whole():
        if depth == 2:
            with forks.whole():
                forks.before()
                forks.in_child()
        else:
            forks.before()
            forks.in_child()
    assert forks.cut
    forks.before()  # finds nobody inside
    forks.in_parent()
