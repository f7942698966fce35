"""Receiver: OTLP over HTTP and gRPC, handed to whoever takes each signal; it has threads of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from otelmon.collect.otlp import Signal
from otelmon.errors import ConfigError, Problem
from otelmon.faults import Faults
from otelmon.server.arrivals import ReceiverSettings, Sink
from otelmon.server.certificates import Certificates
from otelmon.server.otlp_grpc import grpc_server
from otelmon.server.otlp_http import OtlpHttp
from otelmon.server.paged import Told
from otelmon.server.room import Room

if TYPE_CHECKING:
    import grpc
    import uvicorn

_START_SECONDS = 30.0
_BACKLOG = 512
_THREADS = 2
# SDKs send each minute, and a connection anew for each time would cost both more than it does to keep it.
_KEEP_ALIVE_SECONDS = 75
# What small requests may come wrapped in.
_WRAPPED = 1024 * 1024


class Receiver:
    """Listens from `start` to `stop`. A signal without a sink is answered as not served: 404, UNIMPLEMENTED."""

    def __init__(
        self, settings: ReceiverSettings, sinks: Mapping[Signal, Sink], *, faults: Faults, told: Told | None = None
    ) -> None:
        """``told`` answers clients that ask what was paged, over HTTP."""
        self.http_port: int | None = None
        """The port where HTTP is served, None where it is not."""
        self.grpc_port: int | None = None
        """The port where gRPC is served, None where it is not."""
        self._settings = settings
        self._sinks = sinks
        self._faults = faults
        self._told = told
        self._room = Room(settings.most_at_once, max(settings.most_held, settings.most_decompressed))
        self._http: _HttpServer | None = None
        self._grpc: grpc.Server | None = None

    def start(self) -> None:
        """Listen; returns once clients are served.

        Raises OSError where a port cannot be had or a file of TLS cannot be read, ConfigError where what it serves
        with is not installed.
        """
        try:
            if self._settings.http_port is not None:
                self._http = _HttpServer(self._settings, self._sinks, self._room, self._faults, self._told)
                self.http_port = self._http.port
            if self._settings.grpc_port is not None:
                self._grpc, self.grpc_port = grpc_server(
                    self._settings, self._sinks, room=self._room, faults=self._faults
                )
                self._grpc.start()
            if self._http is not None:
                self._http.start()
        except BaseException:
            self.stop(0.0)
            raise

    def stop(self, timeout_seconds: float = 5.0) -> None:
        """Serve what has come, within the time given, and let go of the ports."""
        stopped = self._grpc.stop(timeout_seconds) if self._grpc is not None else None
        if self._http is not None:
            self._http.stop(timeout_seconds)
        if stopped is not None:
            stopped.wait(timeout_seconds + 1.0)
        self._http = self._grpc = self.http_port = self.grpc_port = None


class _Loop(asyncio.SelectorEventLoop):
    """Waits for a client's end of TLS no longer than for the head of a request; uvicorn would for a minute."""

    def __init__(self, handshake_seconds: float) -> None:
        super().__init__()
        self._handshake_seconds = handshake_seconds

    async def create_server(self, *args: Any, **options: Any) -> asyncio.Server:
        if options.get("ssl") is not None:
            options["ssl_handshake_timeout"] = self._handshake_seconds
        return await super().create_server(*args, **options)


class _HttpServer:
    """uvicorn in a thread of its own, on a socket that is bound before it is started."""

    def __init__(
        self,
        settings: ReceiverSettings,
        sinks: Mapping[Signal, Sink],
        room: Room,
        faults: Faults,
        told: Told | None,
    ) -> None:
        try:
            import uvicorn
        except ImportError as error:
            hint = "install it with: pip install 'otelmon[server]'"
            raise ConfigError(
                [Problem(message="OTLP/HTTP is served with uvicorn, which is absent", hint=hint)]
            ) from error
        from otelmon.server.patience import Patience, patient

        certificates = None if settings.tls is None else Certificates(settings.tls, faults)
        self._executor = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="otelmon-otlp")
        self._faults = faults
        self._socket = _bound(settings)
        self.port: int = self._socket.getsockname()[1]
        app = OtlpHttp(settings, sinks, faults=faults, executor=self._executor, room=room, told=told)
        config = uvicorn.Config(
            app,
            http=patient(
                Patience(
                    head_seconds=settings.head_seconds,
                    answer_seconds=settings.body_seconds,
                    connections=settings.most_connections,
                    request_bytes=2 * settings.most_body + _WRAPPED,
                )
            ),
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            log_level="error",  # a line for each request that is none would be a way to fill the log
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            limit_concurrency=2 * settings.most_connections,  # `Patience` ends some before
            timeout_graceful_shutdown=1,
        )
        config.load()
        if certificates is not None:
            config.ssl = certificates.context()
        self._handshake_seconds = settings.head_seconds
        self._server: uvicorn.Server = uvicorn.Server(config)
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="otelmon-http", daemon=True)

    def start(self) -> None:
        self._thread.start()
        if not self._started.wait(_START_SECONDS) or not self._thread.is_alive():
            raise OSError("OTLP/HTTP could not be started; the reason is in the log")

    def stop(self, timeout_seconds: float) -> None:
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(timeout_seconds + 2.0)
        self._socket.close()
        self._executor.shutdown(wait=False)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=partial(_Loop, self._handshake_seconds)) as runner:
                runner.run(self._serve())
        except Exception as error:  # noqa: BLE001 (`start` says so; later, gRPC goes on)
            self._faults.add("receiver", "OTLP over HTTP is not served any more", error)
        finally:
            self._started.set()

    async def _serve(self) -> None:
        # The socket listens already: whoever connects from now on is served.
        asyncio.get_running_loop().call_soon(self._started.set)
        await self._server.serve(sockets=[self._socket])


def _bound(settings: ReceiverSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((settings.host, settings.http_port))
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        where = f"{settings.host}:{settings.http_port}"
        raise OSError(
            f"OTLP/HTTP cannot listen at {where}: {error.strerror or error}; serve: {{http: PORT}}"
        ) from error
    return bound
