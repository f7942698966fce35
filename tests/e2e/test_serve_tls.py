"""A real `otelmon serve` that speaks TLS: whom it lets in, certificates renewed under it, and an app as its client."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest

from otelmon.testing import DiscordStandIn
from tests.collect.making import data_of
from tests.collect.sending import encoded, gauge, number
from tests.e2e.fleet import CONFIG, Server
from tests.e2e.served import CONFIG as APP_CONFIG
from tests.e2e.served import Served
from tests.server.authority import Authority
from tests.server.frames import EXPORT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("theirs"))


@pytest.fixture(scope="module")
def server(ours: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    certificate, key = ours.issue("server")
    tls = f"tls: {{certificate: {certificate}, key: {key}, client_ca: {ours.file}}}"
    serve = f'serve: {{host: 0.0.0.0, http: 0, grpc: 0, public: "127.0.0.1:0", {tls}}}'
    config = re.sub("serve: .*", lambda _: serve, CONFIG)
    with (
        DiscordStandIn() as discord,
        Server(tmp_path_factory.mktemp("server"), config=config, webhook_url=discord.webhook_url) as running,
    ):
        yield running


def body() -> bytes:
    return encoded(data_of(gauge(number(1, time.time())), resource={"service.name": "shop"}))


def over_http(server: Server, trusted: Authority, pair: tuple[Path, Path] | None) -> int:
    context = ssl.create_default_context(cafile=trusted.file)
    if pair is not None:
        context.load_cert_chain(*pair)
    url = f"https://127.0.0.1:{server.otlp_port}/v1/metrics"
    headers = {"content-type": "application/x-protobuf"}
    with httpx.Client(verify=context, trust_env=False, timeout=60) as client:
        return client.post(url, content=body(), headers=headers).status_code


def over_grpc(server: Server, trusted: Authority, pair: tuple[Path, Path] | None) -> grpc.StatusCode:
    mine = () if pair is None else (pair[1].read_bytes(), pair[0].read_bytes())
    credentials = grpc.ssl_channel_credentials(trusted.file.read_bytes(), *mine)
    with grpc.secure_channel(f"127.0.0.1:{grpc_port(server)}", credentials) as channel:
        try:
            channel.unary_unary(EXPORT)(body(), timeout=60)
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def grpc_port(server: Server) -> int:
    return int(re.findall(r"grpc on port (\d+)", server.wait_for_log("taking OTLP"))[0])


def test_only_who_has_a_valid_certificate_of_the_right_authority_is_let_in(
    server: Server, ours: Authority, theirs: Authority
) -> None:
    for pair in (None, theirs.issue("client"), ours.issue("expired", days=-1)):
        with pytest.raises(httpx.HTTPError):
            over_http(server, ours, pair)
        assert over_grpc(server, ours, pair) is grpc.StatusCode.UNAVAILABLE
    known = ours.issue("client")
    assert over_http(server, ours, known) == 200
    assert over_grpc(server, ours, known) is grpc.StatusCode.OK
    # A client that trusts another authority does not tell this server anything either.
    with pytest.raises(httpx.HTTPError, match="certificate verify failed"):
        over_http(server, theirs, known)
    assert over_grpc(server, theirs, known) is grpc.StatusCode.UNAVAILABLE


def test_plain_text_where_tls_is_spoken_is_no_request(server: Server) -> None:
    with pytest.raises(httpx.HTTPError):
        httpx.post(f"http://127.0.0.1:{server.otlp_port}/v1/metrics", content=body(), timeout=60, trust_env=False)
    with grpc.insecure_channel(f"127.0.0.1:{grpc_port(server)}") as channel, pytest.raises(grpc.RpcError):
        channel.unary_unary(EXPORT)(body(), timeout=60)
    assert server.page("/-/ready").status_code == 200


def serial(port: int) -> int:
    """The number of the certificate that is shown at this port."""
    from cryptography import x509

    return x509.load_pem_x509_certificate(ssl.get_server_certificate(("127.0.0.1", port)).encode()).serial_number


def test_renewed_files_are_shown_from_then_on_and_broken_ones_are_not(server: Server, ours: Authority) -> None:
    known = ours.issue("client")
    ports = (server.otlp_port, grpc_port(server))
    before = [serial(port) for port in ports]
    certificate = ours.file.parent / "server.pem"
    whole = certificate.read_bytes()
    certificate.write_bytes(whole[:100])
    assert [serial(port) for port in ports] == before
    assert "the renewed files of TLS cannot be used" in server.wait_for_log("renewed files")
    certificate.write_bytes(whole)
    ours.issue("server")
    after = [serial(port) for port in ports]
    assert after[0] == after[1] != before[0]
    assert over_http(server, ours, known) == 200
    assert over_grpc(server, ours, known) is grpc.StatusCode.OK


@pytest.mark.soak
def test_an_app_sends_to_a_server_with_a_certificate_of_ones_own(
    server: Server, ours: Authority, tmp_path: Path
) -> None:
    certificate, key = ours.issue("app")
    tls = f"endpoint_tls: {{ca: {ours.file}, certificate: {certificate}, key: {key}}}\n"
    config = f"endpoint: https://127.0.0.1:{server.otlp_port}\n{tls}{APP_CONFIG}"
    with Served(tmp_path, config=config, environ={"OTEL_SERVICE_NAME": "private"}) as app:
        app.get("/items/1")
        up = 'otelmon_instance_up{job="private"} == 1'
        server.until(lambda: bool(server.query(up)), doing=lambda: app.get("/items/1"))
        assert "cannot be sent" not in app.log
