"""Captured pages, the outbox in memory, the hunt for secrets, and the kit's face."""

from __future__ import annotations

import logging

import pytest

import otelmon.testing
from otelmon.paging.model import Outcome, OutcomeKind
from otelmon.testing import CapturedPages, MemoryOutbox, assert_no_secret
from tests.notify.pages import AT, later, owed, page

URL = "https://discord.example/api/webhooks/1180000000000000001/the-very-secret-token"


def outcome(kind, **details):
    return Outcome(kind=kind, reason="because", **details)


def test_all_that_is_promised_can_be_imported_and_nothing_else():
    for name in otelmon.testing.__all__:
        assert getattr(otelmon.testing, name) is not None
    with pytest.raises(AttributeError, match="nothing_of_the_sort"):
        otelmon.testing.nothing_of_the_sort  # noqa: B018


def test_captured_pages_are_kept_in_order_and_can_be_waited_for():
    captured = CapturedPages()
    assert captured.send(owed("a"), AT).kind is OutcomeKind.DELIVERED
    captured.send(owed("b"), AT)
    assert [sent.id for sent in captured.pages] == ["a", "b"]
    assert captured.wait_for(lambda sent: sent.id == "b").id == "b"
    with pytest.raises(AssertionError, match="2 others"):
        captured.wait_for(lambda sent: False, timeout=0.01)


def test_a_lease_ends_and_the_page_is_claimed_again():
    outbox = MemoryOutbox([page("a")])
    assert len(outbox.claim(AT, lease_seconds=60, limit=5)) == 1
    assert outbox.claim(later(59), lease_seconds=60, limit=5) == []
    (again,) = outbox.claim(later(60), lease_seconds=60, limit=5)
    assert again.attempts == 0


def test_owing_twice_owes_once_also_after_it_was_sent():
    outbox = MemoryOutbox([page("a"), page("a")])
    assert len(outbox.claim(AT, lease_seconds=60, limit=5)) == 1
    outbox.record("a", outcome(OutcomeKind.DELIVERED), AT)
    outbox.owe(page("a"))
    assert outbox.claim(later(100), lease_seconds=60, limit=5) == []


def test_an_edit_is_claimed_with_the_message_it_edits_and_a_retry_when_it_is_due():
    outbox = MemoryOutbox([page("a"), page("e", edits="a")])
    assert [claimed.page.id for claimed in outbox.claim(AT, lease_seconds=60, limit=5)] == ["a"]
    outbox.record("a", outcome(OutcomeKind.RETRY, retry_at=later(5)), AT)
    assert outbox.claim(later(4), lease_seconds=60, limit=5) == []
    (again,) = outbox.claim(later(5), lease_seconds=60, limit=5)
    assert again.attempts == 1
    outbox.record("a", outcome(OutcomeKind.DELIVERED, message_id="m1"), later(5))
    (edit,) = outbox.claim(later(5), lease_seconds=60, limit=5)
    assert edit.edited_message_id == "m1"
    assert outbox.claim(later(5), lease_seconds=60, limit=5, targets=["other"]) == []


class Leaky:
    def __init__(self, url):
        self.url = url


@pytest.mark.parametrize(
    "leak",
    [
        f"POST {URL}",
        URL.encode(),
        "…/the-very-secret-token",
        ["fine", {"deep": URL}],
        Leaky(URL),
        ValueError(URL),
        logging.LogRecord("httpx", logging.INFO, "", 0, "HTTP Request: %s %s", ("POST", URL), None),
        "https%3A%2F%2Fdiscord.example%2Fapi%2Fwebhooks%2F1180000000000000001%2Fthe-very-secret-token",
    ],
)
def test_a_leak_is_found(leak):
    with pytest.raises(AssertionError, match="a secret shows in") as caught:
        assert_no_secret(URL, "fine", leak)
    assert "the-very-secret-token" not in str(caught.value)


def test_a_leak_in_what_led_to_an_error_is_found():
    try:
        try:
            raise ValueError(URL)  # noqa: TRY301
        except ValueError as cause:
            raise RuntimeError("sending failed") from cause
    except RuntimeError as error:
        with pytest.raises(AssertionError):
            assert_no_secret(URL, error)


def test_what_does_not_leak_passes():
    assert_no_secret(URL, "https://discord.example/", Leaky("elsewhere"), RuntimeError("x"), None, 5, [b"\xff"])
