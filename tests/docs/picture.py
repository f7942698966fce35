"""Takes the README's picture: `python -m tests.docs.picture [PATH]`, with Chromium (Debian's package) on the PATH.

The page of a fast-forwarded outage, and the evidence for it, are sent to the stand-in for Discord over real sockets,
and a headless browser takes what its channel shows.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from otelmon.clock import SystemClock
from otelmon.incidents.noted import Noted, NotedKind
from otelmon.instrument.exemplars import EXEMPLARS, Exemplar
from otelmon.instrument.model import Traffic
from otelmon.notify.discord import DiscordNotifier
from otelmon.testing.clock import FakeClock
from otelmon.testing.discord import DiscordStandIn
from tests.e2e.simulation import Simulation

ROLE = "998877665544332211"
CONFIG = f"""\
environment: production
instance: web-1
runbook_base_url: https://wiki.example.com/runbooks
trace_url: https://tempo.example.com/trace/{{trace_id}}
discord:
  mention: {{critical: [role: {ROLE}]}}
"""
TARGET = Path(__file__).parents[2] / "examples" / "demo" / "page.png"
# By route: requests a second, the share that fails on every day, and after the deploy.
TRAFFIC = (
    ("GET", "/products", 20, 0.001, 0.001),
    ("GET", "/products/{id}", 12, 0.002, 0.004),
    ("POST", "/checkout", 8, 0.004, 0.85),
    ("POST", "/login", 4, 0.003, 0.012),
)
HEALTHY_SECONDS = 14 * 60


def take(path: Path) -> None:
    """Write the picture."""
    browser = shutil.which("chromium")
    if browser is None:
        raise SystemExit("chromium is not on the PATH; on Debian: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder, DiscordStandIn(names={ROLE: "on-call"}) as discord:
        _outage(Path(folder), discord)
        with tempfile.TemporaryDirectory() as profile:
            subprocess.run(
                [
                    browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
                    "--disable-background-networking", "--disable-component-update", f"--user-data-dir={profile}",
                    "--hide-scrollbars", "--window-size=760,910", "--virtual-time-budget=3000",
                    f"--screenshot={path}", discord.url,
                ],
                check=True, capture_output=True, timeout=60,
            )  # fmt: skip


def _outage(folder: Path, discord: DiscordStandIn) -> None:
    """A deploy, checkouts that fail from then on, the page for it and its evidence."""
    config = folder / "otelmon.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    notifier = DiscordNotifier("discord", discord.webhook_url)
    clock = FakeClock(SystemClock().now() - HEALTHY_SECONDS - 4 * 60)
    simulation = Simulation(
        config, clock=clock, notifier=notifier, sample=lambda: EXEMPLARS.turn(simulation.clock.now())
    )
    chance = random.Random(7)

    def second(*, ill: bool) -> None:
        for method, route, times, usual, after in TRAFFIC:
            for _ in range(times):
                failed = chance.random() < (after if ill else usual)
                _request(simulation, method, route, chance, failed=failed)

    simulation.run(HEALTHY_SECONDS, lambda: second(ill=False))
    simulation.disk.note(Noted(at=datetime.fromtimestamp(clock.now(), UTC), kind=NotedKind.DEPLOY, text="2026.11.2"))
    while not discord.messages:
        simulation.run(simulation.settings.interval_seconds, lambda: second(ill=True))
    simulation.explain()
    notifier.close()
    simulation.close()


def _request(simulation: Simulation, method: str, route: str, chance: random.Random, *, failed: bool) -> None:
    seconds = chance.lognormvariate(-3, 0.6)
    kind = chance.choices(("ConnectionRefusedError", "TimeoutError"), (5, 1))[0] if failed else ""
    lane = simulation.recorder.lane(Traffic.REQUEST, method, "http")
    lane.begin()
    lane.end(route, 500 if failed else 200, kind, seconds)
    if failed or seconds > EXEMPLARS.slowest:
        trace_id = f"{chance.getrandbits(128):032x}"
        EXEMPLARS.note(Exemplar(method=method, route=route, error_type=kind, seconds=seconds, trace_id=trace_id))


if __name__ == "__main__":
    take(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET)
