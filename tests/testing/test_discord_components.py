"""Buttons, as Discord takes them from a webhook that no application owns."""

from __future__ import annotations

import httpx
import pytest

from otelmon.testing import DiscordStandIn
from otelmon.testing.discord_rules import check

URL = "https://shop.example.com/otelmon/ack/x"
BUTTON = {"type": 2, "style": 5, "label": "Acknowledge", "url": URL}


def row(*buttons):
    return {"content": "x", "components": [{"type": 1, "components": list(buttons)}]}


def post(stand_in, body, query):
    return httpx.post(f"{stand_in.webhook_url}?{query}", json=body, trust_env=False)


def test_a_link_button_is_shown_where_the_query_asks_for_it_and_dropped_silently_where_not():
    with DiscordStandIn() as stand_in:
        taken = post(stand_in, row(BUTTON), "wait=true&with_components=true").json()
        assert taken["components"] == row(BUTTON)["components"]
        assert post(stand_in, row(BUTTON), "wait=true").json()["components"] == []
        with_button, without = stand_in.messages
        assert with_button.buttons == {"Acknowledge": URL}
        assert not without.buttons
        shown = httpx.get(f"{stand_in.url}channel", trust_env=False).text
        assert shown.count('class="button"') == 1
        assert f'href="{URL}"' in shown


def test_an_edit_keeps_the_buttons_that_it_does_not_name():
    with DiscordStandIn() as stand_in:
        message = post(stand_in, row(BUTTON), "wait=true&with_components=true").json()["id"]
        address = f"{stand_in.webhook_url}/messages/{message}"
        httpx.patch(address, json={"content": "y"}, trust_env=False)
        assert stand_in.messages[0].buttons
        httpx.patch(address, json={"components": []}, trust_env=False)
        assert stand_in.messages[0].buttons
        httpx.patch(f"{address}?with_components=true", json={"components": []}, trust_env=False)
        assert not stand_in.messages[0].buttons


REFUSED = {
    "no list": ({"content": "x", "components": {}}, "components"),
    "six rows": ({"content": "x", "components": row(BUTTON)["components"] * 6}, "components"),
    "a button without a row": ({"content": "x", "components": [BUTTON]}, "components.0.type"),
    "an empty row": (row(), "components.0.components"),
    "six buttons": (row(*6 * [BUTTON]), "components.0.components"),
    "no button": (row({"type": 3}), "components.0.components.0.type"),
    "an interactive button": (
        row({"type": 2, "style": 1, "custom_id": "y"}),
        "components.0.components.0",
    ),
    "a link with an id": (row({**BUTTON, "custom_id": "y"}), "components.0.components.0"),
    "no label": (row({**BUTTON, "label": " "}), "components.0.components.0.label"),
    "a label of 81": (row({**BUTTON, "label": 81 * "x"}), "components.0.components.0.label"),
    "no address": (row({"type": 2, "style": 5, "label": "x"}), "components.0.components.0.url"),
    "an address of 513": (row({**BUTTON, "url": "https://a.b/" + 501 * "x"}), "components.0.components.0.url"),
    "a script": (row({**BUTTON, "url": "javascript:alert(1)"}), "components.0.components.0.url"),
    "a space": (row({**BUTTON, "url": "https://a.b/ c"}), "components.0.components.0.url"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_discord_refuses(name):
    body, path = REFUSED[name]
    refused = check(body)
    assert refused is not None
    node = refused.body["errors"]
    for part in path.split("."):
        node = node[part]
    assert node["_errors"]


def test_the_longest_that_discord_takes():
    assert check(row(*5 * [{**BUTTON, "label": 80 * "x", "url": "https://a.b/" + 500 * "x"}])) is None
