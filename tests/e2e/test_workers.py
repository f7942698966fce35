"""Four workers of one app: one evaluation, one page, one p95 over all of them, whichever of them dies or is stopped."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from otelmon.testing import DiscordStandIn, PostedMessage
from tests.e2e.workers import SERVERS, Workers, known_requests
from tests.waiting import wait_until

pytestmark = pytest.mark.slow
COUNT = "sum(http_server_request_duration_seconds_count)"
FAILED = 'sum(http_server_request_duration_seconds_count{http_response_status_code="500"})'
P95 = "histogram_quantile(0.95, sum(http_server_request_duration_seconds))"


def is_page(message: PostedMessage) -> bool:
    return "Error rate" in message.content


def ends_without_a_hang(app: Workers) -> None:
    """One of the workers evaluates, and all of them end when they are told to."""
    assert app.holder() in {each.pid for each in app.processes()}
    assert app.stop() < 20
    assert "Traceback" not in app.log


def check_one_page_and_exact_figures(folder: Path, server: str, count: int) -> None:
    paths, failing, p95 = known_requests(count)
    with DiscordStandIn() as discord, Workers(folder, server, webhook_url=discord.webhook_url) as app:
        # No request but the known ones may be counted: the workers take part as they serve the first of them.
        assert app.send(paths) == count
        wait_until(lambda: app.query(COUNT) == count, f"{app.query(COUNT)} of {count} requests are counted:\n{app.log}")
        assert app.query(FAILED) == failing
        assert app.query(P95) == pytest.approx(p95, rel=0.02)
        discord.wait_for(is_page, 45)
        app.pass_ticks(3)
        assert len([message for message in discord.messages if is_page(message)]) == 1
        assert app.members() >= 2
        ends_without_a_hang(app)


@pytest.mark.parametrize("server", SERVERS)
def test_requests_spread_over_workers_give_one_page_the_exact_ratio_and_one_p95(tmp_path: Path, server: str) -> None:
    check_one_page_and_exact_figures(tmp_path, server, 10_000 if server == "gunicorn" else 1_000)


@contextmanager
def load(app: Workers, path: str) -> Iterator[None]:
    """Requests until the block ends."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(0.1):
            app.send([path] * 8, connections=8)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(60)


def stop_between_writes(app: Workers, process: int) -> None:
    """Stop a process that writes nothing at the moment: one that does keeps SQLite locked until it goes on or ends."""

    def stopped() -> bool:
        os.kill(process, signal.SIGSTOP)
        try:
            with closing(sqlite3.connect(app.state / "state.db", timeout=0.5, isolation_level=None)) as state:
                state.execute("BEGIN IMMEDIATE")
                state.execute("ROLLBACK")
        except sqlite3.OperationalError:
            os.kill(process, signal.SIGCONT)
            return False
        return True

    wait_until(stopped, "it never stops writing")


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_another_worker_takes_over_from_one_that_is_gone_and_nobody_is_paged_twice(
    tmp_path: Path, fault: signal.Signals
) -> None:
    with (
        DiscordStandIn() as discord,
        Workers(tmp_path, "gunicorn", webhook_url=discord.webhook_url, window="6s") as app,
    ):
        app.wait_for_members()
        with load(app, "/fail/0.01"):
            page = discord.wait_for(is_page, 45)
            wait_until(lambda: app.open_pages() == 0, "the page is not known to be sent")
            first = app.holder()
            stop_between_writes(app, first) if fault is signal.SIGSTOP else os.kill(first, fault)
            ticks = app.ticks()
            seconds = wait_until(lambda: app.holder() not in {0, first}, "nobody took over")
            evaluated = seconds + wait_until(lambda: app.ticks() > ticks, "nobody evaluates")
            print(f"interval 1 s: taken over after {seconds:.2f} s, evaluated after {evaluated:.2f} s")
            assert evaluated < 2 + 4  # two intervals; the machine of the tests may be busy
            app.pass_ticks(3)
            if fault is signal.SIGSTOP:
                os.kill(first, signal.SIGCONT)
                app.pass_ticks(3)
                assert app.holder() != first
            discord.expect_silence_after(page)
        with load(app, "/ok/0.01"):
            wait_until(lambda: len(discord.messages) > 1, f"it was never resolved:\n{app.log}")
            app.pass_ticks(3)
        assert ["resolved" in message.content.lower() for message in discord.messages][1:] == [True]
        assert discord.messages[0].id == page.id
        ends_without_a_hang(app)


def test_every_worker_answers_for_all_and_what_is_put_into_any_is_paged_once(tmp_path: Path) -> None:
    with DiscordStandIn() as discord, Workers(tmp_path, "uvicorn --workers", webhook_url=discord.webhook_url) as app:
        app.wait_for_members()
        app.pass_ticks(3)
        rates = {app.text("/vitals/0") for _ in range(24)}
        assert "None" not in rates, app.log
        assert app.send(["/alert/0.5"] * 24) == 24
        discord.wait_for(is_page, 45)
        app.pass_ticks(3)
        assert len(discord.messages) == 1
        ends_without_a_hang(app)


def check_starts(folder: Path, server: str, count: int) -> None:
    """Each start ends with four members and one that evaluates, each stop with no process left."""
    for number in range(count):
        with Workers(folder / str(number), server) as app:
            app.wait_for_members()
            ends_without_a_hang(app)


# With the starts of the other tests, two of each kind.
def test_workers_start_and_stop_without_a_hang(tmp_path: Path) -> None:
    check_starts(tmp_path, "gunicorn --preload", 1)


@pytest.mark.soak
@pytest.mark.parametrize("server", SERVERS)
def test_twenty_starts_without_a_hang(tmp_path: Path, server: str) -> None:
    check_starts(tmp_path, server, 20)


@pytest.mark.soak
@pytest.mark.parametrize("server", SERVERS)
def test_ten_thousand_requests_over_any_kind_of_workers_give_one_page_and_exact_figures(
    tmp_path: Path, server: str
) -> None:
    check_one_page_and_exact_figures(tmp_path, server, 10_000)
