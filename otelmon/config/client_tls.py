"""Reads what otelmon needs to speak TLS as a client: whom it trusts, and who it is."""

from __future__ import annotations

import ssl
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from otelmon.document.fields import Fields

_KEYS = ("ca", "certificate", "key")


class TlsSettings(BaseModel):
    """Files in PEM: who signs the other side's certificate, and our own certificate with its key (mTLS)."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @property
    def context(self) -> ssl.SSLContext | bool:
        """What httpx takes as ``verify``. Raises OSError where a file cannot be used."""
        if self.ca is None and self.certificate is None:
            return True
        context = ssl.create_default_context(cafile=self.ca)
        if self.certificate is not None and self.key is not None:
            context.load_cert_chain(self.certificate, self.key)
        return context


def read_client_tls(parent: Fields, name: str, base: Path) -> TlsSettings:
    """The section of this name; its files are relative to ``base``. Problems are noted."""
    section = parent.sub(name)
    if section is None:
        return TlsSettings()
    fields = Fields(section, parent.problems, known=_KEYS, path=parent.key(name))
    files = {each: _file(fields, each, base) for each in _KEYS}
    if (files["certificate"] is None) != (files["key"] is None):
        missing = "key" if files["key"] is None else "certificate"
        if fields.entry(missing) is None:
            fields.fault(missing, "a certificate and its key belong together", f"write {missing}: FILE too")
    return TlsSettings(**files)


def _file(fields: Fields, name: str, base: Path) -> Path | None:
    text = fields.text(name, what="a file")
    if text is None:
        return None
    path = (base / text.strip()).absolute()
    if not path.is_file():
        fields.fault(name, f"{text.strip()!r} is no file", "write the path of a file in PEM, relative to this one")
    return path
