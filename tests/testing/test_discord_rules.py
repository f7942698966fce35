"""The stand-in refuses what Discord refuses, with its codes, and takes what Discord takes."""

from __future__ import annotations

import pytest

from otelmon.testing.discord_rules import check, pings


def embed(**parts):
    return {"embeds": [{"title": "t", **parts}]}


def field(name="n", value="v", **parts):
    return embed(fields=[{"name": name, "value": value, **parts}])


def allowed(**parts):
    return {"content": "x", "allowed_mentions": parts}


REFUSED = {
    "a list": ([], "", "DICT_TYPE_CONVERT"),
    "a text": ("hello", "", "DICT_TYPE_CONVERT"),
    "content of 2001": ({"content": "x" * 2001}, "content", "BASE_TYPE_MAX_LENGTH"),
    "content of 1001 emoji": ({"content": "😀" * 1001}, "content", "BASE_TYPE_MAX_LENGTH"),
    "content that is a number": ({"content": 5}, "content", "STRING_TYPE_CONVERT"),
    "half a character": ({"content": "a\ud800"}, "content", "STRING_TYPE_CONVERT"),
    "embeds that are no list": ({"embeds": {}}, "embeds", "LIST_TYPE_CONVERT"),
    "eleven embeds": ({"embeds": [{"title": "t"}] * 11}, "embeds", "BASE_TYPE_MAX_LENGTH"),
    "an embed that is a text": ({"embeds": ["t"]}, "embeds.0", "DICT_TYPE_CONVERT"),
    "an embed with nothing in it": ({"embeds": [{}]}, "embeds.0.description", "BASE_TYPE_REQUIRED"),
    "an embed with a colour only": ({"embeds": [{"color": 1}]}, "embeds.0.description", "BASE_TYPE_REQUIRED"),
    "a title of 257": (embed(title="x" * 257), "embeds.0.title", "BASE_TYPE_MAX_LENGTH"),
    "a title of 129 emoji": (embed(title="😀" * 129), "embeds.0.title", "BASE_TYPE_MAX_LENGTH"),
    "a description of 4097": (embed(description="x" * 4097), "embeds.0.description", "BASE_TYPE_MAX_LENGTH"),
    "26 fields": (embed(fields=[{"name": "n", "value": "v"}] * 26), "embeds.0.fields", "BASE_TYPE_MAX_LENGTH"),
    "fields that are no list": (embed(fields={"n": "v"}), "embeds.0.fields", "LIST_TYPE_CONVERT"),
    "a field that is a text": (embed(fields=["n"]), "embeds.0.fields.0", "DICT_TYPE_CONVERT"),
    "a field without a name": (field(name=None), "embeds.0.fields.0.name", "BASE_TYPE_REQUIRED"),
    "a field with a blank name": (field(name=" "), "embeds.0.fields.0.name", "BASE_TYPE_REQUIRED"),
    "a field with an empty value": (field(value=""), "embeds.0.fields.0.value", "BASE_TYPE_REQUIRED"),
    "a field whose value is a number": (field(value=5), "embeds.0.fields.0.value", "STRING_TYPE_CONVERT"),
    "a field name of 257": (field(name="x" * 257), "embeds.0.fields.0.name", "BASE_TYPE_MAX_LENGTH"),
    "a field value of 1025": (field(value="x" * 1025), "embeds.0.fields.0.value", "BASE_TYPE_MAX_LENGTH"),
    "an inline that is a text": (field(inline="yes"), "embeds.0.fields.0.inline", "BOOLEAN_TYPE_CONVERT"),
    "a footer of 2049": (embed(footer={"text": "x" * 2049}), "embeds.0.footer.text", "BASE_TYPE_MAX_LENGTH"),
    "a footer without text": (embed(footer={}), "embeds.0.footer.text", "BASE_TYPE_REQUIRED"),
    "an author of 257": (embed(author={"name": "x" * 257}), "embeds.0.author.name", "BASE_TYPE_MAX_LENGTH"),
    "6001 characters in one embed": (
        embed(title="x", description="x" * 4096, footer={"text": "x" * 1904}),
        "embeds",
        "MAX_EMBED_SIZE_EXCEEDED",
    ),
    "6001 characters in two embeds": (
        {"embeds": [{"description": "x" * 4096}, {"description": "x" * 1905}]},
        "embeds",
        "MAX_EMBED_SIZE_EXCEEDED",
    ),
    "an embed of an unknown type": (embed(type="poster"), "embeds.0.type", "BASE_TYPE_CHOICES"),
    "a colour that is a text": (embed(color="#ff0000"), "embeds.0.color", "NUMBER_TYPE_COERCE"),
    "a colour beyond white": (embed(color=0x1000000), "embeds.0.color", "NUMBER_TYPE_MAX"),
    "a timestamp in words": (embed(timestamp="yesterday"), "embeds.0.timestamp", "DATE_TIME_TYPE_PARSE"),
    "a link to a script": (embed(url="javascript://x/%0aalert(1)"), "embeds.0.url", "URL_TYPE_INVALID_SCHEME"),
    "a link that is a path": (embed(url="/runbooks/x"), "embeds.0.url", "URL_TYPE_INVALID_URL"),
    "a link with a space": (embed(url="https://x.example/a b"), "embeds.0.url", "URL_TYPE_INVALID_URL"),
    "a link of 2049": (embed(url="https://x.example/" + "x" * 2031), "embeds.0.url", "BASE_TYPE_MAX_LENGTH"),
    "a picture from a file": (embed(image={"url": "file:///x"}), "embeds.0.image.url", "URL_TYPE_INVALID_URL"),
    "allowances that are a list": (
        {"content": "x", "allowed_mentions": ["users"]},
        "allowed_mentions",
        "DICT_TYPE_CONVERT",
    ),
    "an unknown allowance": (allowed(parse=["here"]), "allowed_mentions.parse.0", "BASE_TYPE_CHOICES"),
    "users both parsed and listed": (
        allowed(parse=["users"], users=["1"]),
        "allowed_mentions",
        "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
    ),
    "roles both parsed and listed": (
        allowed(parse=["roles"], roles=["1"]),
        "allowed_mentions",
        "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
    ),
    "101 users": (
        allowed(users=[str(number) for number in range(101)]),
        "allowed_mentions.users",
        "BASE_TYPE_MAX_LENGTH",
    ),
    "a role twice": (allowed(roles=["1", "1"]), "allowed_mentions.roles", "SET_TYPE_ALREADY_CONTAINS_VALUE"),
    "a role by name": (allowed(roles=["on-call"]), "allowed_mentions.roles.0", "NUMBER_TYPE_COERCE"),
    "roles that are no list": (allowed(roles="1"), "allowed_mentions.roles", "LIST_TYPE_CONVERT"),
    "the name of the house": ({"content": "x", "username": "My Discord"}, "username", "USERNAME_INVALID_CONTAINS"),
    "a name of 81": ({"content": "x", "username": "x" * 81}, "username", "BASE_TYPE_MAX_LENGTH"),
    "a flag that is not a webhook's": ({"content": "x", "flags": 1}, "flags", "BITFIELD_TYPE_INVALID"),
    "tts that is a text": ({"content": "x", "tts": "yes"}, "tts", "BOOLEAN_TYPE_CONVERT"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_discord_refuses_is_refused_with_the_place_and_the_code(case):
    body, path, code = REFUSED[case]
    refused = check(body)
    assert refused is not None
    assert (refused.status, refused.body["code"], refused.body["message"]) == (400, 50035, "Invalid Form Body")
    node = refused.body["errors"]
    for part in filter(None, path.split(".")):
        node = node[part]
    assert [leaf["code"] for leaf in node["_errors"]] == [code]


@pytest.mark.parametrize("body", [{}, {"content": ""}, {"content": " \n"}, {"embeds": []}, {"content": None}])
def test_an_empty_message_is_refused(body):
    refused = check(body)
    assert refused is not None
    assert refused.body == {"message": "Cannot send an empty message", "code": 50006}


def test_a_thread_cannot_be_opened_in_a_text_channel():
    refused = check({"content": "x", "thread_name": "incident"})
    assert refused is not None
    assert refused.body["code"] == 220003


TAKEN = {
    "content at its limit": {"content": "😀" * 1000},
    "ten embeds": {"embeds": [{"title": "t"}] * 10},
    "an embed at every limit": {
        "embeds": [
            {
                "title": "x" * 256,
                "description": "x" * 4096,
                "fields": [{"name": "n" * 24, "value": "v" * 40}] * 25,
                "footer": {"text": "f" * 48},
                "color": 0xFFFFFF,
                "type": "rich",
                "url": "https://x.example/",
                "timestamp": "2026-01-05T12:00:00Z",
            }
        ]
    },
    "white space around, not counted": {"content": " " * 10 + "x" * 2000 + "\n"},
    "nothing but nulls beside content": {"content": "x", "embeds": None, "allowed_mentions": None, "username": None},
    "a hundred roles": {"content": "x", "allowed_mentions": {"parse": ["users"], "roles": list(map(str, range(100)))}},
    "a silent message": {"content": "x", "flags": 1 << 12},
    "a key nobody knows": {"content": "x", "colour": "red"},
}


@pytest.mark.parametrize("case", TAKEN)
def test_what_discord_takes_is_taken(case):
    assert check(TAKEN[case]) is None


def test_an_edit_may_leave_things_out_but_not_empty_the_message():
    earlier = {"content": "x", "embeds": [{"title": "t"}]}
    assert check({}, earlier=earlier) is None
    assert check({"content": None}, earlier=earlier) is None
    assert check({"content": "", "embeds": []}, earlier=earlier) is not None


@pytest.mark.parametrize(
    ("body", "pinged"),
    [
        ({"content": "<@1> <@!2> <@&3> @everyone"}, ["1", "2"]),
        ({"content": "<@1> <@&3> @everyone", "allowed_mentions": {}}, []),
        ({"content": "<@1> <@&3> @here", "allowed_mentions": {"parse": []}}, []),
        ({"content": "<@1> <@2> <@&3> <@&4>", "allowed_mentions": {"users": ["1"], "roles": [4]}}, ["1", "4"]),
        ({"content": "nobody", "allowed_mentions": {"users": ["1"]}}, []),
        ({"content": "<@&3> @everyone @here", "allowed_mentions": {"parse": ["roles", "everyone"]}},
         ["3", "@everyone", "@here"]),
        ({"content": "<@1> <@1>"}, ["1"]),
        ({"content": "`<@1>` ```\n<@2>\n``` <@3>"}, ["3"]),
        ({"content": "\\<@1>"}, ["1"]),  # escaping is for the eye only
        ({"content": "<@\u200b1> @\u200beveryone", "allowed_mentions": {"parse": ["users", "everyone"]}}, []),
        ({"content": "", "embeds": [{"title": "<@1>", "description": "<@1> @everyone"}]}, []),
        ({"content": "<@1>", "flags": 1 << 12}, []),
    ],
)  # fmt: skip
def test_whom_a_message_pings(body, pinged):
    assert [ping.id for ping in pings(body)] == pinged
