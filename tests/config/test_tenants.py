"""Whoever otelmon.yaml names as a tenant must have a token."""

from __future__ import annotations

from pathlib import Path

import pytest

from otelmon.config.load import load_settings
from otelmon.config.settings import Settings
from otelmon.errors import ConfigError

TOKENS = "serve: {tokens: {shop: 0123456789abcdef, bank: fedcba9876543210}}\n"


def load(folder: Path, text: str) -> Settings:
    (folder / "otelmon.yaml").write_text(text, encoding="utf-8")
    return load_settings(None, environ={"HOME": str(folder)}, directory=folder, server=True)


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        (
            "routes:\n  - {match: 'tenant=\"shpo\"', notify: [log]}",
            ":3:13",
            "routes[1].match: nobody has a token whom tenant='shpo' could mean; did you mean \"shop\"?",
        ),
        ("routes: [{match: [a, 'tenant=~\"x|y\"']}]", ":2:22", "'x|y' could mean; serve: tokens: has shop, bank"),
        ("inhibit: [{source: 'tenant=x', target: b}]", ":2:20", "inhibit[1].source: nobody has a token"),
        ("inhibit: [{source: a, target: 'tenant=x'}]", ":2:31", "inhibit[1].target: nobody has a token"),
        (
            "alerts: {a: {expr: up > 1, labels: {tenant: x}}}",
            ":2",
            "a: nobody has a token who is called 'x'; serve: tokens: has shop, bank",
        ),
        (
            "alerts: {a: {expr: up > 1, labels: {tenant: '{{ $labels.team }}'}}}",
            ":2",
            "the label tenant is whose token the series came with, and no template",
        ),
        (
            'alerts: {a: {expr: \'up{tenant="shop"} > on () up{tenant="bank"}\'}}',
            ":2",
            "a looks at series of no tenant, or of more than one: each has only its own",
        ),
        ("alerts: {a: {expr: 'up{tenant=\"x\"} > 1'}}", ":2", "a looks at series of no tenant"),
        ("rule_files: [r.yml]", "r.yml:3", "A: nobody has a token who is called 'x'"),
    ],
)
def test_a_tenant_without_a_token_is_a_mistake(tmp_path: Path, text: str, place: str, message: str) -> None:
    rules = "groups:\n- name: g\n  rules: [{alert: A, expr: up > 1, labels: {tenant: x}}]\n"
    (tmp_path / "r.yml").write_text(rules, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"{TOKENS}{text}\n")
    assert message in str(caught.value)
    assert place in str(caught.value)
    assert len(caught.value.problems) == 1
    load(tmp_path, f"{text}\n")  # without tokens it is a label like any other


@pytest.mark.parametrize(
    "text",
    [
        "routes: [{match: 'tenant=\"shop\"'}, {match: 'tenant=~\"s.*|other\"'}, {match: ['tenant!=\"x\"', a]}]",
        "routes: [{match: ['tenant=~\".?\"', a]}]",
        "inhibit: [{source: a, target: 'tenant=bank'}]",
        "alerts: {a: {expr: up > 1, labels: {tenant: bank}}, b: {expr: 'up{tenant=~\"shop|x\"} > 1'}}",
    ],
)
def test_those_who_have_one_may_be_named(tmp_path: Path, text: str) -> None:
    load(tmp_path, f"{TOKENS}{text}\n")


def test_a_token_that_is_written_wrongly_is_the_only_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "serve: {tokens: {shop: '', bank: fedcba9876543210}}\nroutes: [{match: 'tenant=shop'}]\n")
    assert len(caught.value.problems) == 1
