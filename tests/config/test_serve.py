"""`serve:`, `endpoint:` and `token:`: what they mean, and what is said of what cannot be meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from otelmon.config.load import load_settings
from otelmon.config.serve import Listen
from otelmon.config.settings import Settings
from otelmon.errors import ConfigError

TOKEN = "0123456789abcdef0123456789abcdef"


def load(folder: Path, text: str, *, server: bool = True, **environ: str) -> Settings:
    (folder / "otelmon.yaml").write_text(text, encoding="utf-8")
    return load_settings(None, environ={"HOME": "/home/a", **environ}, directory=folder, server=server)


def faults(folder: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text, **environ)
    return [str(problem) for problem in caught.value.problems]


def test_without_a_word_it_listens_on_this_machine_under_a_name_of_its_own(tmp_path: Path) -> None:
    found = load(tmp_path, "service: shop\n", OTEL_SERVICE_NAME="shop")
    serve = found.serve
    assert (found.service, serve.host, serve.http_port, serve.grpc_port) == ("otelmon", "127.0.0.1", 4318, 4317)
    assert serve.public == Listen(host="127.0.0.1", port=4319)
    assert found.max_series == 200_000
    assert found.state_dir.name == "otelmon"


def test_all_of_it_can_be_said(tmp_path: Path) -> None:
    for name in ("a.pem", "a.key", "ca.pem"):
        (tmp_path / name).touch()
    text = """
serve:
  name: watch
  host: 0.0.0.0
  grpc: off
  http: 8318
  public: "[::1]:0"
  tokens: {shop: "${SHOP}", blog: "${SHOP}x"}
  tls: {certificate: a.pem, key: a.key, client_ca: ca.pem}
  max_body: 8MiB
  share: 20%
  forget_after: 2h
"""
    serve = load(tmp_path, text, SHOP=TOKEN).serve
    assert (serve.name, serve.host, serve.grpc_port, serve.http_port) == ("watch", "0.0.0.0", None, 8318)
    assert serve.public == Listen(host="::1", port=0)
    assert {whose: token.get_secret_value() for whose, token in serve.tokens.items()} == {
        "shop": TOKEN,
        "blog": TOKEN + "x",
    }
    assert serve.tls is not None
    assert serve.tls.client_ca == tmp_path / "ca.pem"
    assert (serve.max_body_bytes, serve.share, serve.forget_seconds) == (8 * 2**20, 0.2, 7200.0)
    assert TOKEN not in repr(serve)


def test_beyond_this_machine_somebody_has_to_be_asked_who_they_are(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, "serve: {host: 0.0.0.0}\n")
    assert "otelmon.yaml:1" in fault
    assert "tokens" in fault
    load(tmp_path, "serve: {host: localhost}\n")
    load(tmp_path, 'serve: {host: 0.0.0.0, tokens: {apps: "${T}"}}\n', T=TOKEN)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("serve: {http: 99999}", "serve.http"),
        ("serve: {grpc: here}", "serve.grpc"),
        ("serve: {grpc: off, http: off}", "serve.http"),
        ("serve: {public: nowhere}", "serve.public"),
        ("serve: {tokens: {apps: short}}", "serve.tokens.apps"),
        ('serve: {tokens: {apps: "${UNSET:-}"}}', "serve.tokens.apps"),
        ("serve: {tls: {certificate: none.pem}}", "serve.tls"),
        ("serve: {max_body: much}", "serve.max_body"),
        ("serve: {share: 0%}", "serve.share"),
        ("serve: {share: 0.5}", "serve.share"),
        ("serve: {name: ../etc}", "serve.name"),
        ("serve: {port: 1}", "serve.port"),
        ("serve: {http: 4317}", "serve.http: the port 4317 is that of grpc: already"),
        ("serve: {public: 127.0.0.1:4318}", "serve.public: the port 4318 is that of http: already"),
        (f"serve: {{tokens: {{a: {TOKEN}, b: {TOKEN}}}}}", "serve.tokens.b: is the token of a too"),
    ],
)
def test_what_cannot_be_meant_is_said_with_its_place(tmp_path: Path, text: str, key: str) -> None:
    assert any("otelmon.yaml:1" in fault and key in fault for fault in faults(tmp_path, text))


def test_an_app_is_told_of_its_server_by_the_file_or_the_environment(tmp_path: Path) -> None:
    text = 'endpoint: "${SERVER:-}"\ntoken: "${TOKEN:-}"\n'
    assert load(tmp_path, text, server=False).client is None
    found = load(tmp_path, text, server=False, SERVER="http://file:4318/", TOKEN="of the file").client
    assert found is not None
    assert (found.url, found.token and found.token.get_secret_value()) == ("http://file:4318", "of the file")
    found = load(tmp_path, text, server=False, OTELMON_ENDPOINT="https://otelmon:4318", OTELMON_TOKEN=TOKEN).client
    assert found is not None
    assert found.url == "https://otelmon:4318"
    assert TOKEN not in repr(found)
    assert load(tmp_path, text, OTELMON_ENDPOINT="https://otelmon:4318").client is None  # a server sends to nobody


def test_an_app_may_have_files_of_tls_for_its_server(tmp_path: Path) -> None:
    for name in ("ca.pem", "app.pem", "app.key"):
        (tmp_path / name).touch()
    text = "endpoint: https://otelmon:4318\nendpoint_tls: {ca: ca.pem, certificate: app.pem, key: app.key}\n"
    found = load(tmp_path, text, server=False).client
    assert found is not None
    assert (found.tls.ca, found.tls.key) == (tmp_path / "ca.pem", tmp_path / "app.key")
    for wrong in ("{ca: none.pem}", "{certificate: app.pem}", "{token: x}"):
        (tmp_path / "otelmon.yaml").write_text(f"endpoint_tls: {wrong}\n", encoding="utf-8")
        with pytest.raises(ConfigError, match="endpoint_tls"):
            load_settings(None, environ={"HOME": "/home/a"}, directory=tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "otelmon:4318", "ftp://otelmon", "http://", "http://user:secret@otelmon:4318", "http://a b",
        "http://otelmon:4317", "http://otelmon:4318/v1/metrics",
    ],
)  # fmt: skip
def test_what_is_no_address_is_said_without_a_word_of_it(tmp_path: Path, url: str) -> None:
    (tmp_path / "otelmon.yaml").write_text(f"endpoint: '{url}'\n", encoding="utf-8")
    for environ in ({}, {"OTELMON_ENDPOINT": url}):
        with pytest.raises(ConfigError) as caught:
            load_settings(None, environ={"HOME": "/home/a", **environ}, directory=tmp_path)
        assert "secret" not in str(caught.value)
        assert "4318" in str(caught.value)  # what to write instead
