"""What a pipeline of real processes is built from: taps that note what passes, and points, spans and records to compare."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx

from otelmon.collect.otlp import GRPC, Signal
from otelmon.server.forward.messages import request_type
from tests.e2e.fleet import CONFIG, Server
from tests.server.forward.backend import BACKENDS, METHODS, Backend, Say
from tests.server.forward.test_between_agents import points

SERVER = CONFIG.replace("grpc: off", "grpc: 0")
OWN = "otelmon"
"""The service.name of the server's own data, which it forwards with that of others."""
_SECONDS = 60.0
_FIELDS = {
    Signal.TRACES: ("resource_spans", "scope_spans", "spans"),
    Signal.LOGS: ("resource_logs", "scope_logs", "log_records"),
}


def grpc_port(server: Server) -> int:
    return int(re.findall(r"grpc on port (\d+)", server.wait_for_log("taking OTLP"))[0])


def place(server: Server, protocol: str) -> str:
    """Where a server takes OTLP."""
    return f"http://127.0.0.1:{grpc_port(server)}" if protocol == GRPC else server.endpoint


def forwarding(url: str, protocol: str, more: str = "", config: str = SERVER) -> str:
    """The configuration of a server that sends on."""
    return f"{config}forward: {{endpoint: '{url}', protocol: {protocol}{more}}}\n"


def items(taken: Iterable[tuple[Signal, bytes]]) -> Counter[bytes]:
    """Every point, span and record with all that it belongs to, by its bytes; without the server's own."""
    found: Counter[bytes] = Counter()
    for signal, body in list(taken):
        request = request_type(signal).FromString(body)
        _leave_out_own(request)
        found.update(points(request) if signal is Signal.METRICS else _entries(signal, request))
    return found


def _leave_out_own(request: Any) -> None:
    (resources,) = [value for field, value in request.ListFields() if field.name.startswith("resource_")] or [[]]
    kept = [each for each in resources if not _is_own(each.resource)]
    del resources[:]
    resources.extend(kept)


def _is_own(resource: Any) -> bool:
    return any(pair.key == "service.name" and pair.value.string_value == OWN for pair in resource.attributes)


def _entries(signal: Signal, request: Any) -> Iterator[bytes]:
    of_resources, of_scopes, of_entries = _FIELDS[signal]
    for resource in getattr(request, of_resources):
        for scope in getattr(resource, of_scopes):
            belongs = [resource.resource, scope.scope]
            for entry in getattr(scope, of_entries):
                whole = b"".join(each.SerializeToString(deterministic=True) for each in (*belongs, entry))
                yield f"{signal} {resource.schema_url} {scope.schema_url} ".encode() + whole


@contextmanager
def tap(target: str, protocol: str) -> Iterator[Backend]:
    """Passes on what it is sent, answers what it was answered, and has noted what the target took."""
    with BACKENDS[protocol]() as tapped, httpx.Client(timeout=_SECONDS, trust_env=False) as client:
        tapped.show = _shown(client, target)
        if protocol == GRPC:
            with grpc.insecure_channel(target.removeprefix("http://")) as channel:
                tapped.answer = _over_grpc(channel)
                yield tapped
        else:
            tapped.answer = _over_http(client, target)
            yield tapped


def _shown(client: httpx.Client, target: str) -> Callable[[str], tuple[int, bytes]]:
    def show(path: str) -> tuple[int, bytes]:
        answer = client.get(target + path)
        return answer.status_code, answer.content

    return show


def _over_http(client: httpx.Client, target: str) -> Callable[[Signal, bytes], Say]:
    def answer(signal: Signal, body: bytes) -> Say:
        said = client.post(target + signal.path, content=body, headers={"Content-Type": "application/x-protobuf"})
        return Say(status=said.status_code, body=said.content)

    return answer


def _over_grpc(channel: grpc.Channel) -> Callable[[Signal, bytes], Say]:
    def answer(signal: Signal, body: bytes) -> Say:
        try:
            return Say(body=channel.unary_unary(METHODS[signal])(body, timeout=_SECONDS))
        except grpc.RpcError as error:
            return Say(code=error.code(), details=error.details())

    return answer
