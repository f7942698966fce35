"""What a link is worth: to whom, for what, and until when."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from itsdangerous import Signer
from pydantic import SecretStr

from otelmon.incidents.model import Acknowledge, Incident, IncidentState
from otelmon.server.links import LIFETIME, Links, Verdict, judge
from otelmon.testing import assert_no_secret
from tests.alerts.build import minute
from tests.incidents.test_step import FIRST, Story, alert, fires, resolves

SECRET = SecretStr("a-secret-that-signs-the-links-of-tests")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LINKS = Links(SECRET, "https://shop.example.com")


def incident(story: Story | None = None) -> Incident:
    story = story or Story()
    made = story.at(0, [fires(FIRST)])
    return made.changes[0].incident


A = incident()
B = Story().at(0, [fires(alert("disk_usage", at=minute(0)))]).changes[0].incident
TOKEN = LINKS.token(A, NOW)


def test_a_link_is_good_for_its_incident_until_it_expires() -> None:
    claim = LINKS.read(TOKEN)
    assert claim is not None
    assert (claim.incident_id, claim.rounds, claim.expires_at) == (A.id, 1, NOW + LIFETIME)
    assert judge(claim, A, NOW) is Verdict.VALID
    assert judge(claim, A, NOW + LIFETIME - timedelta(seconds=1)) is Verdict.VALID
    assert judge(claim, A, NOW + LIFETIME) is Verdict.EXPIRED
    assert LINKS.address(A, NOW) == f"https://shop.example.com/otelmon/ack/{TOKEN}"
    assert len(TOKEN) < 120  # Discord takes 512 characters in a button


def test_a_link_says_nothing_of_another_incident() -> None:
    claim = LINKS.read(TOKEN)
    assert judge(claim, B, NOW) is Verdict.UNKNOWN
    assert judge(claim, None, NOW) is Verdict.UNKNOWN


@pytest.mark.parametrize(
    "token",
    [
        "",
        "nothing",
        TOKEN[:-1],
        TOKEN[1:],
        TOKEN + "A",
        TOKEN + "=",
        TOKEN + "\n",
        TOKEN.replace("-1-", "-2-"),
        TOKEN.replace(A.id, B.id),
        TOKEN.partition(".")[0],
        TOKEN.partition(".")[2],
        f"{B.id}-1-9999999999.{TOKEN.rpartition('.')[2]}",
        "ü" * 20,
        "A" * 100_000,
    ],
)
def test_what_otelmon_did_not_make_is_forged(token: str) -> None:
    assert LINKS.read(token) is None
    assert judge(LINKS.read(token), A, NOW) is Verdict.FORGED


def test_another_secret_another_purpose_and_no_claim_are_forged() -> None:
    assert Links(SecretStr("another"), "https://shop.example.com").read(TOKEN) is None
    text = TOKEN.partition(".")[0]
    for salt in ("otelmon.resolve", "itsdangerous.Signer"):
        other = Signer(SECRET.get_secret_value(), salt=salt, key_derivation="hmac", digest_method=hashlib.sha256)
        assert LINKS.read(other.sign(text).decode()) is None
    assert LINKS.read(LINKS._signer.sign("no claim").decode()) is None


def test_processes_with_the_same_secret_read_each_others_links() -> None:
    assert Links(SecretStr(SECRET.get_secret_value()), "http://elsewhere").read(TOKEN) == LINKS.read(TOKEN)


@given(st.integers(0, len(TOKEN)), st.text(st.characters(codec="ascii"), max_size=3), st.integers(0, 3))
@settings(max_examples=400, deadline=None)
def test_no_changed_link_is_genuine(place: int, put: str, dropped: int) -> None:
    changed = TOKEN[:place] + put + TOKEN[place + dropped :]
    assume(changed != TOKEN)
    assert LINKS.read(changed) is None


def test_no_spelling_of_the_same_signature_is_genuine() -> None:
    """Base64 ignores the last bits of its last character, and Python's also what is no base64 at all."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_!.=\n"
    assert not [last for last in alphabet if last != TOKEN[-1] and LINKS.read(TOKEN[:-1] + last)]
    assert not [put for put in alphabet if LINKS.read(TOKEN + put)]


def test_an_acknowledged_or_resolved_incident_is_not_taken_again() -> None:
    claim = LINKS.read(TOKEN)
    assert judge(claim, replace(A, state=IncidentState.ACKNOWLEDGED), NOW) is Verdict.ACKNOWLEDGED
    assert judge(claim, replace(A, state=IncidentState.RESOLVED), NOW) is Verdict.RESOLVED


def test_a_link_from_before_a_reopening_or_an_expired_acknowledgement_takes_nothing() -> None:
    story = Story()
    first = incident(story)
    claim = LINKS.read(LINKS.token(first, NOW))
    story.at(1, [], Acknowledge(incident_id=first.id, by="ada"))
    assert judge(claim, story.open[first.id], NOW) is Verdict.ACKNOWLEDGED
    story.at(62)
    assert story.kinds[-1] == "acknowledgement expired"
    assert judge(claim, story.open[first.id], NOW) is Verdict.OUTDATED
    second = LINKS.read(LINKS.token(story.open[first.id], NOW))
    assert judge(second, story.open[first.id], NOW) is Verdict.VALID
    story.at(63, [resolves(FIRST, minute(63))])
    assert judge(second, story.recent[first.id], NOW) is Verdict.RESOLVED
    story.at(64, [fires(replace(FIRST, fired_at=minute(64)))])
    assert story.kinds[-1] == "reopened"
    assert judge(second, story.open[first.id], NOW) is Verdict.OUTDATED
    assert judge(LINKS.read(LINKS.token(story.open[first.id], NOW)), story.open[first.id], NOW) is Verdict.VALID


def test_the_secret_shows_nowhere() -> None:
    assert_no_secret(SECRET.get_secret_value(), LINKS, SECRET, TOKEN)
