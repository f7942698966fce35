"""The commands: what each says, where, and with which exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from otelmon.cli.main import app
from otelmon.testing import Answer, DiscordStandIn, Limited, assert_no_secret
from tests.e2e.served import APP, CONFIG, Served, clean_environ
from tests.notify.receiver import Answer as Answered
from tests.notify.receiver import Receiver

ROLE = "123456789012345678"
USER = "234567890123456789"


def otelmon(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own where nothing is declared."""
    for name in list(os.environ):
        if name.startswith(("OTEL", "DISCORD", "SENTRY")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("OTELMON_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write(here: Path) -> Callable[..., Path]:
    """Write a file."""

    def write_file(text: str, name: str = "otelmon.yaml") -> Path:
        (here / name).write_text(text, encoding="utf-8")
        return here / name

    return write_file


def test_the_version_is_said_and_is_the_package_s() -> None:
    done = otelmon("--version")
    assert (done.exit_code, done.stdout) == (0, f"otelmon {version('otelmon')}\n")
    assert "--version" in otelmon("--help").stdout


# init


def test_init_writes_a_file_that_check_finds_well_and_leaves_one_that_exists(here: Path) -> None:
    done = otelmon("init")
    assert done.exit_code == 0
    assert "wrote otelmon.yaml" in done.stdout
    assert otelmon("check").exit_code == 0
    (here / "otelmon.yaml").write_text("service: mine\n", encoding="utf-8")
    again = otelmon("init")
    assert again.exit_code == 1
    assert "otelmon.yaml exists" in again.stderr
    assert (here / "otelmon.yaml").read_text(encoding="utf-8") == "service: mine\n"


def test_init_writes_where_it_is_told_and_says_where_it_cannot(here: Path) -> None:
    assert otelmon("init", "other.yaml").exit_code == 0
    assert (here / "other.yaml").exists()
    done = otelmon("init", "no/such/folder/otelmon.yaml")
    assert done.exit_code == 1
    assert "cannot be written: No such file or directory" in done.stderr


# check


def test_check_without_a_file_checks_what_the_app_would_use(write: Callable[..., Path]) -> None:
    done = otelmon("check")
    assert done.exit_code == 0
    assert "no otelmon.yaml here; built-in configuration: service shop" in done.stdout
    write("alerts: {cpu_usage: on}\n")
    assert "all well" in otelmon("check").stdout


BAD = [
    ("intervall: 15s\n", "otelmon.yaml:1:1: intervall", "interval"),
    ("interval: 5\n", "otelmon.yaml:1:", "interval"),
    ("interval: 100ms\n", "otelmon.yaml:1:", "1s"),
    ("interval: 2h\n", "otelmon.yaml:1:", "1h"),
    ("alerts:\n  error_rate: 5\n", "otelmon.yaml:2:", "error_rate"),
    ("alerts:\n  mine:\n    expr: rate(x[5m]\n", "otelmon.yaml:3:", "mine"),
    ("alerts:\n  mine:\n    expr: holt_winters(x[5m], 1, 1) > 1\n", "otelmon.yaml:3:", "mine"),
    ("alerts: [\n", "otelmon.yaml:", ""),
    ("a: 1\na: 2\n", "otelmon.yaml:2:", "a"),
    ("discord: {webhook_url: 'https://example.com/'}\n", "otelmon.yaml:1:", "webhook_url"),
    ("discord: {mention: {critical: [role: 12]}}\n", "otelmon.yaml:1:", "17 to 20 digits"),
    ("rule_files: [none.yml]\n", "otelmon.yaml:1:", "none.yml"),
    ("- a list\n", "otelmon.yaml:1:", "section"),
    ("service: ${UNSET_NAME}\n", "otelmon.yaml:1:", "UNSET_NAME"),
]


@pytest.mark.parametrize(("text", "place", "words"), BAD, ids=[text.strip()[:30] for text, _, _ in BAD])
def test_check_says_file_line_and_key_of_what_is_wrong_and_exits_1(
    write: Callable[..., Path], text: str, place: str, words: str
) -> None:
    write(text)
    for arguments in (("check",), ("check", "otelmon.yaml")):
        done = otelmon(*arguments)
        assert done.exit_code == 1, done.output
        assert place in done.stderr
        assert words in done.stderr
        assert done.stdout == ""
        assert "Traceback" not in done.output


def test_check_says_every_problem_at_once(write: Callable[..., Path]) -> None:
    write("intervall: 15s\nalerts: {error_rate: 5}\npaging: maybe\n")
    done = otelmon("check")
    assert len(done.stderr.strip().splitlines()) == 3


RULES = "groups: [{name: a, rules: [{alert: b, expr: 'up == 0'}]}]\n"
BAD_RULES = "groups:\n  - name: a\n    rules:\n      - alert: b\n        expr: up ==\n"


def test_check_takes_rule_files_and_several_files_and_one_bad_one_is_enough(write: Callable[..., Path]) -> None:
    write(RULES, "good.yml")
    write(BAD_RULES, "bad.yml")
    write("interval: 15s\n")
    good = otelmon("check", "good.yml", "otelmon.yaml")
    assert good.exit_code == 0
    assert "1 rules in 1 groups, all well" in good.stdout
    done = otelmon("check", "good.yml", "bad.yml", "otelmon.yaml", "absent.yml")
    assert done.exit_code == 1
    assert done.stdout.count("all well") == 2
    assert "bad.yml:5:" in done.stderr
    assert "absent.yml" in done.stderr


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"\x00\x01", b"a: &x [*x]\n", b"a: !!python/object:os.system x\n"]
)
def test_check_of_what_is_no_yaml_is_an_error_not_a_traceback(here: Path, content: bytes) -> None:
    (here / "odd.yaml").write_bytes(content)
    done = otelmon("check", "odd.yaml")
    assert done.exit_code == 1
    assert "odd.yaml" in done.stderr
    assert "Traceback" not in done.output


def test_check_of_a_folder_or_an_unreadable_path_is_an_error(here: Path) -> None:
    (here / "folder").mkdir()
    done = otelmon("check", "folder")
    assert done.exit_code == 1
    assert "folder" in done.stderr


def test_check_tells_no_secret(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "https://discord.com/api/webhooks/12/not-a-whole-token-but-secret-all-the-same"
    write(f"discord: {{webhook_url: {secret}}}\n")
    assert_no_secret(secret, otelmon("check").output)
    write("interval: 15s\n")
    monkeypatch.setenv("DISCORD_WEBHOOK_URL", secret)
    done = otelmon("check")
    assert done.exit_code == 1
    assert "DISCORD_WEBHOOK_URL" in done.stderr
    assert_no_secret(secret, done.output)


# page test


def test_a_test_page_is_delivered_and_says_who_was_pinged(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(f"discord: {{mention: {{critical: [role: {ROLE}, user: {USER}], warning: []}}}}\n")
    with DiscordStandIn() as discord:
        monkeypatch.setenv("DISCORD_WEBHOOK_URL", discord.webhook_url)
        done = otelmon("page", "test", "--severity", "critical")
        assert done.exit_code == 0, done.output
        assert f"delivered; pinged role {ROLE}, user {USER}" in done.stdout
        assert [ping.id for ping in discord.pings] == [ROLE, USER]
        quiet = otelmon("page", "test", "--severity", "warning")
        assert quiet.exit_code == 0
        assert "pinged nobody" in quiet.stdout
        assert len(discord.pings) == 2
        assert len(discord.messages) == 2
        assert_no_secret(discord.webhook_url, done.output, quiet.output)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Answer(status=404, body='{"message": "Unknown Webhook", "code": 10015}'), "Unknown Webhook"),
        (Answer(status=401, body='{"message": "Invalid Webhook Token", "code": 50027}'), "Invalid Webhook Token"),
        (Limited(retry_after=30.0), "rate limited"),
        (Answer(status=500), "HTTP 500"),
    ],
)
def test_a_test_page_that_is_not_delivered_exits_1_and_says_why(
    monkeypatch: pytest.MonkeyPatch, fault: Answer | Limited, words: str
) -> None:
    with DiscordStandIn() as discord:
        discord.fail_always(fault)
        monkeypatch.setenv("DISCORD_WEBHOOK_URL", discord.webhook_url)
        done = otelmon("page", "test")
        assert done.exit_code == 1
        assert "not delivered" in done.stderr
        assert words in done.stderr
        assert_no_secret(discord.webhook_url, done.output)


def test_without_a_webhook_the_test_page_goes_to_the_log_and_says_so() -> None:
    done = otelmon("page", "test")
    assert done.exit_code == 0
    assert "no webhook is set (DISCORD_WEBHOOK_URL): the page went to the log and pinged nobody" in done.stdout


def test_a_test_page_goes_through_the_notifier_that_is_named(write: Callable[..., Path]) -> None:
    with Receiver() as managers:
        write(
            f"notifiers: {{managers: {{webhook: '{managers.url}', token: abcdefgh}}, off: {{discord: '${{NO:-}}'}}}}\n"
        )
        done = otelmon("page", "test", "--notifier", "managers", "--severity", "info")
        assert (done.exit_code, done.stdout) == (0, "delivered to managers\n")
        assert managers.told[0].body["alerts"][0]["annotations"]["summary"].startswith("Test page from")
        managers.answers = [Answered(403)]
        refused = otelmon("page", "test", "--notifier", "managers")
        assert (refused.exit_code, "HTTP 403" in refused.stderr) == (1, True)
        for secret in (managers.url, "abcdefgh"):
            assert_no_secret(secret, done.output, refused.output)
    assert "no webhook is set: the page went to the log" in otelmon("page", "test", "--notifier", "off").stdout
    unknown = otelmon("page", "test", "--notifier", "manager")
    assert unknown.exit_code == 1
    assert "there is no notifier 'manager'; there is log, managers, off" in unknown.stderr


def test_an_unknown_severity_is_refused() -> None:
    done = otelmon("page", "test", "--severity", "loud")
    assert done.exit_code == 2
    assert "loud" in done.stderr


# incidents and ack


@pytest.mark.slow
def test_an_incident_of_a_running_app_is_listed_taken_once_and_shown_on_the_page(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with DiscordStandIn() as discord, Served(here, app=APP, config=CONFIG, webhook_url=discord.webhook_url) as served:
        served.until(lambda: bool(discord.messages), doing=lambda: served.get("/fail"))
        (page,) = discord.messages
        incident = page.text.rpartition("incident ")[2].split()[0]
        listed = otelmon("incidents")
        assert listed.exit_code == 0
        assert incident in listed.stdout
        assert "triggered" in listed.stdout
        assert "error_rate" in listed.stdout
        taken = otelmon("ack", incident.lower(), "--by", "Ann")
        assert taken.exit_code == 0, taken.output
        assert f"acknowledged {incident} (error_rate) as Ann" in taken.stdout
        discord.wait_for(lambda message: message.edits and "Ann" in message.text, 10)
        assert len(discord.messages) == 1
        again = otelmon("ack", incident, "--by", "Bob")
        assert again.exit_code == 1
        assert "was acknowledged by Ann" in again.stderr
        assert "Ann" in otelmon("incidents").stdout
        served.until(lambda: len(discord.messages) > 1, doing=lambda: served.get("/items/1", times=5))
        late = otelmon("ack", incident)
        assert late.exit_code == 1
        assert "resolved already" in late.stderr
        unknown = otelmon("ack", "ZZZZ")
        assert unknown.exit_code == 1
        assert "there is no incident ZZZZ" in unknown.stderr


@pytest.mark.parametrize("command", [("incidents",), ("ack", "7KQ2")])
def test_without_state_the_commands_say_where_they_looked_and_make_none(here: Path, command: tuple[str, ...]) -> None:
    done = otelmon(*command)
    assert done.exit_code == 1
    assert str(here / "state") in done.stderr
    assert not (here / "state").exists()


def test_state_that_is_no_database_is_an_error(here: Path) -> None:
    (here / "state").mkdir()
    (here / "state" / "state.db").write_bytes(b"not a database" * 100)
    done = otelmon("incidents")
    assert done.exit_code == 1
    assert "Traceback" not in done.output


def test_commands_take_a_configuration_by_name(write: Callable[..., Path]) -> None:
    write("intervall: 1s\n", "other.yaml")
    for command in (("incidents",), ("ack", "7KQ2"), ("page", "test")):
        done = otelmon(*command, "--config", "other.yaml")
        assert done.exit_code == 1
        assert "other.yaml:1:1: intervall" in done.stderr
        missing = otelmon(*command, "--config", "absent.yaml")
        assert missing.exit_code == 1
        assert "absent.yaml: no such file" in missing.stderr


# as a process


def test_python_m_otelmon_is_the_command_and_its_exit_code(here: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", "-m", "otelmon", *arguments],
            cwd=here,
            env=clean_environ(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert "check" in run("--help").stdout
    assert run("check").returncode == 0
    (here / "otelmon.yaml").write_text("intervall: 1s\n", encoding="utf-8")
    done = run("check")
    assert done.returncode == 1
    assert "otelmon.yaml:1:1: intervall" in done.stderr
    assert "Traceback" not in done.stderr
