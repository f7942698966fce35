"""The heartbeat's address: a secret wherever it comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from otelmon.config.load import load_settings
from otelmon.config.settings import Settings
from otelmon.errors import ConfigError

URL = "https://hc-ping.example.com/9f3b1c2d-secret"


def load(folder: Path, text: str, **environ: str) -> Settings:
    (folder / "otelmon.yaml").write_text(f"service: shop\n{text}", encoding="utf-8")
    return load_settings(None, environ=environ, directory=folder)


def test_it_comes_from_the_file_and_the_environment_wins(tmp_path: Path) -> None:
    settings = load(tmp_path, f"heartbeat_url: {URL}\nheartbeat_every: 2m\n")
    assert settings.heartbeat_url is not None
    assert (settings.heartbeat_url.get_secret_value(), settings.heartbeat_seconds) == (URL, 120)
    assert "secret" not in repr(settings)
    settings = load(tmp_path, "heartbeat_url: https://other.example.com\n", OTELMON_HEARTBEAT_URL=URL)
    assert settings.heartbeat_url is not None
    assert (settings.heartbeat_url.get_secret_value(), settings.heartbeat_seconds) == (URL, 30)


@pytest.mark.parametrize("text", ["", "heartbeat_url: ${HEARTBEAT_URL:-}\n"])
def test_there_is_none_unless_one_is_set(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text).heartbeat_url is None


@pytest.mark.parametrize(
    "url", ["hc-ping.example.com/secret", "ftp://a/secret", "https:///secret", "https://a:x/secret"]
)
def test_what_is_no_address_is_said_without_a_word_of_it(tmp_path: Path, url: str) -> None:
    for text, environ, place in (
        (f"heartbeat_url: {url}\n", {}, "otelmon.yaml:2"),
        ("", {"OTELMON_HEARTBEAT_URL": url}, "OTELMON_HEARTBEAT_URL"),
    ):
        with pytest.raises(ConfigError) as caught:
            load(tmp_path, text, **environ)
        assert place in str(caught.value)
        assert "secret" not in str(caught.value)


def test_an_interval_out_of_bounds_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="heartbeat_every"):
        load(tmp_path, f"heartbeat_url: {URL}\nheartbeat_every: 0s\n")
