"""What is said at start: one line of what was decided and why, and what to mend before it matters."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI

import otelmon
from otelmon.config.load import load_settings
from otelmon.config.settings import Settings
from otelmon.runtime.startup import file_system_of, startup_line, startup_warnings
from otelmon.runtime.switch import PagingDecision
from otelmon.testing import assert_no_secret
from tests.e2e.served import clean_environ

WEBHOOK = "https://discord.com/api/webhooks/123456789012345678/abcdefghijklmnopqrstuvwxyz0123456789"
ON = PagingDecision(on=True, reason="this is production")
OFF = PagingDecision(on=False, reason="staging is not production")
LASTING = "/dev/sda1 / ext4 rw 0 0\n"


def settings(folder: Path, text: str = "", **environ: str) -> Settings:
    path = folder / "otelmon.yaml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path, environ={"OTEL_SERVICE_NAME": "shop", "HOME": "/home/ann", **environ}, directory=folder)


def test_the_line_says_environment_paging_and_why_whom_critical_mentions_which_file_and_where_state_is(
    tmp_path: Path,
) -> None:
    found = settings(
        tmp_path,
        "discord: {mention: {critical: [role: 123456789012345678, user: 234567890123456789]}}\n",
        OTELMON_ENVIRONMENT="production",
        DISCORD_WEBHOOK_URL=WEBHOOK,
        OTELMON_STATE_DIR="/var/lib/shop",
    )
    line = startup_line(found, ON)
    assert "\n" not in line
    assert "watching shop (name from OTEL_SERVICE_NAME)" in line
    assert "environment production" in line
    assert "paging on (this is production)" in line
    assert "critical mentions role 123456789012345678, user 234567890123456789" in line
    assert f"configuration {tmp_path / 'otelmon.yaml'}" in line
    assert "state in /var/lib/shop" in line
    assert_no_secret(WEBHOOK, line)


def warnings(found: Settings, decision: PagingDecision = ON, mounts: str = LASTING) -> str:
    return "\n".join(startup_warnings(found, decision, mounts=mounts))


def test_paging_without_a_webhook_is_warned_of(tmp_path: Path) -> None:
    assert "no webhook is set" in warnings(settings(tmp_path))
    assert "no webhook is set" not in warnings(settings(tmp_path, DISCORD_WEBHOOK_URL=WEBHOOK))


def test_critical_pages_that_ping_nobody_are_warned_of(tmp_path: Path) -> None:
    assert "critical pages ping nobody" in warnings(settings(tmp_path, DISCORD_WEBHOOK_URL=WEBHOOK))
    only_warnings = "discord: {mention: {warning: [role: 123456789012345678]}}\n"
    assert "ping nobody" in warnings(settings(tmp_path, only_warnings, DISCORD_WEBHOOK_URL=WEBHOOK))
    role = {"DISCORD_WEBHOOK_URL": WEBHOOK, "DISCORD_ROLE_ID": "123456789012345678"}
    assert "ping nobody" not in warnings(settings(tmp_path, **role))
    escalated = (
        "people: {ana: {discord: 112233445566778899}}\nescalation: {default: {steps: [notify: [person: ana]]}}\n"
    )
    assert "ping nobody" not in warnings(settings(tmp_path, escalated, DISCORD_WEBHOOK_URL=WEBHOOK))


@pytest.mark.parametrize(
    ("mounts", "warned"),
    [
        ("overlay / overlay rw 0 0\n", "overlay"),
        ("overlay / overlay rw 0 0\n/dev/sdb /home ext4 rw 0 0\n", ""),
        ("/dev/sda / ext4 rw 0 0\ntmpfs /home/ann tmpfs rw 0 0\n", "tmpfs"),
        ("/dev/sda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n", ""),
        ("overlay / overlay rw 0 0\n/dev/sdb /home/anna ext4 rw 0 0\n", "overlay"),
        ("", ""),
    ],
)
def test_state_on_a_path_that_does_not_last_is_warned_of(tmp_path: Path, mounts: str, warned: str) -> None:
    text = warnings(settings(tmp_path), mounts=mounts)
    assert ("OTELMON_STATE_DIR" in text) is bool(warned)
    assert warned in text


def test_the_file_system_of_a_path_is_that_of_the_longest_mount_over_it() -> None:
    mounts = "a / ext4 rw 0 0\nb /my\\040disk xfs rw 0 0\nc /my\\040disk/in tmpfs rw 0 0\nodd\n"
    assert file_system_of(Path("/my disk/state"), mounts) == "xfs"
    assert file_system_of(Path("/my disk/in/state"), mounts) == "tmpfs"
    assert file_system_of(Path("/my disks"), mounts) == "ext4"
    assert file_system_of(Path("/anything"), "") is None


def test_several_processes_that_each_page_are_warned_of(tmp_path: Path) -> None:
    assert "those of another host do so on their own, and page too" in warnings(settings(tmp_path))


def test_a_public_url_without_tls_is_warned_of(tmp_path: Path) -> None:
    def warned(url: str) -> bool:
        found = settings(tmp_path, f"public_url: {url}\n")
        return any("public_url is without TLS" in each for each in startup_warnings(found, ON, mounts=LASTING))

    assert warned("http://shop.example.com")
    assert not warned("https://shop.example.com")
    assert not warned("http://localhost:8000")


def test_where_nobody_is_paged_nothing_is_warned_of(tmp_path: Path) -> None:
    assert warnings(settings(tmp_path), OFF, "overlay / overlay rw 0 0\n") == ""


def test_an_app_whose_server_may_be_lost_hears_that_nobody_is_paged_then(tmp_path: Path) -> None:
    found = settings(tmp_path, OTELMON_ENDPOINT="http://otelmon:4318")
    assert "nobody is paged for this app: no webhook is set here" in warnings(found, OFF)
    for meant in ({"OTELMON_PAGING": "off"}, {"OTELMON_ENVIRONMENT": "staging"}, {"DISCORD_WEBHOOK_URL": WEBHOOK}):
        assert warnings(settings(tmp_path, OTELMON_ENDPOINT="http://otelmon:4318", **meant), OFF) == ""


def test_start_says_its_line_once(
    configure: Callable[[str], Path], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISCORD_WEBHOOK_URL", WEBHOOK)
    configure("service: shop\npaging: off\n")
    otelmon.start(FastAPI())
    otelmon.start(FastAPI())
    lines = [record.getMessage() for record in caplog.records if "watching" in record.getMessage()]
    assert len(lines) == 1
    assert "watching shop" in lines[0]
    assert "paging off (paging: off)" in lines[0]
    assert_no_secret(WEBHOOK, *caplog.records)


@pytest.mark.parametrize(("name", "value"), [("OTELMON_ENABLED", "false"), ("OTEL_SDK_DISABLED", "true")])
def test_an_app_that_is_switched_off_hears_by_what_and_nothing_else(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    otelmon.start(FastAPI())
    messages = [(record.levelno, record.getMessage()) for record in caplog.records]
    assert messages == [(logging.INFO, f"otelmon: switched off by {name}")]


LATE_LOGGING = """\
import logging
import otelmon

otelmon.start(paging="off")
logging.basicConfig(level=logging.INFO, format="app %(message)s")
logging.getLogger("otelmon").info("once")
otelmon.stop()
"""


def run(source: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(source, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-W", "error", "script.py", *arguments],
        cwd=folder,
        env=clean_environ(OTELMON_STATE_DIR=str(folder / "state")),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_an_app_without_logging_sees_the_line_and_one_that_configures_it_later_sees_nothing_twice(
    tmp_path: Path,
) -> None:
    done = run(LATE_LOGGING, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("otelmon: watching") == 1
    assert done.stderr.count("once") == 1


HEAVY = """\
import sys
import otelmon
from fastapi import FastAPI
import otelmon.instrument.attach, otelmon.promql.parse, otelmon.rules.load, otelmon.config.load

app = FastAPI()
otelmon.start(app)
print(sorted(name for name in ("numpy", "sqlalchemy", "httpx") if name in sys.modules))
"""


def test_starting_an_app_loads_neither_numpy_nor_sqlalchemy_nor_httpx_before_it_serves(tmp_path: Path) -> None:
    done = run(HEAVY, tmp_path)
    assert done.stdout == "[]\n", done.stderr


def test_the_environment_of_these_tests_declares_nothing() -> None:
    assert not [name for name in os.environ if name.startswith("DISCORD")]
