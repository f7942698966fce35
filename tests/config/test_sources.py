"""What is asked in the background, as otelmon.yaml says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from otelmon.config.load import load_settings
from otelmon.config.settings import Settings
from otelmon.errors import ConfigError
from otelmon.instrument.probes import HttpTarget, ProbeSettings, Rhythm, TcpTarget

FULL = """\
probes:
  shop:
    url: https://${USER_OF_SHOP}:pass@shop.example.com/health
    method: POST
    status: [200, 204]
    body: pong
    json: {status: ok, checks: {database: true, replicas: [1, 2]}}
    headers: {X-Token: "${TOKEN}"}
    latency_limit: 800ms
    certificate: 7d
    interval: 30s
    timeout: 2s
    failures: 5
    successes: 1
  mail: {tcp: "mail.example.com:25"}
"""


def settings(folder: Path, text: str) -> Settings:
    (folder / "otelmon.yaml").write_text(text)
    environ = {"HOME": "/home/a", "USER_OF_SHOP": "otto", "TOKEN": "t0ps3cret"}
    return load_settings(None, environ=environ, directory=folder)


def test_a_probe_has_a_target_a_rhythm_and_no_secret_in_what_it_shows(tmp_path: Path) -> None:
    found = settings(tmp_path, FULL)
    shop, mail = found.probes
    assert shop == ProbeSettings(
        name="shop",
        target=HttpTarget(
            url="https://otto:pass@shop.example.com/health",
            method="POST",
            statuses=(200, 204),
            body="pong",
            json={"status": "ok", "checks": {"database": True, "replicas": [1, 2]}},
            headers={"X-Token": "t0ps3cret"},
            latency_limit_seconds=0.8,
            certificate_seconds=7 * 86_400.0,
        ),
        rhythm=Rhythm(interval_seconds=30.0, timeout_seconds=2.0, failures=5, successes=1),
    )
    assert mail == ProbeSettings(name="mail", target=TcpTarget(host="mail.example.com", port=25), rhythm=Rhythm())
    for secret in ("t0ps3cret", "pass@", "otto"):
        assert secret not in repr(found)


def test_redis_is_an_address_or_several_named_without_their_password(tmp_path: Path) -> None:
    (one,) = settings(tmp_path, "redis: redis://otto:pass@cache.example.com:6379/2").redis
    assert (one.name, one.url) == ("cache.example.com:6379/2", "redis://otto:pass@cache.example.com:6379/2")
    assert "pass" not in repr(one)
    found = settings(tmp_path, "redis: [rediss://a.example.com, 'unix:///run/redis.sock']").redis
    assert [each.name for each in found] == ["a.example.com", "localhost/run/redis.sock"]


@pytest.mark.parametrize(
    ("written", "place", "said"),
    [
        ("probes: {shop: {}}", "1:16", "write url: https://... or tcp: host:port"),
        ("probes: {shop: https://a.b}", "1:16", "write {url: https://...} or {tcp: host:port}"),
        ("probes: {shop: {url: 'ftp://otto:pass@a.b'}}", "1:22", "write https://host/path"),
        ("probes: {shop: {url: 'https://a.b:port'}}", "1:22", "write https://host/path"),
        ("probes: {shop: {url: 'http://a.b', certificate: 7d}}", "1:49", "is of an address without one"),
        ("probes: {shop: {tcp: mail}}", "1:22", "write host:port, such as db.internal:5432"),
        ("probes: {shop: {tcp: 'mail:25', status: 200}}", "1:41", "is for url:, not for tcp:"),
        ("probes: {shop: {url: 'https://a.b', status: ok}}", "1:45", "write a number such as 204"),
        ("probes: {shop: {url: 'https://a.b', methd: GET}}", "1:37", 'did you mean "method"?'),
        ("probes: {shop: {url: 'https://a.b', timeout: 20s}}", "1:46", "write a timeout of at most 15s"),
        ("probes: {shop: {url: 'https://a.b', interval: 5}}", "1:47", "write 5s for seconds"),
        ("redis: [cache:6379]", "1:9", "write redis://host:6379/0"),
        ("redis: ['redis://a:pass@b', 'redis://c:pass@b']", "1:29", "the same server stands here already"),
        ("probes: [shop]", "1:9", "a section of keys expected"),
    ],
)
def test_what_cannot_be_meant_is_said_with_its_place_and_what_to_write(
    written: str, place: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as raised:
        settings(tmp_path, written)
    (problem,) = raised.value.problems
    assert f"{problem.line}:{problem.column}" == place
    assert said in str(raised.value)
    assert "pass" not in str(raised.value)
