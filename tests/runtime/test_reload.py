"""Rules that change while the app runs: what stays keeps its state, what is broken changes nothing."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from otelmon.config.load import load_settings
from otelmon.config.settings import Settings
from otelmon.errors import ConfigError
from otelmon.promql.evaluation import Evaluation
from otelmon.promql.query import Query
from otelmon.runtime.reload import Reloader, RuleFiles
from tests.e2e.simulation import Simulation

REQUESTS = "sum(rate(http_server_request_duration_seconds_count[1m]))"
RULE = "      - {alert: %s, expr: '%s', for: 5m, labels: {severity: %s}}\n"
GROUP = "groups:\n  - name: g\n    rules:\n"


class Reloading:
    """A simulated process with one rule file, and the reloader that looks at it."""

    def __init__(self, folder: Path, rules: str) -> None:
        self.rules = folder / "rules" / "a.yml"
        self.rules.parent.mkdir()
        self.config = folder / "otelmon.yaml"
        self.config.write_text("service: shop\nrule_files: [rules/*.yml]\nalerts: {error_rate: off}\n")
        self.write(rules)
        self.simulation = Simulation(self.config)
        self.adopted: list[Settings] = []
        files = RuleFiles(self.simulation.settings, self.load)
        self.reloader = Reloader(
            files,
            self.simulation.engine,
            now=self.simulation.clock.now,
            on_reload=self.adopted.append,
            faults=self.simulation.faults,
        )

    def load(self) -> Settings:
        environ = {"OTEL_SERVICE_NAME": "shop", "OTELMON_STATE_DIR": str(self.config.parent)}
        return load_settings(self.config, environ=environ, directory=self.config.parent)

    def write(self, text: str, path: Path | None = None) -> None:
        path = path or self.rules
        path.write_text(GROUP + text)
        # Two writes within a test may fall into one tick of the file system's clock.
        at = path.stat().st_mtime_ns + len(text) * 1_000_000
        os.utime(path, ns=(at, at))

    def poll(self, times: int = 2) -> None:
        for _ in range(times):
            self.reloader.poll()

    def run(self, minutes: float) -> None:
        self.simulation.run(minutes * 60, lambda: self.simulation.request(times=5))

    def states(self) -> dict[str, list[str]]:
        return {
            watched.key: [str(alert.state) for alert in watched.alerts.values()]
            for watched in self.simulation.engine.rules.watched
            if watched.group.name == "g"
        }


def busy(bound: float = 1, *, name: str = "busy", severity: str = "warning") -> str:
    return RULE % (name, f"{REQUESTS} > {bound}", severity)


BUSY = 'busy{severity="warning"}'


def test_a_pending_alert_goes_on_over_a_reload_that_adds_and_changes_rules(tmp_path: Path) -> None:
    shop = Reloading(tmp_path, busy())
    shop.run(4)
    assert shop.states() == {BUSY: ["pending"]}
    shop.write(busy(name="other") + busy(2))
    shop.poll()
    assert [rule.name for rule in shop.adopted[-1].groups[-1].rules] == ["other", "busy"]
    shop.run(2.5)
    assert [name for _, name in shop.simulation.triggered] == ["busy"]
    shop.run(4)
    assert [name for _, name in shop.simulation.triggered] == ["busy", "other"]


def test_a_rule_that_is_gone_resolves_and_one_that_stays_does_not(tmp_path: Path) -> None:
    shop = Reloading(tmp_path, busy() + busy(name="other"))
    shop.run(7)
    assert len(shop.simulation.triggered) == 2
    shop.write(busy())
    shop.poll()
    shop.simulation.deliver()
    assert [name for _, name in shop.simulation.resolved] == ["other"]
    shop.run(5)
    assert len(shop.simulation.triggered) == 2
    assert len(shop.simulation.resolved) == 1


def test_a_broken_file_changes_nothing_and_is_logged_with_all_that_is_wrong_once_for_each_change(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shop = Reloading(tmp_path, busy())
    shop.run(7)
    with caplog.at_level(logging.ERROR, "otelmon"):
        shop.write(busy(3) + "      - {alert: B, expr: 'up ==='}\n")
        shop.poll(10)
        assert len(errors(caplog)) == 1
        assert "rules/a.yml:5:" in errors(caplog)[0]
        shop.write(busy(3) + "      - {alert: B, expr: 'up ==='}\n\n")
        shop.poll(10)
        assert len(errors(caplog)) == 2
    assert shop.simulation.faults.counts["reload"] == 2
    assert shop.adopted == []
    shop.run(5)
    assert shop.states() == {BUSY: ["firing"]}
    shop.write(busy(3))
    shop.poll()
    assert len(shop.adopted) == 1


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


def test_a_file_that_is_still_being_written_is_left_alone(tmp_path: Path) -> None:
    shop = Reloading(tmp_path, busy())
    shop.poll()
    for number in range(2, 6):
        shop.write(busy(number))
        shop.poll(1)
    assert shop.adopted == []
    shop.poll(1)
    assert len(shop.adopted) == 1
    shop.poll(5)
    assert len(shop.adopted) == 1


def test_a_new_rule_file_is_found_and_the_configuration_counts_too(tmp_path: Path) -> None:
    shop = Reloading(tmp_path, busy())
    shop.write(busy(name="more"), shop.rules.with_name("b.yml"))
    shop.poll()
    assert [path.name for path in shop.adopted[-1].rule_files] == ["a.yml", "b.yml"]
    shop.config.write_text("service: shop\nrule_files: []\nalerts: {error_rate: 7%}\n")
    shop.poll()
    assert [group.name for group in shop.adopted[-1].groups] == ["otelmon"]
    assert shop.adopted[-1].alerting_rule("error_rate") is not None
    shop.config.unlink()
    shop.poll()
    assert len(shop.adopted) == 2
    assert shop.simulation.faults.counts["reload"] == 1


def test_other_settings_wait_for_the_next_start_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shop = Reloading(tmp_path, busy())
    text = "service: shop\nrule_files: [rules/*.yml]\ninterval: 30s\ninstance: web-9\nalerts: {error_rate: off}\n"
    shop.config.write_text(text)
    with caplog.at_level(logging.INFO, "otelmon"):
        made = shop.reloader.reload()
    assert made.later == ("instance", "interval_seconds")
    assert "from the next start on: instance, interval_seconds" in caplog.text
    assert shop.adopted[-1].interval_seconds == 15.0


def test_a_reload_by_command_tells_what_is_wrong_and_keeps_the_rules(tmp_path: Path) -> None:
    shop = Reloading(tmp_path, busy())
    shop.write("      - {alert: B}\n")
    with pytest.raises(ConfigError, match=r"rules/a\.yml:4"):
        shop.reloader.reload()
    assert shop.states() == {BUSY: []}


def test_the_window_keeps_as_much_as_the_new_rules_look_back(tmp_path: Path) -> None:
    shop = Reloading(tmp_path, busy())
    before = shop.simulation.window.retention_seconds
    shop.write(RULE % ("slow", "sum(rate(http_server_request_duration_seconds_count[2h])) > 1", "info"))
    shop.poll()
    assert before < 7200 < shop.simulation.window.retention_seconds


def test_rules_of_one_name_each_have_their_alerts_and_keep_them_over_a_restart(tmp_path: Path) -> None:
    rules = busy() + busy(severity="critical") + busy(100, severity="critical")
    shop = Reloading(tmp_path, rules)
    shop.run(7)
    assert shop.states() == {
        BUSY: ["firing"],
        'busy{severity="critical"}': ["firing"],
        'busy{severity="critical"}#2': [],
    }
    (incident,) = shop.simulation.disk.incidents()
    assert len(incident.alerts) == 2

    again = Simulation(shop.config, clock=shop.simulation.clock, disk=shop.simulation.disk)
    again.run(300, lambda: again.request(times=5))
    assert again.paged_at == []
    assert sum(len(alerts) for alerts in again.engine.rules.alerts.values()) == 2


def test_two_files_may_each_have_a_group_of_one_name(tmp_path: Path) -> None:
    shop = Reloading(tmp_path, busy())
    shop.write(busy(name="other"), shop.rules.with_name("b.yml"))
    shop.poll()
    shop.run(7)
    assert {name for _, name in shop.simulation.triggered} == {"busy", "other"}


def test_a_recorded_series_ends_when_its_rule_is_gone(tmp_path: Path) -> None:
    shop = Reloading(tmp_path, "      - {record: r, expr: vector(1)}\n")
    simulation = shop.simulation
    shop.run(1)
    assert recorded(simulation) == [1.0]
    simulation.clock.advance(1.0)
    shop.write(busy())
    shop.poll()
    assert recorded(simulation) == []


def recorded(simulation: Simulation) -> list[object]:
    evaluation = Query("r").evaluate(simulation.window, simulation.clock.now())
    assert isinstance(evaluation, Evaluation)
    return [element.value for element in evaluation.vector]
