"""Pages in the log, where there is no webhook."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from otelmon.notify.log import LogNotifier, line
from otelmon.paging.model import OutcomeKind, PageReason
from otelmon.rules.model import Severity
from tests.notify.pages import AT, MESSAGE, owed


@pytest.mark.parametrize(
    ("change", "level", "begins"),
    [
        ({}, logging.ERROR, "PAGE CRITICAL: Error rate 31 %"),
        ({"severity": Severity.WARNING}, logging.WARNING, "PAGE WARNING: Error rate 31 %"),
        ({"severity": Severity.INFO}, logging.WARNING, "PAGE INFO: Error rate 31 %"),
        ({"resolved": True, "short": True}, logging.WARNING, "PAGE RESOLVED (critical): Error rate 31 %"),
    ],
)
def test_a_page_is_one_record_that_is_seen_even_without_logging_configured(change, level, begins, caplog):
    outcome = LogNotifier().send(owed(**change), AT)
    assert (outcome.kind, outcome.message_id) == (OutcomeKind.DELIVERED, "7KQ2.triggered")
    (record,) = caplog.records
    assert record.levelno == level
    assert record.name == "otelmon.pages"
    assert record.getMessage().startswith(begins)


def test_the_record_holds_all_that_a_reader_needs_and_no_more_for_a_short_page():
    message = replace(MESSAGE, description="Requests fail.\nMany.", link="https://runbooks.example/x", footer="7KQ2")
    assert line(message) == (
        "PAGE CRITICAL: Error rate 31 % | Requests fail. Many. | Service=shop | since 2026-01-05T12:00:00+00:00"
        " | runbook https://runbooks.example/x | 7KQ2"
    )
    assert line(replace(message, short=True)) == "PAGE CRITICAL: Error rate 31 %"


def test_a_label_cannot_forge_a_second_record():
    assert "\n" not in line(replace(MESSAGE, title="x\nCRITICAL\x1b[31m forged\r\u2028y"))
    assert "\x1b" not in line(replace(MESSAGE, title="x\x1b[31m"))


def test_an_edit_is_written_only_when_nothing_else_says_it(caplog):
    edit = owed("e", edited_message_id="1", resolved=True)
    resolved = replace(edit, page=replace(edit.page, reason=PageReason.RESOLVED))
    assert LogNotifier().send(resolved, AT).kind is OutcomeKind.DELIVERED
    assert caplog.records == []
    edit = owed("e", edited_message_id="1", acknowledged_by="Ada")
    LogNotifier().send(replace(edit, page=replace(edit.page, reason=PageReason.ACKNOWLEDGED)), AT)
    (record,) = caplog.records
    assert record.getMessage().startswith("PAGE ACKNOWLEDGED by Ada (critical): Error rate 31 %")


def test_the_link_by_which_anybody_may_acknowledge_is_in_no_log():
    address = "https://shop.example.com/otelmon/ack/7KQ2-1-1790000000.signature"
    assert "signature" not in line(replace(MESSAGE, acknowledge=address))
