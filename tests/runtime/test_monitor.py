"""The verbs of a running monitor: snapshot, check_alert, process_alert, stop, on the module and on the object."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette

import otelmon
from otelmon.config.load import load_settings
from otelmon.errors import ConfigError, NotRunningError
from otelmon.rules.model import Severity
from otelmon.runtime.monitor import Monitor
from otelmon.runtime.switch import PagingDecision
from otelmon.testing import DiscordStandIn, FakeClock, Hang, PostedMessage
from tests.runtime.client import TestClient

ON = PagingDecision(on=True, reason="the test says so")


def otelmon_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("otelmon")]


@pytest.fixture
def discord() -> Iterator[DiscordStandIn]:
    with DiscordStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def paging(discord: DiscordStandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[DiscordStandIn]:
    """The stand-in, as the webhook of whatever starts now."""
    monkeypatch.setenv("DISCORD_WEBHOOK_URL", discord.webhook_url)
    monkeypatch.setenv("OTELMON_PAGING", "on")
    yield discord
    otelmon.stop()


def is_page(message: PostedMessage) -> bool:
    return "resolved" not in message.content.lower()


def is_resolved(message: PostedMessage) -> bool:
    return "resolved" in message.content.lower() and not message.pings and "limit" not in message.content


# check_alert


def test_check_alert_answers_in_the_missions_units() -> None:
    otelmon.start()
    check = otelmon.check_alert("error_rate", 0.06)
    assert check.triggered
    assert (check.alert.name, check.alert.threshold, check.alert.severity) == ("error_rate", 0.05, Severity.CRITICAL)
    assert check.alert.runbook
    assert not otelmon.check_alert("error_rate", 0.05).triggered  # over the limit, not at it
    assert otelmon.check_alert("response_time", 1001).triggered
    assert otelmon.check_alert("disk_usage", 86).triggered
    assert not otelmon.check_alert("memory_usage", 89.9).triggered
    assert not otelmon.check_alert("error_rate", float("nan")).triggered


def test_check_alert_follows_the_configuration(configure: Callable[[str], Path]) -> None:
    configure(
        "runbook_base_url: https://wiki.example.com/runbooks\n"
        "alerts:\n"
        "  response_time: {threshold: 2s, severity: critical}\n"
        "  few_orders: {expr: 'rate(orders_total[5m]) < 1', severity: warning}\n"
    )
    otelmon.start()
    check = otelmon.check_alert("response_time", 1999)
    assert (check.triggered, check.alert.threshold, check.alert.severity) == (False, 2000, Severity.CRITICAL)
    assert check.alert.runbook == "https://wiki.example.com/runbooks/response_time"
    assert otelmon.check_alert("few_orders", 0.5).triggered


def test_an_alert_that_does_not_exist_is_an_error_that_lists_those_that_do(configure: Callable[[str], Path]) -> None:
    configure("alerts: {disk_usage: off}\n")
    otelmon.start()
    for name in ("errorrate", "disk_usage"):
        with pytest.raises(
            ConfigError, match=f"there is no alert '{name}'.*error_rate, health_check, instance_silent, memory_usage"
        ):
            otelmon.check_alert(name, 1.0)
        with pytest.raises(ConfigError, match=f"there is no alert '{name}'"):
            otelmon.process_alert(name, 1.0)


def test_a_rule_without_a_limit_is_an_error_that_says_what_to_write(configure: Callable[[str], Path]) -> None:
    configure("alerts:\n  gone: {expr: absent(up)}\n")
    otelmon.start()
    with pytest.raises(ConfigError, match=r"gone has no limit.*comparison, such as > 0.05"):
        otelmon.check_alert("gone", 1.0)


def test_verbs_without_a_monitor_say_what_to_call() -> None:
    for verb in (
        otelmon.snapshot,
        lambda: otelmon.check_alert("error_rate", 1.0),
        lambda: otelmon.process_alert("error_rate", 1.0),
    ):
        with pytest.raises(NotRunningError, match=r"call otelmon.start\(\) first"):
            verb()
    otelmon.stop()  # nothing runs: nothing happens


# snapshot


def test_what_was_not_measured_is_none_and_the_host_is_measured_without_an_app() -> None:
    otelmon.start()
    found = otelmon.snapshot()
    assert (found.error_rate, found.request_rate, found.response_time_p95) == (None, None, None)
    assert found.disk_usage is not None
    assert 0 < found.disk_usage <= 100
    assert found.memory_usage is not None
    assert 0 < found.memory_usage <= 100
    assert set(found.as_dict()) == {
        "error_rate",
        "request_rate",
        "response_time_p50",
        "response_time_p95",
        "response_time_p99",
        "disk_usage",
        "memory_usage",
        "cpu_usage",
        "services",
        "pools",
        "redis",
        "probes",
        "queues",
        "operations",
    }


# process_alert


def test_a_value_by_hand_pages_at_once_with_its_context_and_a_value_under_the_limit_resolves_it(
    paging: DiscordStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISCORD_ROLE_ID", "123456789012345678")
    otelmon.start()
    otelmon.process_alert("error_rate", 0.06, {"timestamp": "2026-01-05T12:00:00Z", "environment": "eu-1", "shard": 7})
    page = paging.wait_for(is_page, 45)
    assert "CRITICAL" in page.content
    assert "Error rate 6 % (limit 5 %)" in page.content
    assert [ping.id for ping in page.pings] == ["123456789012345678"]
    for text in ("2026-01-05T12:00:00Z", "eu-1", "shard: 7"):
        assert text in page.text.replace("\\", "")
    otelmon.process_alert("error_rate", 0.07)  # still over: the same incident
    otelmon.process_alert("error_rate", 0.01)
    resolved = paging.wait_for(is_resolved, 45)
    assert len(paging.messages) == 2
    assert resolved.id > page.id


def test_a_value_under_the_limit_pages_nobody(paging: DiscordStandIn) -> None:
    otelmon.start()
    otelmon.process_alert("error_rate", 0.04)
    otelmon.process_alert("error_rate", 0.05)
    otelmon.stop()
    paging.expect_silence_after()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_none_is_refused(value: float) -> None:
    otelmon.start()
    with pytest.raises(ConfigError, match="finite"):
        otelmon.process_alert("error_rate", value)


def test_process_alert_returns_at_once_while_discord_hangs(paging: DiscordStandIn) -> None:
    paging.fail(Hang())
    otelmon.start()
    otelmon.snapshot()  # the engine is there
    otelmon.process_alert("error_rate", 0.5)
    paging.wait_until(lambda discord: len(discord.requests) == 1, 45)
    began = time.monotonic()
    for _ in range(100):
        otelmon.process_alert("response_time", 5000)
    assert time.monotonic() - began < 5  # half of what is waited for Discord; the machine may be busy
    paging.refuse()  # the hanging exchange ends
    paging.accept()


def test_a_value_put_in_just_before_the_stop_still_pages(paging: DiscordStandIn) -> None:
    """A script that reports and ends: the engine, which loads numpy first, is not even there yet."""
    otelmon.start()
    otelmon.process_alert("error_rate", 0.06, {"environment": "staging"})
    otelmon.stop()
    assert [message.content for message in paging.messages if is_page(message)]


def test_where_paging_is_off_a_value_by_hand_pages_nobody(
    discord: DiscordStandIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DISCORD_WEBHOOK_URL", discord.webhook_url)
    otelmon.start()
    otelmon.process_alert("error_rate", 0.06)
    otelmon.stop()
    discord.expect_silence_after()
    assert "paging is off, nobody is told" in caplog.text


def test_without_a_webhook_the_page_goes_to_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTELMON_PAGING", "on")
    otelmon.start()
    otelmon.process_alert("error_rate", 0.06)
    otelmon.stop()
    assert "Error rate 6 % (limit 5 %)" in caplog.text


def test_a_value_by_hand_resolves_after_five_minutes_without_another(here: Path) -> None:
    """Fast-forwarded: the whole monitor runs on a clock that the test moves."""
    clock = FakeClock()
    with DiscordStandIn(clock=clock) as discord:
        environ = {"DISCORD_WEBHOOK_URL": discord.webhook_url, "OTELMON_STATE_DIR": str(here / "state")}
        monitor = Monitor(load_settings(None, environ=environ, directory=here), ON, clock=clock)
        try:
            monitor.process_alert("error_rate", 0.06)
            discord.wait_for(is_page, 45)
            advance(clock, 200, until=lambda: False)
            monitor.process_alert("error_rate", 0.07)  # renewed
            advance(clock, 5, until=lambda: not monitor._watch._by_hand)
            renewed_at = clock.now()
            advance(clock, 400, until=lambda: len(discord.messages) == 2)
            discord.wait_for(is_resolved, 45)
            assert 295 <= clock.now() - renewed_at <= 330
        finally:
            monitor.stop()


def advance(clock: FakeClock, seconds: int, *, until: Callable[[], bool]) -> None:
    """Let time pass second by second, slowly enough for the engine and the delivery to follow."""
    pace = threading.Event()
    for _ in range(seconds):
        clock.wait_for_waiters(2, 10)
        if until():
            return
        clock.advance(1)
        pace.wait(0.005)


# start and stop


def test_starting_twice_is_one_monitor_and_stopping_twice_is_quiet() -> None:
    first = otelmon.start()
    assert otelmon.start() is first
    otelmon.snapshot()
    assert otelmon_threads().count("otelmon-engine") == 1
    first.stop()
    first.stop()
    otelmon.stop()
    assert otelmon_threads() == []


def test_a_monitor_can_be_started_again_after_a_stop() -> None:
    first = otelmon.start()
    assert otelmon.snapshot().memory_usage is not None
    otelmon.stop()
    second = otelmon.start()
    assert second is not first
    assert otelmon.snapshot().memory_usage is not None


def test_a_stopped_monitor_stays_stopped() -> None:
    monitor = otelmon.start()
    otelmon.stop()
    assert monitor.snapshot().memory_usage is None
    monitor.process_alert("error_rate", 0.9)
    assert monitor.check_alert("error_rate", 0.9).triggered
    assert otelmon_threads() == []


def test_stop_at_once_after_start_leaves_no_thread() -> None:
    for _ in range(3):
        otelmon.start()
        otelmon.stop()
        assert otelmon_threads() == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("intervall: 15s\n", r"otelmon.yaml:1:1: intervall.*interval"),
        ("alerts: {error_rate: 5}\n", r"otelmon.yaml:1.*error_rate"),
        ("alerts: {mine: {expr: 'rate(x[5m'}}\n", r"otelmon.yaml:1.*mine"),
        ("discord: {webhook_url: 'https://example.com/hook'}\n", r"otelmon.yaml:1.*webhook_url"),
        ("alerts: [\n", r"otelmon.yaml:"),
        ("rule_files: [none.yml]\n", r"otelmon.yaml:1.*none.yml"),
    ],
)
def test_bad_input_stops_the_start_and_nothing_is_left_running(
    configure: Callable[[str], Path], text: str, words: str
) -> None:
    configure(text)
    app = Starlette()
    with pytest.raises(ConfigError, match=words):
        otelmon.start(app)
    assert otelmon_threads() == []
    assert app.user_middleware == []
    configure("interval: 15s\n")
    otelmon.start(app)
    assert otelmon.check_alert("error_rate", 0.06).triggered


def test_a_configuration_that_does_not_exist_is_an_error(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"absent.yaml: no such file"):
        otelmon.start(config=here / "absent.yaml")
    monkeypatch.setenv("OTELMON_CONFIG", "absent.yaml")
    with pytest.raises(ConfigError, match=r"OTELMON_CONFIG: names 'absent.yaml'"):
        otelmon.start()


# switched off


@pytest.mark.parametrize(("name", "value"), [("OTELMON_ENABLED", "false"), ("OTEL_SDK_DISABLED", "TRUE")])
def test_switched_off_there_is_no_middleware_no_thread_and_no_state_and_every_verb_answers(
    here: Path, configure: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """Code that asks or reports goes on where otelmon is switched off, also about alerts of a file nobody reads."""
    monkeypatch.setenv(name, value)
    configure("alerts: {mine: {expr: 'broken('}}\n")
    app = Starlette()
    monitor = otelmon.start(app)
    assert otelmon.wrap(app) is app
    assert app.user_middleware == []
    with TestClient(app) as client:
        assert client.get("/").status_code == 404
    assert otelmon_threads() == []
    assert not any(otelmon.snapshot().as_dict().values())
    assert not otelmon.check_alert("mine", 1e9).triggered
    otelmon.process_alert("mine", 1e9, {"environment": "test"})
    assert otelmon_threads() == []
    assert not (here / "state").exists()
    monitor.stop()
