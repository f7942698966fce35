"""The rules of collector-config/ hold by their unit tests, for otelmon and promtool, and for the names that come."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from otelmon.cli.main import app as command
from otelmon.collect.names import Kind, label_name, metric_name
from otelmon.rules.breakdown import BREAKDOWN_ANNOTATION
from otelmon.rules.load import load_rule_file
from tests.collector_config.documents import FOLDER, ROOT, document
from tests.collector_config.test_collector import read

RULES = sorted((FOLDER / "rules").glob("*.yml"))
TESTS = sorted((FOLDER / "rules" / "tests").glob("*.yml"))


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_the_unit_tests_of_rules_pass(path: Path) -> None:
    done = CliRunner().invoke(command, ["test", str(path)])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_promtool_gives_the_same_verdict(path: Path, tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool on PATH: only otelmon has run the unit tests")
    asked = path.read_text(encoding="utf-8")
    for name in document(asked)["rule_files"]:
        copy = tmp_path / Path(name).name
        copy.write_text(without_breakdowns((path.parent / name).read_text(encoding="utf-8")), encoding="utf-8")
        asked = asked.replace(name, copy.name)
    (tmp_path / path.name).write_text(asked, encoding="utf-8")
    done = subprocess.run(
        [promtool, "test", "rules", path.name], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def without_breakdowns(rules: str) -> str:
    """To otelmon a breakdown is no annotation of the alert, to Prometheus it is: export leaves it out."""
    read = document(rules)
    for group in read["groups"]:
        for rule in group["rules"]:
            rule.get("annotations", {}).pop(BREAKDOWN_ANNOTATION, None)
    return yaml.safe_dump(read, sort_keys=False)


def test_each_rule_file_is_tested_and_a_changed_rule_fails(tmp_path: Path) -> None:
    for path in RULES:
        test = FOLDER / "rules" / "tests" / f"{path.stem}_test.yml"
        changed = tmp_path / path.name
        text = path.read_text(encoding="utf-8")
        for old, new in (('state="used"', 'state="free"'), ("up == 0", "up == 1"), ("SPAN_KIND_SERVER", "SPAN_KIND_X")):
            text = text.replace(old, new)
        changed.write_text(text, encoding="utf-8")
        copy = tmp_path / test.name
        rules = document(test.read_text(encoding="utf-8"))["rule_files"]
        asked = test.read_text(encoding="utf-8")
        for rule in rules:
            asked = asked.replace(rule, str(changed if rule == f"../{path.name}" else (test.parent / rule).resolve()))
        copy.write_text(asked, encoding="utf-8")
        assert CliRunner().invoke(command, ["test", str(copy)]).exit_code == 1, path.name


def test_what_the_gateway_makes_of_spans_has_the_name_and_the_bounds_of_the_built_in_alerts() -> None:
    config = read("gateway.yaml")
    spans = config["connectors"]["spanmetrics/requests"]
    unit = spans["histogram"]["unit"]
    made = f"{spans['namespace']}.duration"
    rename = config["processors"]["transform/requests"]["metric_statements"][-1]
    assert rename == f'set(metric.name, "http.server.request.duration") where metric.name == "{made}"'
    name = metric_name("http.server.request.duration", unit, Kind.HISTOGRAM)
    built_in = (ROOT / "otelmon" / "rules" / "builtin.yml").read_text(encoding="utf-8")
    for suffix in ("_count", "_bucket"):
        assert f"{name}{suffix}" in built_in
    labels = {label_name(each["name"]) for each in spans["dimensions"]}
    assert labels >= {"http_route", "http_response_status_code", "error_type"}
    assert all(label in built_in for label in labels - {"http_request_method"})
    filtered = config["processors"]["filter/calls"]["metrics"]["metric"]
    assert filtered == [f'name == "{spans["namespace"]}.calls"']


def test_the_rules_for_traces_read_the_names_that_the_connector_gives_by_itself() -> None:
    text = (FOLDER / "rules" / "traces.yml").read_text(encoding="utf-8")
    for unit in ("ms", "s"):
        assert f"{metric_name('traces.span.metrics.duration', unit, Kind.HISTOGRAM)}_bucket" in text
    (group,) = load_rule_file(FOLDER / "rules" / "traces.yml")
    name = metric_name("http.server.request.duration", "s", Kind.HISTOGRAM)
    assert {rule.name for rule in group.rules} == {name, f"{name}_count", f"{name}_bucket"}


def test_the_rules_for_hosts_read_the_names_that_the_receiver_gives() -> None:
    text = (FOLDER / "rules" / "host.yml").read_text(encoding="utf-8")
    # metadata.yaml of the receiver's scrapers: name, unit, kind.
    for name, unit, kind in (
        ("system.filesystem.usage", "By", Kind.UP_DOWN),
        ("system.memory.usage", "By", Kind.UP_DOWN),
        ("system.cpu.time", "s", Kind.COUNTER),
    ):
        assert metric_name(name, unit, kind) in text
    scrapers = read("agent.yaml")["receivers"]["hostmetrics"]["scrapers"]
    assert {"filesystem", "memory", "cpu"} <= scrapers.keys()


def test_promtool_takes_the_scrapes(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool on PATH: Prometheus has not read prometheus.yaml's scrapes")
    import yaml

    config = read("prometheus.yaml")["receivers"]["prometheus"]["config"]
    path = tmp_path / "prometheus.yml"
    path.write_text(yaml.safe_dump(config).replace("$$", "$"), encoding="utf-8")
    done = subprocess.run([promtool, "check", "config", path], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
