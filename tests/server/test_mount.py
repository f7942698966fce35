"""The door in the host application: what is ours there, what it costs, and that its failures stay ours."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import thread_time
from typing import Any

import pytest
from fastapi import FastAPI
from litestar import Litestar
from litestar import get as litestar_get
from quart import Quart
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from otelmon.faults import Faults
from otelmon.instrument.lifecycle import ASGIApp, Receive, Scope, Send
from otelmon.server.mount import in_thread, mounted
from tests.e2e.served import clean_environ
from tests.instrument.driver import counts, drive, get, http_scope, watched, websocket_scope

LINK = "/otelmon/ack/token"


async def ours(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b"ours"})


async def own(request: Any) -> PlainTextResponse:
    return PlainTextResponse("the app's own")


def fastapi() -> Any:
    app = FastAPI()
    app.add_api_route("/{path:path}", lambda path: path)
    return app


def litestar() -> Any:
    @litestar_get("/", sync_to_thread=False)
    def show() -> str:
        return "the app's own"

    return Litestar([show])


def quart() -> Any:
    app = Quart("shop")

    @app.get("/")
    async def show() -> str:
        return "the app's own"

    return app


def starlette() -> Any:
    return Starlette(routes=[Route("/{path:path}", own)])


@pytest.mark.parametrize("build", [fastapi, starlette, litestar, quart])
@pytest.mark.parametrize("wrapped", [False, True])
def test_our_pages_are_answered_before_the_app_and_not_counted(build: Callable[[], Any], wrapped: bool) -> None:
    pages = mounted("https://shop.example.com", lambda: ours, Faults())
    app, recorder, _ = watched(build(), wrapped=wrapped, own_pages=pages)
    assert get(app, LINK).status == 299
    assert get(app, "/").status == 200
    assert get(app, "/otelmon/other").status in {200, 404}
    assert sum(counts(recorder).values()) == 2


def test_a_path_before_the_app_is_taken_with_and_without_it() -> None:
    pages = mounted("https://example.com/shop/", lambda: ours, Faults())
    app, _, _ = watched(starlette(), own_pages=pages)
    assert get(app, f"/shop{LINK}").status == 299
    assert get(app, LINK).status == 299  # a proxy took the path away
    assert get(app, f"/shop{LINK}", root_path="/shop").status == 299  # and a server was told so
    assert get(app, f"/other{LINK}").status == 200
    assert get(app, "/shop/otelmon/acknowledge").status == 200


def test_a_websocket_and_an_app_that_is_not_counted_pass_as_ever() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.close"} if scope["type"] == "websocket" else {"type": "http.response.start"})

    pages = mounted("https://shop.example.com", lambda: ours, Faults())
    served, recorder, middleware = watched(app, wrapped=True, own_pages=pages)
    seen = asyncio.run(drive(served, websocket_scope(LINK)))
    assert seen.sent == [{"type": "websocket.close"}]
    middleware.count_into(None)  # another instrumentation counts
    assert get(served, LINK).status == 299
    assert counts(recorder) == {}


def test_a_mounted_app_below_another_answers_too() -> None:
    inner, _, _ = watched(starlette(), wrapped=True, own_pages=mounted("https://x.example/a", lambda: ours, Faults()))
    assert get(Starlette(routes=[Mount("/a", inner)]), f"/a{LINK}").status == 299


def test_what_fails_in_a_page_is_ours_counted_and_answered() -> None:
    faults = Faults()

    def broken() -> ASGIApp:
        raise ImportError("no jinja2")

    app, recorder, _ = watched(starlette(), own_pages=mounted("https://x.example", broken, faults))
    answered = get(app, LINK)
    assert answered.error is None
    assert answered.status == 500
    assert b"otelmon ack ID" in answered.sent[1]["body"]
    assert faults.counts["own_pages"] == 1
    assert get(app, "/").status == 200
    assert sum(counts(recorder).values()) == 1


def test_a_client_that_leaves_is_no_fault() -> None:
    faults = Faults()
    app, _, _ = watched(starlette(), own_pages=mounted("https://x.example", lambda: ours, faults))
    left = asyncio.run(drive(app, http_scope(LINK), fail_send_after=1))
    assert left.error is None
    assert not faults.counts


def test_what_blocks_does_not_run_on_the_event_loop() -> None:
    async def both() -> list[str]:
        import threading

        here = threading.current_thread().name
        return [here, await in_thread(lambda: threading.current_thread().name)]

    here, there = asyncio.run(both())
    assert here != there
    with pytest.raises(ZeroDivisionError):
        asyncio.run(in_thread(lambda: 1 / 0))


def test_an_app_with_a_public_url_loads_nothing_for_the_page_before_somebody_opens_it(tmp_path: Path) -> None:
    (tmp_path / "otelmon.yaml").write_text("service: shop\npaging: on\npublic_url: https://shop.example.com\n")
    program = f"""
import sys
import otelmon
async def app(scope, receive, send): ...
app = otelmon.wrap(app, config={str(tmp_path / "otelmon.yaml")!r})
print({{name for name in ("jinja2", "itsdangerous", "starlette", "sqlalchemy") if name in sys.modules}} or "nothing")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=clean_environ(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "nothing"


@pytest.mark.skipif(sys.gettrace() is not None, reason="a tracer makes everything slow")
def test_other_requests_hardly_pay_for_it() -> None:
    """One more look-up a request, a fraction of a microsecond; the bound is far above it, for busy machines."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def nothing(*_: Any) -> None: ...

    async def lap(served: ASGIApp) -> float:
        scopes = [http_scope("/items/7") for _ in range(1000)]
        began = thread_time()
        for scope in scopes:
            await served(scope, nothing, nothing)
        return (thread_time() - began) / len(scopes)

    plain, _, _ = watched(app, wrapped=True)
    paged, _, _ = watched(app, wrapped=True, own_pages=mounted("https://shop.example.com/shop", lambda: ours, Faults()))
    laps = [(asyncio.run(lap(plain)), asyncio.run(lap(paged))) for _ in range(7)]
    without, with_pages = (min(column) for column in zip(*laps, strict=True))
    print(f"{1e6 * without:.2f} us without, {1e6 * with_pages:.2f} us with pages")
    assert with_pages - without < 3e-6
