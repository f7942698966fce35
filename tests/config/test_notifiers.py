"""Where pages go: notifiers, the fallback and routes, and every way of writing them wrongly."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from otelmon.config.load import load_settings
from otelmon.config.settings import NotifierKind, Settings
from otelmon.errors import ConfigError
from otelmon.incidents.silence import parse_matchers
from otelmon.oncall.model import Mention, MentionKind
from otelmon.paging.routing import RouteRule
from otelmon.rules.model import Severity
from otelmon.testing import assert_no_secret

WEBHOOK = "https://discord.com/api/webhooks/123456789012345678/aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789"
ADDRESS = "https://hooks.example.com/otelmon/a-secret-path-0123456789"
TOKEN = "a-token-that-must-not-show"
GOOD = """
discord: {forum: true, tags: [345678901234567890]}
notifiers:
  checkout: {discord: "${CHECKOUT}"}
  managers: {webhook: "${MANAGERS}", token: "${TOKEN}"}
  later: {discord: "${NOT_SET_HERE:-}", forum: true}
fallback: [managers, discord]
routes:
  - {match: 'team="checkout"', notify: [checkout], mention: {critical: [role: 456789012345678901]}, escalation: backend}
  - {match: [disk_usage, 'instance=~"db.*"'], notify: log}
  - {mention: {}}
escalation:
  backend:
    steps: [{notify: [webhook: managers]}]
"""
ENVIRON = {"CHECKOUT": WEBHOOK, "MANAGERS": ADDRESS, "TOKEN": TOKEN, "HOME": "/home/a"}


def loaded(directory: Path, text: str, environ: dict[str, str] | None = None) -> Settings:
    (directory / "otelmon.yaml").write_text(text, encoding="utf-8")
    return load_settings(None, environ=ENVIRON if environ is None else environ, directory=directory)


def test_notifiers_fallback_and_routes_are_read(tmp_path: Path) -> None:
    found = loaded(tmp_path, GOOD)
    checkout, managers, later = found.notifiers
    assert (checkout.name, checkout.kind, checkout.token) == ("checkout", NotifierKind.DISCORD, None)
    assert (managers.kind, managers.url.get_secret_value(), managers.token.get_secret_value()) == (
        NotifierKind.WEBHOOK,
        ADDRESS,
        TOKEN,
    )
    assert (later.url, later.forum) == (None, True)
    assert (found.discord.forum, found.discord.tags) == (True, ("345678901234567890",))
    assert found.fallback == ("managers", "discord")
    role = Mention(kind=MentionKind.ROLE, id="456789012345678901")
    assert found.routes == (
        RouteRule(
            matchers=parse_matchers(['team="checkout"']),
            targets=("checkout",),
            mentions={Severity.CRITICAL: (role,)},
            escalation="backend",
        ),
        RouteRule(matchers=parse_matchers(["disk_usage", 'instance=~"db.*"']), targets=("log",)),
        RouteRule(mentions={}),
    )
    assert found.has_webhook


def test_no_secret_shows_in_the_settings_or_in_an_error(tmp_path: Path) -> None:
    found = loaded(tmp_path, GOOD)
    with pytest.raises(ConfigError) as caught:
        loaded(
            tmp_path, GOOD.replace("fallback: [managers", "fallback: [nobody"), ENVIRON | {"MANAGERS": "ftp" + ADDRESS}
        )
    assert len(caught.value.problems) == 2
    for secret in (WEBHOOK, ADDRESS, TOKEN):
        assert_no_secret(secret, found, found.notifiers, found.model_dump(), caught.value)


POLICY = "escalation: {backend: {steps: [{notify: [webhook: log]}]}}"


def test_what_is_commented_out_in_the_annotated_file_works_when_it_is_uncommented(tmp_path: Path) -> None:
    lines = files("otelmon").joinpath("otelmon.yaml").read_text(encoding="utf-8").splitlines()
    begin, end = lines.index("# notifiers:"), lines.index("# routes:")
    keys = ("notifiers:", "  checkout:", "  managers:", "fallback:", "routes:", "  - {match:")
    shown = [line[2:] for line in lines[begin : end + 3] if line[2:].startswith(keys)]
    assert len(shown) == len(keys) + 1
    text = "\n".join(shown) + "\ndiscord:\n"
    text += "\n".join("  " + line.strip(" #") for line in lines if line.strip(" #").startswith(("forum:", "tags:")))
    environ = {"CHECKOUT_WEBHOOK_URL": WEBHOOK, "MANAGERS_URL": ADDRESS, "MANAGERS_TOKEN": TOKEN, "HOME": "/home/a"}
    found = loaded(tmp_path, text, environ)
    assert ([one.name for one in found.notifiers], len(found.routes)) == (["checkout", "managers"], 2)
    assert (found.discord.forum, len(found.discord.tags)) == (True, 1)
    assert loaded(tmp_path, text, {"HOME": "/home/a"}).notifiers[0].url is None


BAD = [
    ("notifiers: [a]", ":1:12", "notifiers: a section of keys expected, not a list"),
    ("notifiers: {discord: {discord: x}}", ":1:13", "'discord' is the one of `discord:`; give this one another name"),
    ("notifiers: {log: {webhook: x}}", ":1:13", "'log' is the application's log; give this one another name"),
    ("notifiers: {Mana.gers: {webhook: x}}", ":1:13", "no name for a notifier; write up to 40 small letters"),
    ("notifiers: {a: https://example.com/x}", ":1:13", "notifiers.a: a section of keys expected"),
    ("notifiers: {a: {}}", ":1:16", "notifiers.a: neither discord nor webhook; write a name and {discord: URL}"),
    ("notifiers: {a: {webhok: x}}", ":1:17", 'notifiers.a.webhok: unknown key; did you mean "webhook"?'),
    ("notifiers: {a: {webhook: 'http://x', discord: x}}", ":1:16", "discord and webhook are two notifiers"),
    ("notifiers: {a: {webhook: x}}", ":1:26", "notifiers.a.webhook: is no address that a webhook can have; write"),
    ("notifiers: {a: {webhook: 'https://[x'}}", ":1:26", "is no address that a webhook can have"),
    ("notifiers: {a: {webhook: 'https://a b'}}", ":1:26", "is no address that a webhook can have"),
    ("notifiers: {a: {webhook: [x]}}", ":1:26", "notifiers.a.webhook: an address expected, not a list"),
    ("notifiers: {a: {discord: 'https://x.example/y'}}", ":1:26", "is not the URL of a Discord webhook; copy it from"),
    ("notifiers: {a: {webhook: 'https://x', token: 'a b'}}", ":1:46", "is no token: text without spaces expected"),
    ("notifiers: {a: {webhook: 'https://x', forum: on}}", ":1:46", "forum is nothing that a notifier by webhook has"),
    (f"notifiers: {{a: {{discord: '{WEBHOOK}', token: x}}}}", "", "token is nothing that a notifier by discord has"),
    (
        "discord: {tags: [345678901234567890]}",
        ":1:17",
        "discord.tags: only posts in a forum have tags",
    ),
    ("discord: {forum: true, tags: [a]}", ":1:31", "discord.tags: 'a' is no id of a tag; write its 17 to 20 digits"),
    ("discord: {forum: maybe}", ":1:18", "discord.forum: 'maybe' is neither true nor false"),
    ("fallback: [managrs]\nnotifiers: {managers: {webhook: 'https://x'}}", ":1:12", 'did you mean "managers"?'),
    ("fallback: [nobody]", ":1:12", "fallback: there is no notifier 'nobody'; there is discord, log"),
    ("fallback: [log, log]", ":1:17", "fallback: 'log' is named twice; name it once"),
    ("fallback: [[log]]", ":1:12", "fallback: a notifier's name expected, not a list"),
    ("fallback: {log: 1}", ":1:11", "fallback: a list of notifiers expected, not a section of keys"),
    ("routes: {match: a}", ":1:9", "routes: a list expected, not a section of keys"),
    ("routes: [checkout]", ":1:10", "routes[1]: a section of keys expected, not 'checkout'; write - {match:"),
    ("routes:\n  - {mach: a}", ":2:6", 'routes[1].mach: unknown key; did you mean "match"?'),
    ("routes:\n  - {match: 'team=\"a'}", ":2:13", "routes[1].match:"),
    ("routes:\n  - {match: 'team=~\"(\"'}", ":2:13", "routes[1].match: team:"),
    (
        "routes:\n  - {match: 'team!=\"a\"'}",
        ":2:13",
        "these matchers take everything; leave match out",
    ),
    ("routes:\n  - {match: []}", ":2:13", "routes[1].match: matchers expected; write an alert's name, or matchers"),
    ("routes:\n  - {match: a, notify: [chekout]}", ":2:25", "routes[1].notify: there is no notifier 'chekout'"),
    ("routes:\n  - {match: a, notify: []}", ":2:24", "routes[1].notify: a route that notifies nobody; name"),
    ("routes:\n  - {match: a, mention: {urgent: []}}", ":2:26", "routes[1].mention.urgent: unknown key; known here"),
    (
        "routes:\n  - {match: a, mention: {critical: [role: 1]}}",
        ":2:43",
        "mention.critical.role: '1' is no id",
    ),
    (
        "routes:\n  - {notify: [log]}\n  - {match: a}",
        ":3:5",
        "routes[2]: never looked at: the route before",
    ),
    (
        "routes:\n  - {match: a, escalation: backend}",
        ":2:28",
        "there is no policy 'backend'; write one under",
    ),
    (
        "routes:\n  - {match: a, escalation: bakend}\nescalation: {backend: {steps: [{notify: [webhook: log]}]}}",
        ":2:28",
        "there is no policy 'bakend'; did you mean \"backend\"?",
    ),
    (
        "notifiers: {managers: {webhook: 'https://x'}}\nescalation: {a: {steps: [{notify: [webhook: manager]}]}}",
        ":2:45",
        "there is no webhook 'manager'",
    ),
]


@pytest.mark.parametrize(("text", "place", "message"), BAD)
def test_what_cannot_be_meant_is_told_with_its_place(tmp_path: Path, text: str, place: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    (problem,) = caught.value.problems
    said = str(problem)
    assert f"otelmon.yaml{place}" in said.replace(str(tmp_path) + "/", "")
    assert message in said


def test_a_route_without_matchers_takes_the_rest(tmp_path: Path) -> None:
    (route,) = loaded(tmp_path, "routes:\n  - {notify: [log]}").routes
    assert (route.matchers, route.targets) == ((), ("log",))
