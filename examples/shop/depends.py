"""What the shop depends on: a database, a queue of mails in Redis, a place for videos. Part of the shop where both
addresses are set.

The pool and the queue are watched by a line each, uploads by a `with`; the Redis server and the health endpoint by
`redis:` and `probes:` in otelmon.yaml.
"""

from __future__ import annotations

import os

from fastapi import APIRouter, HTTPException, Request
from redis import Redis
from rq import Queue
from sqlalchemy import Connection, create_engine, text

import otelmon
from examples.shop.faults import effects, faults
from examples.shop.mail import send_confirmation

router = APIRouter()
engine = create_engine(os.environ["SHOP_DATABASE_URL"], pool_size=5, max_overflow=0)
mails = Queue("mails", connection=Redis.from_url(os.environ["SHOP_REDIS_URL"]))
otelmon.watch_pool(engine, "orders")
otelmon.watch_queue(mails)


@router.get("/health")
def health() -> dict[str, str]:
    """Whether the shop can work; asked by a probe."""
    if "health" in faults:
        raise HTTPException(503, "the warehouse does not answer")
    return {"status": "ok"}


@router.get("/orders/count")
def count_orders() -> int:
    """Something that takes a connection for a moment."""
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT 20")).scalar_one())


@router.post("/mails", status_code=202)
def confirm() -> dict[str, str]:
    """Have a mail sent by whoever works on the queue."""
    mails.enqueue(send_confirmation, "ada@example.com")
    return {"status": "queued"}


@router.post("/videos", status_code=201)
async def upload(request: Request) -> dict[str, str]:
    """Store a video; fails while the fault "uploads" is on."""
    try:
        with otelmon.operation("video-upload") as op:
            async for chunk in request.stream():
                _store(chunk)
                op.add_bytes(len(chunk))
    except OSError as error:
        raise HTTPException(507, "no room for more videos") from error
    return {"status": "stored"}


def _store(chunk: bytes) -> None:
    if chunk and "uploads" in faults:
        raise OSError("the bucket is full")


_held: list[Connection] = []


def _hold() -> None:
    """Take every connection and give none back, as a forgotten report does."""
    _held.extend(engine.connect() for _ in range(5))


def _give_back() -> None:
    while _held:
        _held.pop().close()


effects["connections"] = (_hold, _give_back)
