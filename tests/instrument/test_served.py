"""Real uvicorn over real sockets: what leaves and what is cut off."""

import asyncio
import socket
import threading

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from tests.instrument.driver import counts, in_flight, watched

WAIT_SECONDS = 10


class Served:
    """The app under uvicorn in a thread of its own."""

    def __init__(self, app):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.server = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="none"))
        self.thread = threading.Thread(target=asyncio.run, args=(self.server.serve(sockets=[self.listener]),))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.should_exit = True
        self.thread.join(WAIT_SECONDS)
        self.listener.close()
        assert not self.thread.is_alive()

    def connect(self, path):
        client = socket.create_connection(self.listener.getsockname(), timeout=WAIT_SECONDS)
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n".encode())
        return client


class Shop:
    """An app whose slow handlers say where they are."""

    def __init__(self):
        self.entered = threading.Event()
        self.left = threading.Event()
        self.app = Starlette(
            routes=[
                Route("/items/{id}", self.show),
                Route("/slow", self.slow),
                Route("/stream", self.stream),
                Route("/fail", self.fail),
            ]
        )

    async def show(self, request):
        return PlainTextResponse("ok")

    async def fail(self, request):
        raise ValueError("broken")

    async def slow(self, request):
        self.entered.set()
        try:
            while (await request.receive())["type"] != "http.disconnect":
                pass
        finally:
            self.left.set()
        return PlainTextResponse("too late")

    async def stream(self, request):
        async def pieces():
            try:
                while True:
                    yield b"x" * 1000
                    await asyncio.sleep(0)  # so that the server hears the client leave
            finally:
                self.left.set()

        return StreamingResponse(pieces())


def status_of(client):
    with client, client.makefile("rb") as reply:
        return int(reply.readline().split()[1])


@pytest.mark.parametrize("wrapped", [False, True], ids=["attached", "wrapped"])
def test_requests_over_sockets_are_counted_and_the_lifespan_starts_and_stops(wrapped):
    events = []
    app, recorder, middleware = watched(
        Shop().app,
        wrapped=wrapped,
        on_start=lambda: events.append("start"),
        on_stop=lambda: events.append(("stop", sum(counts(recorder).values()))),
    )
    with Served(app) as served:
        found = [status_of(served.connect(path)) for path in ("/items/1", "/items/2", "/fail", "/nothing")]
    assert found == [200, 200, 500, 404]
    assert counts(recorder) == {
        ("GET", "/items/{id}", 200, ""): 2,
        ("GET", "/fail", 500, "ValueError"): 1,
        ("GET", "", 404, ""): 1,
    }
    assert events == ["start", ("stop", 4)]
    assert in_flight(recorder) == 0
    assert not middleware.faults.counts


@pytest.mark.parametrize("wrapped", [False, True], ids=["attached", "wrapped"])
@pytest.mark.parametrize(("path", "status"), [("/stream", 200)])
def test_a_client_that_hangs_up_in_mid_stream_is_no_error(wrapped, path, status):
    shop = Shop()
    app, recorder, _ = watched(shop.app, wrapped=wrapped)
    with Served(app) as served:
        client = served.connect(path)
        client.recv(2000)
        client.close()
        assert shop.left.wait(WAIT_SECONDS)
    assert counts(recorder) == {("GET", path, status, ""): 1}
    assert in_flight(recorder) == 0


@pytest.mark.parametrize("wrapped", [False, True], ids=["attached", "wrapped"])
def test_a_client_that_hangs_up_before_the_response_is_no_error(wrapped):
    shop = Shop()
    app, recorder, _ = watched(shop.app, wrapped=wrapped)
    with Served(app) as served:
        client = served.connect("/slow")
        assert shop.entered.wait(WAIT_SECONDS)
        assert in_flight(recorder) == 1
        client.close()
        assert shop.left.wait(WAIT_SECONDS)
    ((_, route, status, error_type),) = counts(recorder)
    # What the handler then sends to nobody is its own business: a 200 that arrived nowhere, or nothing at all.
    assert (route, error_type) == ("/slow", "")
    assert status in {200, 499}
    assert in_flight(recorder) == 0
