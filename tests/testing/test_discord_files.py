"""Files that the stand-in takes, refuses and shows as Discord does."""

from __future__ import annotations

import json

import httpx
import pytest

from otelmon.testing import NO_LIMITS, DiscordStandIn
from otelmon.testing.discord_files import LARGEST_FILE, split
from otelmon.testing.discord_rules import Refusal

PNG = b"\x89PNG\r\n\x1a\n\r\r\n\n--\x00\xff" + bytes(range(256)) + b"\r\n"
FILE = ("files[0]", ("chart.png", PNG, "image/png"))
SHOWN = {"embeds": [{"title": "t", "image": {"url": "attachment://chart.png"}}]}
LISTED = {**SHOWN, "attachments": [{"id": "0", "filename": "chart.png", "description": "how it went"}]}


@pytest.fixture
def discord():
    with DiscordStandIn(limits=NO_LIMITS) as stand_in:
        yield stand_in


def send(discord, body, *files, message=None):
    parts = [*([] if body is None else [("payload_json", (None, json.dumps(body), "application/json"))]), *files]
    if message is None:
        return httpx.post(discord.webhook_url, params={"wait": "true"}, files=parts)
    return httpx.patch(f"{discord.webhook_url}/messages/{message}", files=parts)


def fault(answer):
    """The path of the one fault that is found in the body."""
    assert answer.status_code == 400
    assert answer.json()["code"] == 50035
    path, node = [], answer.json()["errors"]
    while "_errors" not in node:
        ((key, node),) = node.items()
        path.append(key)
    return ".".join(path)


def test_a_file_that_an_embed_shows_is_served_whole(discord):
    answer = send(discord, LISTED, FILE)
    assert answer.status_code == 200
    message = answer.json()
    assert message["attachments"] == []  # it is in the embed
    url = message["embeds"][0]["image"]["url"]
    (attachment,) = discord.messages[0].attachments
    assert (attachment.content, attachment.description) == (PNG, "how it went")
    assert url == f"{discord.url}attachments/1180000000000000000/{attachment.id}/chart.png"
    shown = httpx.get(url)
    assert (shown.content, shown.headers["content-type"]) == (PNG, "image/png")
    assert httpx.get(url.replace("chart", "other")).status_code == 404
    view = httpx.get(f"{discord.url}channel").text
    assert f'<img class="picture" src="{attachment.path}" alt="how it went">' in view
    assert "img-src 'self'" in httpx.get(discord.url).headers["content-security-policy"]


def test_other_files_stand_below_the_message(discord):
    answer = send(discord, {"content": "x"}, FILE, ("files[1]", ("dump.txt", b"text", "text/plain")))
    listed = answer.json()["attachments"]
    assert [(each["filename"], each["size"]) for each in listed] == [("chart.png", len(PNG)), ("dump.txt", 4)]
    view = httpx.get(f"{discord.url}channel").text
    assert "chart.png" in view
    assert ">dump.txt</a>" in view


def test_an_edit_lists_what_stays_and_the_rest_goes(discord):
    message = send(discord, LISTED, FILE).json()["id"]
    url = f"{discord.webhook_url}/messages/{message}"
    first = discord.messages[0].attachments
    assert httpx.patch(url, json={"content": "x"}).status_code == 200
    assert discord.messages[0].attachments == first
    assert httpx.patch(url, json={**SHOWN, "attachments": [{"id": first[0].id}]}).status_code == 200
    assert discord.messages[0].attachments == first
    assert send(discord, LISTED, ("files[0]", ("chart.png", b"new", "image/png")), message=message).status_code == 200
    assert [each.content for each in discord.messages[0].attachments] == [b"new"]
    assert fault(httpx.patch(url, json={"attachments": []})) == "embeds.0.image.url"
    assert httpx.patch(url, json={"embeds": [{"title": "t"}], "attachments": []}).status_code == 200
    assert discord.messages[0].attachments == ()
    assert fault(httpx.patch(url, json={"attachments": [{"id": first[0].id}]})) == "attachments.0.id"


REFUSED = {
    "an embed shows a file that is not there": (SHOWN, (), "embeds.0.image.url"),
    "or one of another name": (SHOWN, (("files[0]", ("other.png", PNG, "image/png")),), "embeds.0.image.url"),
    "a file that is not there is listed": ({"attachments": [{"id": 1}], "content": "x"}, (FILE,), "attachments.0.id"),
    "one is listed twice": ({"attachments": [{"id": 0}] * 2, "content": "x"}, (FILE,), "attachments.1.id"),
    "no id": ({"attachments": ["0"], "content": "x"}, (FILE,), "attachments.0.id"),
    "no list": ({"attachments": {}, "content": "x"}, (FILE,), "attachments"),
    "a name that is none": (
        {"attachments": [{"id": 0, "filename": "../chart.png"}], "content": "x"},
        (FILE,),
        "attachments.0.filename",
    ),
    "a long description": (
        {"attachments": [{"id": 0, "description": 1025 * "x"}], "content": "x"},
        (FILE,),
        "attachments.0.description",
    ),
}


@pytest.mark.parametrize(("body", "files", "path"), REFUSED.values(), ids=REFUSED)
def test_what_discord_refuses_is_refused(discord, body, files, path):
    assert fault(send(discord, body, *(files or (("files[0]", ("a.txt", b"", "text/plain")),)))) == path
    assert discord.messages == ()


@pytest.mark.parametrize(
    ("body", "name", "said"),
    [
        (None, "files[0]", "payload_json is missing"),
        ({"content": "x"}, "files[10]", "unexpected part"),
        ({"content": "x"}, "picture", "unexpected part"),
    ],
)
def test_a_part_that_is_missing_or_has_a_wrong_name_is_refused(discord, body, name, said):
    answer = send(discord, body, (name, ("chart.png", PNG, "image/png")))
    assert (answer.status_code, answer.json()["code"]) == (400, 50035)
    assert said in answer.json()["message"]


def test_a_file_of_more_than_10_mb_is_too_large(discord):
    for size, status in ((LARGEST_FILE, 200), (LARGEST_FILE + 1, 413)):
        answer = send(discord, {"content": "x"}, ("files[0]", ("a.bin", bytes(size), "application/x-data")))
        assert answer.status_code == status
    assert answer.json()["code"] == 40005


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\n"),
        ("multipart/form-data; boundary=x", b"--y\r\n\r\n--y--"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="files[0]"\r\n\r\nx\r\n--x--',
        ),
    ],
)
def test_what_is_no_multipart_body_is_refused(kind, body):
    assert isinstance(split(kind, body), Refusal)
