"""`otelmon run` with a real uvicorn: a kill, a stop and a hang page from outside, a deploy does not."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from otelmon.testing import DiscordStandIn, PostedMessage
from tests.e2e.served import CONFIG, Served
from tests.e2e.test_no_code import PLAIN

pytestmark = pytest.mark.slow

INTERVAL = 5.0
SLOW = CONFIG.replace("interval: 1s", f"interval: {INTERVAL:g}s").replace("window: 4s", "window: 20s")
RUN = (sys.executable, "-m", "otelmon", "run")
BLOCKED = (
    PLAIN
    + """

@app.get("/block")
async def block() -> None:
    import time
    time.sleep(20)


@app.get("/health")
async def health() -> str:
    return "ok"
"""
)


def served(folder: Path, discord: DiscordStandIn, *, options: tuple[str, ...] = ()) -> Served:
    before = (*RUN, *options, "--", sys.executable, "-m")
    return Served(folder, app=BLOCKED, config=SLOW, webhook_url=discord.webhook_url, before=before)


def child(app: Served) -> psutil.Process:
    (found,) = psutil.Process(app.process.pid).children()
    return found


def request(app: Served) -> None:
    """A request on a connection of its own, which a worker that is killed may break."""
    with suppress(httpx.HTTPError):
        httpx.get(f"{app.url}/items/1", trust_env=False, timeout=20)


def is_down(message: PostedMessage) -> bool:
    return "Process down" in message.content and "RESOLVED" not in message.content


def is_over(message: PostedMessage) -> bool:
    return "Process down" in message.content and "RESOLVED" in message.content


@pytest.fixture
def discord() -> Iterator[DiscordStandIn]:
    with DiscordStandIn() as opened:
        yield opened


def test_a_kill_pages_within_two_intervals_and_the_next_run_resolves_it(
    tmp_path: Path, discord: DiscordStandIn
) -> None:
    with served(tmp_path, discord) as app:
        app.pass_ticks(2, doing=lambda: app.get("/items/1"))
        assert discord.messages == ()
        began = time.monotonic()
        child(app).kill()
        page = discord.wait_for(is_down, 45)
        took = time.monotonic() - began
        print(f"page after {took:.1f} s, {took / INTERVAL:.2f} intervals")
        assert took < 2 * INTERVAL
        assert "Process down on shop" in page.content
        assert "SIGKILL" in str(page.body)
        assert app.process.wait(60) == 137
    assert len(discord.messages) == 1
    with served(tmp_path, discord) as again:
        again.until(lambda: any(map(is_over, discord.messages)), doing=lambda: again.get("/items/1"))
        assert again.stop() < 20
        assert again.process.returncode in (0, 143)  # uvicorn ends by the signal that it was sent
    assert sum(map(is_down, discord.messages)) <= 1  # edited to resolved, and never posted again


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.soak)])
def test_a_deploy_is_passed_on_and_pages_nobody(
    tmp_path: Path, discord: DiscordStandIn, number: signal.Signals
) -> None:
    with served(tmp_path, discord) as app:
        app.pass_ticks(1, doing=lambda: app.get("/items/1"))
        uvicorn = child(app)
        app.process.send_signal(number)
        assert app.process.wait(60) in (0, 128 + number)
        assert not uvicorn.is_running()
        assert "Application shutdown complete" in app.log
    discord.expect_silence_after()


def test_an_app_that_fails_at_its_start_pages_and_its_exit_code_is_passed_on(
    tmp_path: Path, discord: DiscordStandIn
) -> None:
    before = (*RUN, "--", sys.executable, "-c", "raise SystemExit(3)")
    with Served(tmp_path, config=SLOW, webhook_url=discord.webhook_url, before=before) as app:
        page = discord.wait_for(is_down, 45)
        assert "exit code 3" in str(page.body)
        assert app.process.wait(60) == 3


def test_a_command_that_ends_by_itself_without_an_error_pages_nobody(tmp_path: Path, discord: DiscordStandIn) -> None:
    program = "import os, sitecustomize; print('own', sitecustomize.OWN, os.environ['OTELMON_ENABLED'])"
    before = (*RUN, "--", sys.executable, "-c", program)
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text("OWN = 7\n")
    environ = {"PYTHONPATH": os.pathsep.join([str(tmp_path / "path"), str(Path(__file__).parents[2])])}
    with Served(tmp_path, webhook_url=discord.webhook_url, before=before, environ=environ) as app:
        assert app.process.wait(60) == 0
        app.wait_for_log("own 7 true")
    discord.expect_silence_after()


@pytest.mark.soak
def test_a_blocked_event_loop_pages_and_resolves_once_it_goes_on(tmp_path: Path, discord: DiscordStandIn) -> None:
    with served(tmp_path, discord) as app:
        app.pass_ticks(3, doing=lambda: app.get("/items/1"))
        began = time.monotonic()
        app.get("/block")  # 20 s
        assert time.monotonic() - began >= 20
        assert any(is_down(message) for message in discord.messages), app.log
        app.until(lambda: any(map(is_over, discord.messages)), doing=lambda: app.get("/items/1"))
        assert "event loop" in str([message.body for message in discord.messages])
        assert app.process.poll() is None


@pytest.mark.soak
def test_a_stopped_process_pages_within_two_intervals_and_resolves_once_it_goes_on(
    tmp_path: Path, discord: DiscordStandIn
) -> None:
    with served(tmp_path, discord) as app:
        app.pass_ticks(3, doing=lambda: app.get("/items/1"))
        time_to = time.monotonic()
        uvicorn = child(app)
        uvicorn.suspend()
        try:
            discord.wait_for(is_down, 45)
            took = time.monotonic() - time_to
            print(f"page after {took:.1f} s, {took / INTERVAL:.2f} intervals")
        finally:
            uvicorn.resume()
        app.until(lambda: any(map(is_over, discord.messages)), doing=lambda: app.get("/items/1"))
        assert took < 2 * INTERVAL + 2
        assert app.process.poll() is None


@pytest.mark.soak
def test_an_address_that_fails_pages(tmp_path: Path, discord: DiscordStandIn) -> None:
    with DiscordStandIn() as health:  # any server that can be ended will do
        options = ("--url", f"{health.webhook_url}")
        with served(tmp_path, discord, options=options) as app:
            app.pass_ticks(3, doing=lambda: app.get("/items/1"))
            health.__exit__(None, None, None)
            page = discord.wait_for(is_down, 45)
            assert "does not answer" in str(page.body)


@pytest.mark.soak
def test_one_workers_death_is_its_supervisors_matter_and_the_supervisors_own_pages(
    tmp_path: Path, discord: DiscordStandIn
) -> None:
    server = ("gunicorn", "--worker-class", "asgi", "--workers", "2", "--bind", "fd://{fd}")
    before = (*RUN, "--", sys.executable, "-m")
    with Served(
        tmp_path, app=BLOCKED, config=SLOW, webhook_url=discord.webhook_url, server=server, before=before
    ) as app:
        app.pass_ticks(1, doing=lambda: request(app))
        arbiter = child(app)
        arbiter.children()[0].kill()
        app.pass_ticks(2, doing=lambda: request(app))
        discord.expect_silence_after()
        workers = arbiter.children()
        arbiter.kill()
        discord.wait_for(is_down, 45)
        assert app.process.wait(60) == 137
        psutil.wait_procs(workers, timeout=20)  # gunicorn's workers end when their arbiter is gone


@pytest.mark.soak
def test_a_hangup_is_passed_on_and_is_no_stop(tmp_path: Path, discord: DiscordStandIn) -> None:
    program = """
import signal, sys, threading
signal.signal(signal.SIGHUP, lambda *_: sys.exit(3))
print("up", flush=True)
threading.Event().wait(60)
"""
    before = (*RUN, "--", sys.executable, "-c", program)
    with Served(tmp_path, config=SLOW, webhook_url=discord.webhook_url, before=before) as app:
        app.wait_for_log("up")
        app.process.send_signal(signal.SIGHUP)
        discord.wait_for(is_down, 45)
        assert app.process.wait(60) == 3
