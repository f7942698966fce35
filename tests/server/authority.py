"""A certificate authority of the tests' own."""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Certificates for loopback, signed by one authority."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
        self.file = folder / "ca.pem"
        self.file.write_bytes(self._sign(self._name, self._key, ca=True))

    def issue(self, name: str, *, days: float = 1) -> tuple[Path, Path]:
        """The files of a certificate, which ends after so many days, and its key; those of this name before go."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        files = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        files[0].write_bytes(self._sign(subject, key, ca=False, days=days))
        plain, form = serialization.NoEncryption(), serialization.PrivateFormat.PKCS8
        files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
        return files

    def _sign(self, subject: x509.Name, key: Any, *, ca: bool, days: float = 1) -> bytes:
        now = dt.datetime.now(dt.UTC)
        loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        built = x509.CertificateBuilder(subject_name=subject, issuer_name=self._name, public_key=key.public_key())
        built = built.serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(days=9))
        built = built.not_valid_after(now + dt.timedelta(days=days)).add_extension(loopback, critical=False)
        built = built.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        # Python verifies strictly since 3.13: who signed has to be named, and allowed to.
        signer, own = self._key.public_key(), key.public_key()
        named = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer)
        built = built.add_extension(named, critical=False)
        built = built.add_extension(x509.SubjectKeyIdentifier.from_public_key(own), critical=False)
        built = built.add_extension(_usage(signs=ca), critical=True)
        return built.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
