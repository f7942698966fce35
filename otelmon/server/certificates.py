"""Certificates: the files of TLS, read again when they are renewed; what is connected stays so."""

from __future__ import annotations

import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from otelmon.faults import Faults
from otelmon.server.arrivals import TlsFiles

_Signature = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    context: ssl.SSLContext
    key: bytes
    certificate: bytes
    client_ca: bytes | None


class Certificates:
    """Looks at the files with each handshake, as Prometheus does; for any thread.

    New files that do not fit together (they are being written, or are no PEM) are a fault, and those before stay.
    """

    def __init__(self, tls: TlsFiles, faults: Faults) -> None:
        """Raises OSError (ssl.SSLError is one) where the files cannot be used."""
        self._tls = tls
        self._faults = faults
        self._lock = threading.Lock()
        self._seen = self._signature()
        self._loaded = self._load()

    def context(self) -> ssl.SSLContext:
        """For a server that makes one handshake after another; each has the files as they are then."""
        renewed = _Renewed(ssl.PROTOCOL_TLS_SERVER)
        renewed.certificates = self
        return renewed

    def credentials(self) -> grpc.ServerCredentials:
        """The same for gRPC."""
        given = self.current()

        def renewed() -> Any:
            nonlocal given
            current = self.current()
            if current is given:
                return None
            given = current
            return _configuration(current)

        return grpc.dynamic_ssl_server_credentials(
            _configuration(given), renewed, require_client_authentication=self._tls.client_ca is not None
        )

    def current(self) -> _Loaded:
        """What the files say now."""
        with self._lock:
            try:
                signature = self._signature()
                if signature != self._seen:
                    self._seen = signature
                    self._loaded = self._load()
                    self._faults.clear("tls")
            except (OSError, ValueError) as error:
                self._faults.add("tls", f"the renewed files of TLS cannot be used, so the old ones stay: {error}")
            return self._loaded

    def _files(self) -> list[Path]:
        return [path for path in (self._tls.certificate, self._tls.key, self._tls.client_ca) if path is not None]

    def _signature(self) -> _Signature:
        # The inode too: who renews files puts others in their place.
        stats = [path.stat() for path in self._files()]
        return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in stats)

    def _load(self) -> _Loaded:
        tls = self._tls
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(tls.certificate, tls.key)
        except ssl.SSLError as error:
            message = f"serve.tls: {tls.certificate} and {tls.key} are no certificate with its key, in PEM"
            raise OSError(f"{message} ({error.reason or error})") from error
        if tls.client_ca is not None:
            context.load_verify_locations(tls.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return _Loaded(
            context=context,
            key=tls.key.read_bytes(),
            certificate=tls.certificate.read_bytes(),
            client_ca=None if tls.client_ca is None else tls.client_ca.read_bytes(),
        )


class _Renewed(ssl.SSLContext):
    """Stands for the newest context: asyncio asks for each connection's end of TLS here."""

    certificates: Certificates

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        return self.certificates.current().context.wrap_bio(*args, **options)


def _configuration(loaded: _Loaded) -> Any:
    return grpc.ssl_server_certificate_configuration(
        [(loaded.key, loaded.certificate)], root_certificates=loaded.client_ca
    )
