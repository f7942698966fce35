"""The stand-in for Discord, asked over real sockets as Discord is."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading

import httpx
import pytest

from otelmon.testing import (
    NO_LIMITS,
    Answer,
    DiscordStandIn,
    Drip,
    Drop,
    FakeClock,
    Hang,
    Limited,
    RateLimits,
)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def discord(clock):
    with DiscordStandIn(clock=clock, limits=NO_LIMITS, names={"7": "on-call"}) as stand_in:
        yield stand_in


@pytest.fixture
def http():
    with httpx.Client(timeout=5) as client:
        yield client


def post(http, discord, body=None, **query):
    return http.post(
        discord.webhook_url, params={"wait": "true", **query}, json={"content": "x"} if body is None else body
    )


def test_wait_true_answers_with_the_message_and_without_it_with_nothing(discord, http):
    answer = post(http, discord, {"content": "hello", "embeds": [{"title": "t"}]})
    assert answer.status_code == 200
    message = answer.json()
    assert (message["content"], message["embeds"]) == ("hello", [{"type": "rich", "title": "t"}])
    assert discord.messages[0].id == message["id"]
    silent = http.post(discord.webhook_url, json={"content": "x"})
    assert (silent.status_code, silent.content) == (204, b"")
    assert len(discord.messages) == 2


def test_a_bad_body_is_refused_and_not_shown(discord, http):
    answer = post(http, discord, {"content": "x" * 2001})
    assert answer.status_code == 400
    assert answer.json() == {
        "message": "Invalid Form Body",
        "code": 50035,
        "errors": {
            "content": {"_errors": [{"code": "BASE_TYPE_MAX_LENGTH", "message": "Must be 2000 or fewer in length."}]}
        },
    }
    assert (discord.messages, discord.requests[0].status) == ((), 400)


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, 50109),
        (b'{"content": NaN}', "application/json", 400, 50109),
        (b'{"content": "\xff"}', "application/json", 400, 50109),
        (b"", "application/json", 400, 50109),
        (b"content=x", "application/x-www-form-urlencoded", 400, 50035),
        (b'"' + b"x" * (8 * 1024 * 1024) + b'"', "application/json", 413, 40005),
    ],
)
def test_what_is_no_json_is_refused(content, kind, status, code, discord, http):
    answer = http.post(discord.webhook_url, content=content, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_wait_that_is_no_boolean_is_refused(discord, http):
    assert post(http, discord, wait="maybe").status_code == 400


def test_other_webhooks_are_unknown_and_other_tokens_are_invalid(discord, http):
    base, _, token = discord.webhook_url.rpartition("/")
    answer = http.post(f"{base}/{token[::-1]}", json={"content": "x"})
    assert (answer.status_code, answer.json()["code"]) == (401, 50027)
    answer = http.post(f"{discord.url}api/webhooks/1/{token}", json={"content": "x"})
    assert (answer.status_code, answer.json()) == (404, {"message": "Unknown Webhook", "code": 10015})
    discord.forget_webhook()
    assert post(http, discord).json()["code"] == 10015
    assert discord.messages == ()


def test_the_paths_of_discord_s_versions_are_known(discord, http):
    path = discord.webhook_url.removeprefix(f"{discord.url}api/")
    for prefix in ("", "api/", "api/v10/"):
        assert http.post(f"{discord.url}{prefix}{path}", json={"content": "x"}).status_code == 204
    assert http.get(discord.webhook_url).json()["name"] == "otelmon"
    assert http.get(f"{discord.url}elsewhere").status_code == 404
    assert http.put(discord.webhook_url).status_code == 405


def test_an_edit_changes_what_it_names_and_pings_nobody(discord, http, clock):
    sent = post(http, discord, {"content": "<@7>", "embeds": [{"title": "t"}]}).json()
    clock.advance(5)
    url = f"{discord.webhook_url}/messages/{sent['id']}"
    answer = http.patch(url, json={"content": "<@7> <@8>"})
    assert answer.status_code == 200
    assert answer.json()["edited_timestamp"] is not None
    (message,) = discord.messages
    assert (message.content, message.embeds[0]["title"], message.edits) == ("<@7> <@8>", "t", 1)
    assert [(ping.id, ping.message_id, ping.at) for ping in discord.pings] == [("7", message.id, clock.now() - 5)]
    assert http.patch(url, json={"content": "", "embeds": []}).json()["code"] == 50006
    assert http.patch(url, content=b"{").json()["code"] == 50035
    assert http.get(url).json()["content"] == "<@7> <@8>"
    assert http.put(url).status_code == 405


def test_a_deleted_message_is_unknown(discord, http):
    sent = post(http, discord).json()
    url = f"{discord.webhook_url}/messages/{sent['id']}"
    assert http.delete(url).status_code == 204
    for method in ("GET", "PATCH", "DELETE"):
        answer = http.request(method, url, json={"content": "y"})
        assert (answer.status_code, answer.json()["code"]) == (404, 10008)
    assert discord.messages == ()


def test_five_requests_in_two_seconds_and_the_sixth_is_told_when(clock, http):
    with DiscordStandIn(clock=clock) as discord:
        remaining = [post(http, discord).headers["X-RateLimit-Remaining"] for _ in range(5)]
        assert remaining == ["4", "3", "2", "1", "0"]
        clock.advance(0.5)
        answer = post(http, discord)
        assert answer.status_code == 429
        assert answer.json() == {"message": "You are being rate limited.", "retry_after": 1.5, "global": False}
        assert answer.headers["Retry-After"] == "2"
        assert answer.headers["X-RateLimit-Reset-After"] == "1.500"
        clock.advance(1.5)
        assert post(http, discord).status_code == 200
        assert len(discord.messages) == 6


def test_thirty_messages_a_minute_in_a_channel_and_edits_do_not_count(clock, http):
    with DiscordStandIn(clock=clock, limits=RateLimits(requests=None)) as discord:
        for _ in range(30):
            assert post(http, discord).status_code == 200
        clock.advance(20)
        answer = post(http, discord)
        assert (answer.status_code, answer.json()["retry_after"]) == (429, 40.0)
        assert answer.headers["X-RateLimit-Scope"] == "shared"
        edited = http.patch(f"{discord.webhook_url}/messages/{discord.messages[0].id}", json={"content": "y"})
        assert edited.status_code == 200
        clock.advance(40)
        assert post(http, discord).status_code == 200


def test_faults_come_in_the_order_told_then_all_is_well(discord, http):
    discord.fail(Limited(retry_after=0.25))
    discord.fail(Answer(status=500, body="oh"), times=2)
    limited = post(http, discord)
    assert (limited.status_code, limited.json()["retry_after"], limited.headers["Retry-After"]) == (429, 0.25, "1")
    assert [post(http, discord).status_code for _ in range(3)] == [500, 500, 200]
    discord.fail_always(Answer(status=503))
    assert [post(http, discord).status_code for _ in range(3)] == [503] * 3
    discord.fail_always(None)
    assert post(http, discord).status_code == 200
    assert len(discord.messages) == 2
    assert [request.status for request in discord.requests] == [429, 500, 500, 200, 503, 503, 503, 200]


def test_a_dropped_connection_takes_the_message_or_not_as_told(discord, http):
    discord.fail(Drop())
    discord.fail(Drop(accepted=True))
    for taken in (0, 1):
        with pytest.raises(httpx.RemoteProtocolError):
            post(http, discord)
        assert len(discord.messages) == taken


def test_hanging_ends_when_the_client_goes_and_dripping_gives_it_all_in_the_end(discord, http):
    discord.fail(Hang())
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(discord.webhook_url, json={"content": "x"}, timeout=httpx.Timeout(30, read=0.1))
    discord.wait_until(lambda discord: len(discord.requests) == 1)
    assert discord.messages == ()
    for headers in (False, True):
        discord.fail(Drip(seconds=0.0001, headers=headers))
        answer = post(http, discord)
        assert (answer.json()["content"], answer.headers["connection"]) == ("x", "close")


def test_a_closed_port_refuses_and_opens_again_with_the_channel_kept(discord, http):
    post(http, discord)
    url = discord.webhook_url
    discord.refuse()
    with pytest.raises(httpx.ConnectError):
        httpx.post(url, json={"content": "x"})
    discord.accept()
    assert discord.webhook_url == url
    assert httpx.post(url, json={"content": "x"}).status_code == 204
    assert len(discord.messages) == 2


def test_leaving_ends_every_connection_and_thread(clock):
    before = threading.active_count()
    with DiscordStandIn(clock=clock, limits=NO_LIMITS) as discord:
        discord.fail(Hang())
        idle = socket.create_connection(("127.0.0.1", int(discord.url.rsplit(":")[-1].strip("/"))))
        hanging = socket.create_connection(idle.getpeername())
        path = discord.webhook_url.removeprefix(discord.url.rstrip("/"))
        hanging.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        discord.wait_until(lambda discord: len(discord.requests) == 1)
    assert threading.active_count() == before
    idle.close()
    hanging.close()


def test_waiting_for_a_message_needs_no_sleep_and_says_what_there_was_instead(discord, http):
    sender = threading.Timer(0.02, post, (http, discord, {"content": "Error rate"}))
    sender.start()
    assert discord.wait_for(lambda message: "Error" in message.content).content == "Error rate"
    sender.join()
    with pytest.raises(AssertionError, match="Error rate"):
        discord.wait_for(lambda message: "Disk" in message.content, timeout=0.01)
    with pytest.raises(AssertionError, match="1 messages"):
        discord.wait_until(lambda discord: len(discord.messages) == 2, timeout=0.01)


def test_silence_can_be_asserted(discord, http):
    discord.expect_silence_after()
    post(http, discord)
    discord.expect_silence_after(discord.messages[0])
    with pytest.raises(AssertionError, match="unexpected"):
        discord.expect_silence_after()


def test_a_program_elsewhere_reads_the_channel_as_json(discord, http):
    post(http, discord, {"content": "<@7>"})
    channel = http.get(f"{discord.url}channel.json").json()
    assert [message["content"] for message in channel["messages"]] == ["<@7>"]
    assert [ping["id"] for ping in channel["pings"]] == ["7"]
    assert channel["requests"] == 1


@pytest.mark.slow
def test_it_runs_as_a_process_of_its_own(http):
    command = [sys.executable, "-W", "error", "-m", "otelmon.testing.discord", "--port", "0", "--name", "7=on-call"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().strip().removeprefix("DISCORD_WEBHOOK_URL=")
            page = process.stdout.readline().strip().removeprefix("The channel: ")
            assert http.post(url, json={"content": "<@7>"}).status_code == 204
            assert "@on-call" in http.get(f"{page}channel").text
        finally:
            process.terminate()


def test_the_token_is_not_said_by_anything_the_page_shows(discord, http):
    post(http, discord)
    token = discord.webhook_url.rpartition("/")[2]
    for path in ("", "channel", "channel.json"):
        assert token not in http.get(f"{discord.url}{path}").text
    assert token not in json.dumps(post(http, discord).json())
