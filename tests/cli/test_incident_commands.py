"""What the command line does with incidents and silences, on state as a monitor keeps it."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from otelmon.cli.main import app
from otelmon.incidents.model import Resolve
from otelmon.incidents.silence import AddSilence, ExpireSilence
from otelmon.incidents.step import step
from otelmon.paging.model import Outcome, OutcomeKind
from otelmon.storage.sqlite import SqliteStorage
from tests.incidents.test_step import alert, fires
from tests.storage.build import owed

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SqliteStorage:
    """State with one incident, whose page was sent."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    monkeypatch.setenv("OTELMON_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    storage = SqliteStorage(tmp_path / "state" / "shop" / "state.db")
    fired = alert(at=NOW)
    hostile = fired.labels.with_label("http_route", "/a|b [x](http://evil) `c`\n# d")
    made = step({}, [fires(replace(fired, labels=hostile))], at=NOW)
    storage.save(NOW, alerts={}, changes=made.changes, pages=owed(made.changes))
    (page,) = storage.claim(NOW, lease_seconds=60, limit=5)
    delivered = Outcome(kind=OutcomeKind.DELIVERED, reason="HTTP 200", message_id="1")
    storage.record(page.page.id, delivered, NOW + timedelta(seconds=2))
    yield storage
    storage.close()


def otelmon(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_an_incident_is_shown_with_what_happened_and_what_was_sent(storage: SqliteStorage) -> None:
    (incident,) = storage.incidents()
    shown = otelmon("incidents", "show", incident.id.lower())
    assert shown.exit_code == 0, shown.output
    assert "triggered" in shown.stdout
    assert "message delivered  to discord, an incident was triggered: HTTP 200" in shown.stdout
    assert otelmon("incidents", "show", "ZZZZ").exit_code == 1
    assert incident.id in otelmon("incidents").stdout


def test_in_a_pipe_an_incident_is_one_line_with_columns_that_stay(storage: SqliteStorage) -> None:
    (incident,) = storage.incidents()
    long = replace(alert("a_rule_with_a_name_that_is_far_longer_than_eighty_columns_" + "x" * 60, at=NOW))
    made = step({}, [fires(long)], at=NOW, taken={incident.id})
    storage.save(NOW, alerts={}, changes=made.changes)
    shown = otelmon("incidents").stdout.splitlines()
    assert len(shown) == 3
    assert shown[0].split("  ")[0] == "id"
    cells = [[cell.strip() for cell in re.split("  +", line)] for line in shown]
    assert [len(row) for row in cells] == [7, 7, 7]
    assert {line.index("critical") for line in shown[1:]} == {shown[0].index("severity")}
    assert {row[-1] for row in cells[1:]} == {"-"}
    assert long.name in otelmon("incidents").stdout


def test_where_several_have_tokens_each_line_ends_with_whose_it_is(storage: SqliteStorage, tmp_path: Path) -> None:
    (incident,) = storage.incidents()
    fired = alert(at=NOW)
    of_bank = replace(fired, labels=fired.labels.with_label("tenant", "bank"))
    made = step({}, [fires(of_bank)], at=NOW, taken={incident.id})
    storage.save(NOW, alerts={}, changes=made.changes)
    assert "tenant" not in otelmon("incidents").stdout
    for others, columns in (("", 7), (", bank: fedcba9876543210", 8)):
        config = f"serve: {{tokens: {{shop: 0123456789abcdef{others}}}}}\n"
        (tmp_path / "otelmon.yaml").write_text(config, encoding="utf-8")
        cells = [re.split("  +", line.strip()) for line in otelmon("incidents").stdout.splitlines()]
        assert [len(row) for row in cells] == [columns] * 3
    assert [row[-1] for row in cells] == ["tenant", "bank", "-"]


def test_an_incident_is_exported_as_markdown_in_which_labels_are_data(storage: SqliteStorage, tmp_path: Path) -> None:
    (incident,) = storage.incidents()
    assert otelmon("incidents", "export", incident.id, "--output", "incident.md").exit_code == 0
    text = (tmp_path / "incident.md").read_text(encoding="utf-8")
    assert text == otelmon("incidents", "export", incident.id).stdout
    assert text.startswith(f"# Incident {incident.id}: error\\_rate on shop\n")
    assert "/a\\|b \\[x\\](http://evil) \\`c\\` \\# d" in text
    assert "| 2026-03-01 12:00:02 | message delivered |" in text
    assert otelmon("incidents", "export", incident.id, "--output", "no/such/folder.md").exit_code == 1


def test_an_incident_is_resolved_by_hand(storage: SqliteStorage) -> None:
    (incident,) = storage.incidents()
    assert otelmon("resolve", incident.id, "--by", "ada").exit_code == 0
    assert [request.body for request in storage.requests()] == [Resolve(incident_id=incident.id, by="ada")]
    assert otelmon("resolve", "ZZZZ").exit_code == 1


def test_a_silence_is_asked_for_listed_and_expired(storage: SqliteStorage) -> None:
    done = otelmon(
        "silence", "add", "error_rate", 'http_route=~"/pay.*"', "--for", "2h", "--by", "ada", "--comment", "why"
    )
    assert done.exit_code == 0, done.output
    (request,) = storage.requests()
    assert isinstance(request.body, AddSilence)
    asked = request.body.silence
    assert (asked.shown, asked.author, asked.comment) == ('alertname="error_rate", http_route=~"/pay.*"', "ada", "why")
    assert asked.ends_at - asked.starts_at == timedelta(hours=2)
    assert asked.id in done.stdout
    assert asked.id in otelmon("silence", "list").stdout  # before any monitor took it
    storage.save(NOW, alerts={}, taken=[request.id], silences=[asked])
    assert "active" in otelmon("silence", "list").stdout
    assert otelmon("silence", "expire", asked.id.lower(), "--by", "ada").exit_code == 0
    assert [each.body for each in storage.requests()] == [ExpireSilence(silence_id=asked.id, by="ada")]
    assert otelmon("silence", "expire", "SZZZZ").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["error_rate"], "say when it ends"),
        (["error_rate", "--for", "2h", "--until", "2030-01-01"], "give one of them"),
        (["error_rate", "--for", "soon"], "not a duration"),
        (["error_rate", "--until", "2020-01-01"], "end before it begins"),
        (["a=~(", "--for", "1h"], "a:"),
        (["a!=b", "--for", "1h"], "everything would be silent"),
    ],
)
def test_a_silence_that_cannot_be_meant_is_refused(storage: SqliteStorage, arguments: list[str], words: str) -> None:
    done = otelmon("silence", "add", *arguments)
    assert done.exit_code == 1
    assert words in done.stderr
    assert storage.requests() == ()
