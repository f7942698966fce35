"""Secrets in text are masked, and what is none stays readable."""

from __future__ import annotations

import base64
import json
import time

import pytest

from otelmon.masking import masked

# Put together here, so that no scanner of repositories takes them for real ones.
_JWT = ".".join(
    base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
    for part in ({"alg": "HS256", "typ": "JWT"}, {"sub": "1234567890", "name": "Ana"}, {"signature": "made up"})
)
_PEM = "-----BEGIN RSA PRIVATE " + "KEY-----\nMIIEowIBAAKCAQEA75\nabcdef\n-----END RSA PRIVATE " + "KEY-----"

# What is said, and what of it must not be seen.
SECRETS = [
    ("cannot connect to postgresql://shop:hunter2@db.example.com:5432/shop", "hunter2"),
    ("redis://:hunter2@cache:6379/0 is down", "hunter2"),
    ("amqp://guest:p%40ss@rabbit//", "p%40ss"),
    ("GET https://user:pa:ss@api.example.com/v1 failed", "pa:ss"),
    ("mongodb+srv://app:s3cr3t@cluster0.example.net/?retryWrites=true", "s3cr3t"),
    ("https://ghx_user:x@y@z@example.com/", "x@y@z"),
    ("401 for Authorization: Bearer abcdef123456.ghijkl", "abcdef123456"),
    ("headers={'Authorization': 'Basic c2hvcDpodW50ZXIy'}", "c2hvcDpodW50ZXIy"),
    ("bearer 0123456789abcdef was refused", "0123456789abcdef"),
    ("Cookie: session=abc123def; theme=dark", "abc123def"),
    ("Set-Cookie: sid=zzz999; HttpOnly", "zzz999"),
    ("X-Api-Key: k-123456", "k-123456"),
    ("api_key=9f8e7d6c5b4a", "9f8e7d6c5b4a"),
    ("apikey: 9f8e7d6c5b4a", "9f8e7d6c5b4a"),
    ("https://api.example.com/v1?access_token=zxcvbn123&page=2", "zxcvbn123"),
    ("https://maps.example.com/?key=a&signature=Qx12", "Qx12"),
    ('{"password": "correct horse battery staple"}', "horse"),
    ("{'client_secret': 'shhh'}", "shhh"),
    ("password=hunter2 host=db", "hunter2"),
    ("DB_PASSWORD=hunter2", "hunter2"),
    ("the password is hunter2", "hunter2"),
    ("passphrase => tr0ub4dor", "tr0ub4dor"),
    ("pwd:hunter2;server=db", "hunter2"),
    ("AccountKey=ZmFrZS1hY2NvdW50LWtleQ==;EndpointSuffix=core", "ZmFrZS1hY2NvdW50LWtleQ"),
    (f"token {_JWT} expired", _JWT[10:40]),
    (f"invalid: {_JWT}", _JWT.split(".")[1]),
    ("The key AKIA" + "IOSFODNN7EXAMPLE is not valid", "IOSFODNN7EXAMPLE"),
    ("ASIA" + "IOSFODNN7EXAMPLE has expired", "IOSFODNN7EXAMPLE"),
    ("signed with wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY here", "K7MDENG"),
    ("remote: ghp_" + "0123456789abcdefABCDEF0123456789abcd", "0123456789abcdef"),
    ("glpat-" + "abcdefghij0123456789 was revoked", "abcdefghij"),
    ("xoxb-" + "1234567890-abcdefghij", "abcdefghij"),
    ("Invalid API Key provided: sk_" + "live_4eC39HqLyjWDarjtT1zdp7dc", "4eC39HqLyjWDarjtT1zdp7dc"),
    ("AIza" + "SyA1234567890abcdefghijklmnopqrstuv", "SyA1234567890"),
    ("POST https://discord.com/api/webhooks/123456789012345678/abc-DEF_ghi 404", "abc-DEF_ghi"),
    ("https://hooks.slack.com/services/T000/B000/XXXX", "XXXX"),
    (f"cannot load {_PEM}", "MIIEowIBAAKCAQEA75"),
    ("no such user: ana.silva+shop@example.co.uk", "ana.silva"),
    ("duplicate key (email)=(bo@example.com)", "bo@example"),
    ("card 4111 1111 1111 1111 declined", "1111 1111"),
    ("card 5500-0000-0000-0004 declined", "5500-0000"),
    ("pan=378282246310005", "378282246310005"),
    ("order 12 4111111111111111 7", "4111111111111111"),
    ("IBAN GB82 WEST 1234 5698 7654 32", "WEST 1234"),
    ("ssn 078-05-1120", "078-05-1120"),
]  # fmt: skip

# What must stay as it is.
PLAIN = [
    "division by zero",
    "KeyError: 'user_id'",
    "connection to db.example.com:5432 refused",
    "https://api.example.com/v1/orders?page=2&sort=asc returned 503",
    "timeout after 30.5 s (attempt 3 of 5)",
    "order 1234567890123 not found",
    "2026-01-05 12:30:45,123 at line 42 of /app/shop/pay.py",
    "trace 4bf92f3577b34da6a3ce929d0e0e4736",
    "commit 2fd4e1c67a2d28fced849ee1bb76e7391b93eb12",
    "id 8f14e45f-ceea-467f-a0e6-9b1c2d3e4f50",
    "expected a tokenizer, got bypass",
    'column "author" does not exist',
    "0000 0000 0000 0000",
]


def test_the_table_has_forty_at_least() -> None:
    assert len(SECRETS) >= 40


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_a_secret_is_masked(text: str, secret: str) -> None:
    assert secret in text
    said = masked(text)
    assert secret not in said
    assert "***" in said


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_secret_stays(text: str) -> None:
    assert masked(text) == text


def test_masking_twice_changes_nothing_more() -> None:
    for text, _ in SECRETS:
        assert masked(masked(text)) == masked(text)


@pytest.mark.parametrize(
    "text", ["a" * 10**6, "1 " * 10**5, "eyJ" * 10**5, "password" * 10**5, "x@" * 10**5, "://" * 10**5, "A1a" * 10**5]
)
def test_no_text_takes_long(text: str) -> None:
    began = time.process_time()
    masked(text)
    assert time.process_time() - began < 0.5
