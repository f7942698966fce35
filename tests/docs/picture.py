"""Takes the README's picture: `python -m tests.docs.picture [PATH]`, with Chromium (Debian's package) on the PATH.

Pages of a fast-forwarded outage are sent to the stand-in for Discord over real sockets, and a headless browser takes
what its channel shows.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from otelmon.clock import SystemClock
from otelmon.notify.discord import DiscordNotifier
from otelmon.notify.worker import Worker
from otelmon.testing.clock import FakeClock
from otelmon.testing.discord import DiscordStandIn
from tests.e2e.simulation import Simulation

ROLE = "998877665544332211"
CONFIG = f"""\
environment: production
instance: web-1
discord:
  mention: {{critical: [role: {ROLE}]}}
"""
TARGET = Path(__file__).parents[2] / "examples" / "demo" / "page.png"


def take(path: Path) -> None:
    """Write the picture."""
    browser = shutil.which("chromium")
    if browser is None:
        raise SystemExit("chromium is not on the PATH; on Debian: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder, DiscordStandIn(names={ROLE: "on-call"}) as discord:
        config = Path(folder) / "otelmon.yaml"
        config.write_text(CONFIG, encoding="utf-8")
        simulation = Simulation(config, clock=FakeClock(SystemClock().now() - 12 * 60))
        simulation.run(9 * 60, lambda: simulation.request("/checkout", times=20))
        count = 0

        def second() -> None:
            nonlocal count
            count += 1
            simulation.request("/checkout", 500 if count % 3 == 0 else 201, times=20)

        simulation.run(100, second, deliver=False)
        notifier = DiscordNotifier("discord", discord.webhook_url)
        Worker(simulation.disk, {"discord": notifier}, SystemClock()).deliver_due(datetime.now(UTC))
        notifier.close()
        simulation.close()
        with tempfile.TemporaryDirectory() as profile:
            subprocess.run(
                [
                    browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
                    "--disable-background-networking", "--disable-component-update", f"--user-data-dir={profile}",
                    "--hide-scrollbars", "--window-size=760,760", "--virtual-time-budget=3000",
                    f"--screenshot={path}", discord.url,
                ],
                check=True, capture_output=True, timeout=60,
            )  # fmt: skip


if __name__ == "__main__":
    take(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET)
