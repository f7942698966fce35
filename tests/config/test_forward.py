"""Where everything goes on to, and every way of writing it wrongly."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from otelmon.collect.otlp import GRPC, HTTP, Signal
from otelmon.config.forward import Compression
from otelmon.config.load import load_settings
from otelmon.config.settings import Settings
from otelmon.errors import ConfigError

SECRET = "s3cret-0123456789"
GOOD = """
forward:
  backend: {endpoint: "http://collector:4317/"}
  vendor:
    endpoint: "https://ada:${TOKEN}@otlp.example.com/otlp"
    protocol: http/protobuf
    headers: {Authorization: "Bearer ${TOKEN}", X-Tenant: 7}
    timeout: 3s
    compression: none
    signals: [metrics, logs]
    tls: {ca: ca.pem}
    queue: {size: 2GiB}
  later: {endpoint: "${NOT_SET_HERE:-}"}
"""


def loaded(directory: Path, text: str) -> Settings:
    (directory / "otelmon.yaml").write_text(text, encoding="utf-8")
    (directory / "ca.pem").touch()
    return load_settings(None, environ={"HOME": "/home/a", "TOKEN": SECRET}, directory=directory)


def test_targets_are_read_and_one_whose_address_is_not_set_here_is_left_out(tmp_path: Path) -> None:
    found = loaded(tmp_path, GOOD)
    backend, vendor = found.forward
    assert (backend.name, backend.protocol, backend.place) == ("backend", GRPC, "collector:4317")
    assert backend.endpoint.get_secret_value() == "http://collector:4317"
    assert (backend.signals, backend.compression, backend.timeout_seconds) == (tuple(Signal), Compression.GZIP, 10.0)
    assert (vendor.protocol, vendor.place, vendor.timeout_seconds) == (HTTP, "otlp.example.com", 3.0)
    headers = {name: value.get_secret_value() for name, value in vendor.headers.items()}
    assert headers == {"authorization": f"Bearer {SECRET}", "x-tenant": "7"}
    assert (vendor.compression, vendor.signals) == (Compression.NONE, (Signal.METRICS, Signal.LOGS))
    assert (vendor.tls.ca, vendor.queue_bytes) == (tmp_path / "ca.pem", 2 * 2**30)
    assert SECRET not in repr(found) + str(found.forward)


def test_one_target_needs_no_name(tmp_path: Path) -> None:
    (found,) = loaded(tmp_path, "forward: {endpoint: https://otlp.example.com, signals: traces}").forward
    assert (found.name, found.protocol, found.signals) == ("backend", HTTP, (Signal.TRACES,))
    assert loaded(tmp_path, "forward:\n").forward == ()
    assert loaded(tmp_path, "forward: {endpoint: '${NOT_SET_HERE:-}'}\n").forward == ()


def test_a_backend_on_this_machine_may_have_the_ports_that_the_server_has_not(tmp_path: Path) -> None:
    text = "serve: {http: 14318, grpc: off}\nforward: {endpoint: http://127.0.0.1:4318}"
    (found,) = loaded(tmp_path, text).forward
    assert found.place == "127.0.0.1:4318"


def test_the_example_that_ships_is_what_it_says(tmp_path: Path) -> None:
    shipped = files("otelmon").joinpath("otelmon.yaml").read_text(encoding="utf-8")
    example = shipped[shipped.index("# process:") :].replace("\n# ", "\n").removeprefix("# ")
    for name in ("client.pem", "client.key"):
        (tmp_path / name).touch()
    one, several = example.replace("forward: {traces", "#").replace("${OTLP_TOKEN}", SECRET), example[-200:]
    written = "\n".join(line for line in one.splitlines() if line and line[0] in "pf ")
    found = loaded(tmp_path, written)
    (target,) = found.forward
    assert (target.place, target.queue_bytes, target.tls.key) == ("otlp.example.com", 2**28, tmp_path / "client.key")
    assert len(found.process.steps) == 7
    assert [each.name for each in loaded(tmp_path, several[several.index("forward:") :]).forward] == [
        "traces",
        "metrics",
    ]


E = "forward: {endpoint: http://a:4318, "
# (what is written, where the error points, the key and what it says)
BAD = [
    (f"forward: http://a:4318/{SECRET}", ":1:10", "forward: a section of keys expected"),
    ("forward: [a]", ":1:10", "forward: a section of keys expected, not a list; write {endpoint: http://collector:4318}"),
    ("forward: {a: b}", ":1:11", "forward.a: a section of keys expected, not 'b'"),
    ("forward: {A b: {}}", ":1:11", "forward.A b: no name for a target; write up to 40 small letters"),
    ("forward: {endpint: http://a}", ":1:11", 'forward.endpint: unknown key; did you mean "endpoint"?'),
    ("forward: {headers: {}}", ":1:10", "forward.endpoint: the endpoint is missing"),
    ("forward: {b: {}}", ":1:14", "forward.b.endpoint: the endpoint is missing"),
    ("forward: {endpoint: collector:4317}", ":1:21", "forward.endpoint: is no OTLP endpoint; write http://host:4318"),
    ("forward: {endpoint: 'http://a:port'}", ":1:21", "forward.endpoint: is no OTLP endpoint"),
    ("forward: {endpoint: 'http://[a'}", ":1:21", "forward.endpoint: is no OTLP endpoint"),
    ("forward: {endpoint: [a]}", ":1:21", "forward.endpoint: is no OTLP endpoint"),
    ("forward: {endpoint: 'http://a/v1/traces'}", ":1:21", "forward.endpoint: ends in the path of one signal; write"),
    ("forward: {endpoint: 'http://localhost:4317'}", ":1:21", "forward.endpoint: leads back to this server"),
    ("forward: {endpoint: 'http://127.0.0.1:4318'}", ":1:21", "forward.endpoint: leads back to this server"),
    ("forward: {endpoint: 'http://a/?k=v'}", ":1:21", "forward.endpoint: has more than an address and a path"),
    (E + "protocol: http}", ":1:46", "forward.protocol: 'http' is not known here; write http/protobuf or grpc"),
    (E + "headers: [a]}", ":1:45", "forward.headers: a section of keys expected, not a list"),
    (E + "headers: {'a b': c}}", ":1:53", "forward.headers.a b: no header that can be set here"),
    (E + "headers: {Content-Type: c}}", ":1:60", "forward.headers.Content-Type: no header that can be set here"),
    (E + "headers: {a: é}}", ":1:49", "forward.headers.a: no value that a header can have"),
    (E + "headers: {a: [b]}}", ":1:49", "forward.headers.a: text expected, not a list"),
    (E + "timeout: 10}", ":1:45", "forward.timeout: '10' is no duration; a number needs its unit: write 10s"),
    (E + "compression: zstd}", ":1:49", "forward.compression: 'zstd' is not known here; write gzip or none"),
    (E + "signals: [metric]}", ":1:46", "forward.signals: 'metric' is no signal; did you mean \"metrics\"?"),
    (E + "signals: []}", ":1:45", "forward.signals: a target that gets nothing; name a signal"),
    (E + "tls: {ca: ca.pem}}", ":1:41", "forward.tls: the endpoint is without TLS; write https://"),
    (E + "queue: 1GiB}", ":1:43", "forward.queue: a section of keys expected, not '1GiB'"),
    (E + "queue: {size: 100}}", ":1:50", "forward.queue.size: '100' is no size; write 256MiB or 2GiB"),
    (E + "queue: {size: 1KiB}}", ":1:50", "forward.queue.size: '1KiB' is out of bounds; write at least 1MiB"),
    ("forward: {endpoint: https://a, tls: {ca: gone.pem}}", ":1:42", "forward.tls.ca: 'gone.pem' is no file"),
    ("forward: {endpoint: https://a, tls: {key: ca.pem}}", ":1:37", "forward.tls.certificate: a certificate and its"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "place", "said"), BAD, ids=[text for text, _, _ in BAD])
def test_what_cannot_be_meant_is_told_with_its_place_and_no_secret(
    text: str, place: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as raised:
        loaded(tmp_path, text)
    message = str(raised.value)
    assert message.count("\n") == 0, message
    assert message.startswith(f"{tmp_path / 'otelmon.yaml'}{place}: "), message
    assert said in message
    assert SECRET not in message
