"""Runbooks: those that ship and a team's own can be followed at night, and are at hand in the terminal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from otelmon.cli.commands import command_fault
from otelmon.cli.main import app
from otelmon.rules.builtin import builtins
from otelmon.rules.runbook_check import check_runbook
from otelmon.rules.runbooks import first_steps, runbook_names, runbook_text
from otelmon.rules.slo import RUNBOOK

ROOT = Path(__file__).parents[2]
GOOD = """# cart_failures: carts fail

## What it means

Customers cannot put things into their carts.

## First five minutes

1. Look at the log: `journalctl -u shop`; one exception repeats.
2. See what else fires: `otelmon incidents`.
3. Look at the [shop's board](https://wiki.example.com/shop): the last deployment is on top.

## Likely causes

- The cache is down: `otelmon query 'sum(rate(cart_failures_total[5m]))'` began at once. See [errors](error_rate.md).

## Mitigation

- Switch the cache off: `shopctl cache off`. Risk: slower. Undo: `shopctl cache on`.

## How to know it is over

The page is resolved.

## Escalate

To the owner of the carts.

## Tune or silence

Raise its threshold, or `otelmon silence add 'alertname="cart_failures"' --for 2h --comment migration`.
"""


def problems(text: str, file: str = "runbooks/cart_failures.md") -> list[str]:
    return [str(each) for each in check_runbook(text, file=file, known=runbook_names(), command_fault=command_fault)]


@pytest.mark.parametrize("name", runbook_names())
def test_a_runbook_that_ships_holds_what_is_asked_of_any(name: str):
    text = runbook_text(name)
    assert text is not None
    assert problems(text, f"runbooks/{name}.md") == []


def test_each_built_in_alert_has_its_runbook_and_each_runbook_its_alert():
    # All SLOs share one.
    assert set(runbook_names()) == {*builtins(), RUNBOOK}


def test_a_good_runbook_has_no_problems():
    assert problems(GOOD) == []


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            "# cart_failures: carts fail",
            "# Carts",
            "runbooks/cart_failures.md:1: the first line is not the alert's name",
        ),
        ("## Escalate", "## Whom to call", "runbooks/cart_failures.md:25: there is a heading 'Whom to call'"),
        ("## Escalate\n\nTo the owner of the carts.\n\n", "", "the heading 'Escalate' is missing"),
        ("The page is resolved.\n", "", "nothing stands under 'How to know it is over'"),
        ("2. See what else fires: `otelmon incidents`.\n3.", "2.", "have 2 numbered steps"),
        (
            "`journalctl -u shop`; one exception repeats",
            "and think",
            ":9: step 1 names no command and no place to look",
        ),
        ("- The cache is down: `otelmon query 'sum(", "The cache: `otelmon query 'sum(", "no causes are listed"),
        ("`otelmon query 'sum(rate(cart_failures_total[5m]))'`", "it", "no query tells the causes apart"),
        ("- Switch the cache off", "Switch the cache off", "no mitigation is listed"),
        ("Risk: slower.", "", ":19: a mitigation has no 'Risk:'"),
        ("Undo: `shopctl cache on`.", "", "a mitigation has no 'Undo:'"),
        ("`otelmon incidents`", "`otelmon incident`", ":10: `otelmon incident`: there is no command 'incident'"),
        ("--for 2h", "--during 2h", "No such option"),
        ("--comment migration`", "--comment 'migration`", "is no command: No closing quotation"),
        ("[5m]))", "[5m]", ":15: 'sum(rate(cart_failures_total[5m]' cannot be evaluated"),
        ("(error_rate.md)", "(errors.md)", ":15: the link to 'errors.md' leads nowhere"),
        ("(https://wiki.example.com/shop)", "(wiki)", "the link to 'wiki' leads nowhere"),
    ],
)
def test_each_way_of_not_helping_is_said_with_its_line(before: str, after: str, said: str):
    assert before in GOOD
    found = problems(GOOD.replace(before, after))
    assert any(said in each for each in found), found


def test_headings_in_another_order_are_said():
    means, first = "## What it means", "## First five minutes"
    swapped = GOOD.replace(means, "#").replace(first, means).replace("#\n", first + "\n", 1)
    assert any("the headings are in another order" in each for each in problems(swapped))


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A team's folder: a rule of its own, and a runbook for it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OTELMON_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "otelmon.yaml").write_text(
        "service: shop\nrunbooks: books\nalerts:\n  cart_failures:\n    expr: sum(rate(cart_failures_total[5m])) > 1\n"
        "    severity: warning\n    runbook: cart_failures\n",
        encoding="utf-8",
    )
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "cart_failures.md").write_text(GOOD, encoding="utf-8")
    return tmp_path


def test_a_teams_runbooks_are_checked_with_the_configuration(team: Path):
    assert CliRunner().invoke(app, ["check"]).exit_code == 0
    (team / "books" / "cart_failures.md").write_text(GOOD.replace("Risk: slower.", ""), encoding="utf-8")
    (team / "books" / "cart_failure.md").write_text(GOOD, encoding="utf-8")
    for words in (["check"], ["check", "otelmon.yaml"]):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 1
        assert "books/cart_failures.md:19: a mitigation has no 'Risk:'" in result.output
        assert (
            "books/cart_failure.md: there is no alert 'cart_failure'; did you mean \"cart_failures\"?" in result.output
        )


def test_a_folder_that_is_not_there_is_refused(team: Path):
    (team / "otelmon.yaml").write_text("service: shop\nrunbooks: nowhere\n", encoding="utf-8")
    result = CliRunner().invoke(app, ["check"])
    assert result.exit_code == 1
    assert "otelmon.yaml:2:11: runbooks: 'nowhere' is no folder; make the folder" in result.output


def test_a_teams_runbook_gives_the_first_steps_of_its_pages_and_takes_the_place_of_a_built_in_one(team: Path):
    books = team / "books"
    assert first_steps("cart_failures", books)[1] == "See what else fires: `otelmon incidents`."
    assert first_steps("cart_failures") == ()
    assert first_steps("error_rate", books) == first_steps("error_rate")
    (books / "error_rate.md").write_text(GOOD.replace("cart_failures:", "error_rate:"), encoding="utf-8")
    assert first_steps("error_rate", books)[0] == "Look at the log: `journalctl -u shop`; one exception repeats."


@pytest.mark.usefixtures("team")
def test_a_runbook_is_shown_in_the_terminal():
    shown = CliRunner().invoke(app, ["runbook", "cart_failures"])
    assert (shown.exit_code, shown.output) == (0, GOOD)
    assert CliRunner().invoke(app, ["runbook", "error_rate"]).output.startswith("# error_rate: ")
    listed = CliRunner().invoke(app, ["runbook"]).output.split()
    assert listed == sorted({*builtins(), RUNBOOK, "cart_failures"})
    missed = CliRunner().invoke(app, ["runbook", "error_rates"])
    assert missed.exit_code == 1
    assert "there is no alert and no runbook 'error_rates'; did you mean \"error_rate\"?" in missed.output


def test_an_alert_shows_the_runbook_that_its_rule_names(team: Path):
    config = team / "otelmon.yaml"
    config.write_text(
        re.sub("runbook: .*", "runbook: error_rate", config.read_text(encoding="utf-8")), encoding="utf-8"
    )
    assert CliRunner().invoke(app, ["runbook", "cart_failures"]).output.startswith("# error_rate: ")
    config.write_text(
        re.sub("runbook: .*", "runbook: https://wiki.example.com/x", config.read_text(encoding="utf-8")),
        encoding="utf-8",
    )
    (team / "books" / "cart_failures.md").unlink()
    missed = CliRunner().invoke(app, ["runbook", "cart_failures"])
    assert missed.exit_code == 1
    assert "its rule says: https://wiki.example.com/x" in missed.output
