"""What a request is counted as, on ASGI apps of a few lines."""

import asyncio
import http
import logging
import random

import pytest

from otelmon.instrument.recorder import RequestRecorder
from tests.instrument.driver import REQUEST, counts, drive, get, http_scope, in_flight, watched, websocket_scope

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
BODY = {"type": "http.response.body", "body": b"ok"}
PIECE = {"type": "http.response.body", "body": b"o", "more_body": True}
GONE = {"type": "http.disconnect"}


class Template:
    def __init__(self, path_format):
        self.path_format = path_format


def app_that_sends(*messages, error=None, then=None):
    async def app(scope, receive, send):
        scope["route"] = Template("/items/{id}")
        for message in messages:
            await send(message)
        if then is not None:
            await then(receive)
        if error is not None:
            raise error

    return app


def serve(app, scope=None, **how):
    served, recorder, middleware = watched(app, wrapped=True)
    exchange = asyncio.run(drive(served, scope or http_scope("/items/7"), **how))
    assert in_flight(recorder) == 0
    assert not middleware.faults.counts
    return exchange, counts(recorder)


def test_a_success_has_a_route_and_a_status_and_no_error_type():
    exchange, found = serve(app_that_sends(START, BODY))
    assert exchange.sent == [START, BODY]
    assert found == {("GET", "/items/{id}", 200, ""): 1}


@pytest.mark.parametrize(("status", "error_type"), [(404, ""), (499, ""), (500, "500"), (503, "503"), (599, "599")])
def test_the_error_type_of_a_server_error_is_its_status(status, error_type):
    _, found = serve(app_that_sends({**START, "status": status}, BODY))
    assert found == {("GET", "/items/{id}", status, error_type): 1}


def test_a_status_may_be_an_enum():
    _, found = serve(app_that_sends({**START, "status": http.HTTPStatus.BAD_GATEWAY}, BODY))
    assert found == {("GET", "/items/{id}", 502, "502"): 1}


def test_an_exception_before_the_response_is_a_500_of_its_class_and_goes_on():
    error = ValueError("secret")
    exchange, found = serve(app_that_sends(error=error))
    assert exchange.error is error
    assert found == {("GET", "/items/{id}", 500, "ValueError"): 1}


def test_an_exception_type_is_named_with_its_module():
    _, found = serve(app_that_sends(error=asyncio.QueueFull()))
    assert found == {("GET", "/items/{id}", 500, "asyncio.queues.QueueFull"): 1}


def test_an_exception_in_mid_stream_is_an_error_with_the_status_as_sent():
    _, found = serve(app_that_sends(START, PIECE, error=RuntimeError()))
    assert found == {("GET", "/items/{id}", 200, "RuntimeError"): 1}


def test_an_exception_that_comes_after_its_500_names_the_error():
    _, found = serve(app_that_sends({**START, "status": 500}, BODY, error=KeyError("x")))
    assert found == {("GET", "/items/{id}", 500, "KeyError"): 1}


def test_an_exception_after_a_complete_success_is_a_background_task_and_no_error():
    exchange, found = serve(app_that_sends(START, BODY, error=KeyError("x")))
    assert isinstance(exchange.error, KeyError)
    assert found == {("GET", "/items/{id}", 200, ""): 1}


@pytest.mark.parametrize(("messages", "status"), [((), 0), ((START,), 200), ((START, PIECE), 200)])
def test_a_handler_that_returns_without_a_whole_response_is_an_error(messages, status):
    _, found = serve(app_that_sends(*messages))
    assert found == {("GET", "/items/{id}", status, "incomplete_response"): 1}


async def wait_for_the_end(receive):
    while (await receive())["type"] != "http.disconnect":
        pass


@pytest.mark.parametrize(("messages", "status"), [((), 499), ((START,), 200), ((START, PIECE), 200)])
@pytest.mark.parametrize("error", [None, RuntimeError("No response returned."), OSError()])
def test_a_client_that_left_is_no_error(messages, status, error):
    app = app_that_sends(*messages, then=wait_for_the_end, error=error)
    exchange, found = serve(app, incoming=(REQUEST, GONE))
    assert exchange.error is error
    assert found == {("GET", "/items/{id}", status, ""): 1}


@pytest.mark.parametrize(("sends", "status"), [(0, 499), (1, 200), (2, 200)])
def test_an_os_error_from_the_servers_send_is_a_client_that_left(sends, status):
    exchange, found = serve(app_that_sends(START, PIECE, BODY), fail_send_after=sends)
    assert isinstance(exchange.error, OSError)
    assert found == {("GET", "/items/{id}", status, ""): 1}


def test_an_os_error_of_the_app_itself_is_an_error():
    _, found = serve(app_that_sends(error=ConnectionRefusedError("the database is down")))
    assert found == {("GET", "/items/{id}", 500, "ConnectionRefusedError"): 1}


def test_a_cancelled_request_is_no_error_and_is_not_in_flight_any_more():
    async def story():
        app, recorder, _ = watched(app_that_sends(START, then=lambda receive: asyncio.Event().wait()), wrapped=True)
        task = asyncio.create_task(drive(app, http_scope()))
        await asyncio.sleep(0)
        assert in_flight(recorder) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return recorder

    recorder = asyncio.run(story())
    assert in_flight(recorder) == 0
    assert counts(recorder) == {("GET", "/items/{id}", 200, ""): 1}


def test_the_duration_ends_with_the_last_body_byte_not_with_background_tasks():
    async def story():
        released, waiting = asyncio.Event(), asyncio.Event()

        async def background(_):
            waiting.set()
            await released.wait()

        app, recorder, _ = watched(app_that_sends(START, PIECE, BODY, then=background), wrapped=True)
        task = asyncio.create_task(drive(app, http_scope()))
        await waiting.wait()
        assert (counts(recorder), in_flight(recorder)) == ({("GET", "/items/{id}", 200, ""): 1}, 0)
        before = recorder.snapshot()
        released.set()
        await task
        assert recorder.snapshot() == before

    asyncio.run(story())


def test_a_response_that_is_slow_between_its_pieces_is_measured_to_its_end(monkeypatch):
    now = 100.0
    monkeypatch.setattr("otelmon.instrument.requests.perf_counter", lambda: now)

    async def app(scope, receive, send):
        nonlocal now
        await send(START)
        await send(PIECE)
        now += 2.5
        await send(BODY)

    served, recorder, _ = watched(app, wrapped=True)
    get(served)
    assert recorder.snapshot().cells[0].sum == 2.5


@pytest.mark.parametrize(
    "messages",
    [
        (START, {"type": "http.response.pathsend", "path": "/srv/file"}),
        (START, {"type": "http.response.zerocopysend", "file": 3}),
        (START, {"type": "http.response.early_hint", "links": []}, PIECE, BODY),
        ({**START, "trailers": True}, BODY, {"type": "http.response.trailers", "headers": []}),
    ],
)
def test_each_way_to_end_a_response_is_known(messages):
    exchange, found = serve(app_that_sends(*messages))
    assert exchange.sent == list(messages)
    assert found == {("GET", "/items/{id}", 200, ""): 1}


def test_a_response_that_promised_trailers_is_not_complete_without_them():
    _, found = serve(app_that_sends({**START, "trailers": True}, BODY))
    assert found == {("GET", "/items/{id}", 200, "incomplete_response"): 1}


@pytest.mark.parametrize("name", [b"content-type", b"Content-Type"])
def test_an_event_stream_is_counted_apart_and_is_in_flight_as_one(name):
    async def story():
        headers = [(b"cache-control", b"no-store"), (name, b"Text/Event-Stream; charset=utf-8")]
        released = asyncio.Event()
        stream = app_that_sends({**START, "headers": headers}, PIECE, PIECE, then=lambda _: released.wait())
        app, recorder, _ = watched(stream, wrapped=True)
        task = asyncio.create_task(drive(app, http_scope(), incoming=(REQUEST, GONE)))
        await asyncio.sleep(0)
        assert {(a.traffic, a.count) for a in recorder.snapshot().active} == {("request", 0), ("event_stream", 1)}
        released.set()
        await task
        return recorder

    recorder = asyncio.run(story())
    assert counts(recorder) == {}
    assert counts(recorder, "event_stream") == {("GET", "/items/{id}", 200, "incomplete_response"): 1}
    assert in_flight(recorder) == 0


def test_a_stream_of_another_type_is_a_request():
    _, found = serve(app_that_sends({**START, "headers": ()}, PIECE, BODY))
    assert found == {("GET", "/items/{id}", 200, ""): 1}


ACCEPT = {"type": "websocket.accept"}


@pytest.mark.parametrize(
    ("messages", "error", "status", "error_type"),
    [
        ((ACCEPT, {"type": "websocket.send", "text": "x"}, {"type": "websocket.close"}), None, 101, ""),
        (({"type": "websocket.close"},), None, 403, ""),
        (({"type": "websocket.http.response.start", "status": 401},), None, 401, ""),
        (({"type": "websocket.http.response.start", "status": 503},), None, 503, "503"),
        ((ACCEPT,), ValueError(), 101, "ValueError"),
        ((), ValueError(), 500, "ValueError"),
        ((), None, 0, "incomplete_response"),
    ],
)
def test_websockets_are_counted_apart(messages, error, status, error_type):
    app, recorder, _ = watched(app_that_sends(*messages, error=error), wrapped=True)
    asyncio.run(drive(app, websocket_scope(), incoming=()))
    assert counts(recorder) == {}
    assert counts(recorder, "websocket") == {("GET", "/items/{id}", status, error_type): 1}
    assert in_flight(recorder) == 0


def test_a_websocket_client_that_left_is_no_error():
    app, recorder, _ = watched(
        app_that_sends(ACCEPT, then=lambda receive: receive(), error=RuntimeError()), wrapped=True
    )
    asyncio.run(drive(app, websocket_scope(), incoming=({"type": "websocket.disconnect", "code": 1001},)))
    assert counts(recorder, "websocket") == {("GET", "/items/{id}", 101, ""): 1}


@pytest.mark.parametrize(
    ("path", "root_path", "counted"),
    [
        ("/health", "", 0),
        ("/healthy", "", 1),
        ("/internal/a/b", "", 0),
        ("/internal", "", 1),
        ("/prod/health", "/prod", 0),
        ("/health/", "", 1),
    ],
)
def test_excluded_paths_are_exact_or_prefixes(path, root_path, counted):
    app, recorder, _ = watched(app_that_sends(START, BODY), wrapped=True, excluded=["/health", "/internal/*"])
    exchange = get(app, path, root_path=root_path)
    asyncio.run(drive(app, websocket_scope(path, root_path=root_path)))
    assert exchange.sent == [START, BODY]
    assert sum(counts(recorder).values()) == counted
    assert len(recorder.snapshot().active) == 2 * counted


def test_an_exchange_is_counted_once_however_many_times_it_is_watched():
    inner, inner_recorder, _ = watched(app_that_sends(START, BODY), wrapped=True)

    async def in_between(scope, receive, send):
        await inner(scope, receive, send)

    outer, recorder, _ = watched(in_between, wrapped=True)
    assert get(outer).sent == [START, BODY]
    assert sum(counts(recorder).values()) == 1
    assert counts(inner_recorder) == {}


def test_the_raw_path_is_never_a_label():
    async def app(scope, receive, send):
        await send({**START, "status": 404})
        await send(BODY)

    served, recorder, _ = watched(app, wrapped=True)
    for path in ("/wp-admin.php", "/items/1", "/items/2"):
        get(served, path)
    assert counts(recorder) == {("GET", "", 404, ""): 3}


class Broken:
    """A recorder that fails at one of its verbs."""

    def __init__(self, recorder, verb):
        self.requests = {}
        self._recorder = recorder
        self._verb = verb

    def lane(self, *key):
        if self._verb == "lane":
            raise LookupError("broken")
        broken = self

        class Lane:
            def begin(self):
                if broken._verb == "begin":
                    raise LookupError("broken")

            def end(self, *_):
                raise LookupError("broken")

            leave = begin

        return Lane()

    def forget(self):
        pass


@pytest.mark.parametrize("verb", ["lane", "begin", "end"])
@pytest.mark.parametrize("scope", [http_scope(), websocket_scope()], ids=["http", "websocket"])
def test_a_broken_recorder_costs_no_request_and_is_logged_once(verb, scope, caplog):
    served, recorder, middleware = watched(app_that_sends(START, BODY), wrapped=True)
    middleware.count_into(Broken(recorder, verb))
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert asyncio.run(drive(served, dict(scope))).sent == [START, BODY]
    assert middleware.faults.counts["requests"] == 3
    assert [record.message for record in caplog.records] == [
        "otelmon: a request could not be counted: LookupError: broken"
    ]


def test_a_route_that_cannot_be_read_leaves_the_request_counted():
    class Odd:
        @property
        def path_format(self):
            raise ZeroDivisionError

    async def app(scope, receive, send):
        scope["route"] = Odd()
        await send(START)
        await send(BODY)

    served, recorder, middleware = watched(app, wrapped=True)
    assert get(served).sent == [START, BODY]
    assert counts(recorder) == {("GET", "", 200, ""): 1}
    assert sum(middleware.faults.counts.values()) == 1


def test_a_message_without_a_type_is_the_servers_to_refuse():
    exchange, _ = asyncio.run(_odd_message())
    assert exchange.error is None


async def _odd_message():
    served, recorder, middleware = watched(app_that_sends({"status": 200}, START, BODY), wrapped=True)
    exchange = await drive(served, http_scope())
    assert middleware.faults.counts["requests"] == 1
    assert sum(counts(recorder).values()) == 1
    return exchange, recorder


def test_counting_may_move_elsewhere_while_requests_are_in_flight():
    async def story():
        released = asyncio.Event()
        app, recorder, middleware = watched(app_that_sends(START, BODY, then=None), wrapped=True)
        slow, _, _ = watched(app_that_sends(START, then=lambda _: released.wait()), wrapped=True)
        slow.count_into(recorder)
        other = RequestRecorder(start_at=0.0)
        await drive(app, http_scope())
        middleware.count_into(other)
        assert counts(recorder) == {}
        await drive(app, http_scope())
        middleware.count_into(None)
        await drive(app, http_scope())
        assert sum(counts(other).values()) == 1
        task = asyncio.create_task(drive(slow, http_scope()))
        await asyncio.sleep(0)
        slow.count_into(None)
        released.set()
        await task
        assert in_flight(recorder) == 0

    asyncio.run(story())


def test_two_hundred_thousand_random_requests_leave_a_bounded_number_of_cells():
    chance = random.Random(3)
    status = 200

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": status})
        await send(BODY)

    served, recorder, _ = watched(app, wrapped=True)

    async def receive():
        return REQUEST

    async def send(_):
        pass

    async def story():
        nonlocal status
        base = http_scope()
        for _ in range(200_000):
            status = chance.randrange(-50, 1100)
            method = chance.choice(["GET", "POST", f"M{chance.random()}"])
            scheme = chance.choice(["http", "https", f"s{chance.random()}"])
            await served({**base, "method": method, "path": f"/{chance.random()}", "scheme": scheme}, receive, send)

    asyncio.run(story())
    snapshot = recorder.snapshot()
    assert sum(cell.count for cell in snapshot.cells) == 200_000
    assert len(snapshot.cells) <= recorder.max_cells + 1
    assert len(snapshot.active) == 9
    assert len(recorder.requests) == 4
    assert in_flight(recorder) == 0
    assert recorder.overflowed > 0
