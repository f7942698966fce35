"""An honest client that goes on sending, over HTTP and gRPC, while others misbehave."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import httpx

from tests.collect.making import data_of
from tests.collect.sending import encoded, gauge, number
from tests.server.clients import Server
from tests.server.frames import EXPORT

HONEST = {"service.name": "honest", "service.instance.id": "h-1"}
# Generous: the machine may be busy with much else. A client that is shut out waits for ever.
MOST_SECONDS = 20.0


@contextmanager
def served(server: Server, token: str = "", least: int = 3) -> Iterator[None]:
    """All that it sends within the block is taken, in time; there are some requests of it at least."""
    over, failures, took = threading.Event(), [], []

    def run() -> None:
        authorization = [("authorization", f"Bearer {token}")] if token else []
        headers = {"content-type": "application/x-protobuf", **dict(authorization)}
        with (
            httpx.Client(trust_env=False, timeout=60) as client,
            grpc.insecure_channel(f"127.0.0.1:{server.receiver.grpc_port}") as channel,
        ):
            export = channel.unary_unary(EXPORT)
            while not over.wait(0.02) or len(took) < least:
                began = time.monotonic()
                body = encoded(data_of(gauge(number(1, time.time())), resource=HONEST))
                try:
                    client.post(f"{server.http}/v1/metrics", content=body, headers=headers).raise_for_status()
                    export(body, timeout=60, metadata=authorization)
                except (httpx.HTTPError, grpc.RpcError) as error:
                    failures.append(error)
                    return
                took.append(time.monotonic() - began)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert not failures
    assert max(took) < MOST_SECONDS
