"""A JSON body and a file in one request, as Discord takes them (multipart/form-data, RFC 7578)."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any


def multipart(body: Mapping[str, Any], *, name: str, content: bytes, kind: str) -> tuple[bytes, str]:
    """The body with one file, and its Content-Type; the JSON is the part ``payload_json``, the file ``files[0]``."""
    boundary = f"otelmon-{secrets.token_hex(16)}"
    parts = (
        ('name="payload_json"', "application/json", json.dumps(body).encode()),
        (f'name="files[0]"; filename="{name}"', kind, content),
    )
    lines = [
        f"--{boundary}\r\nContent-Disposition: form-data; {said}\r\nContent-Type: {type_}\r\n\r\n".encode() + part
        for said, type_, part in parts
    ]
    return b"\r\n".join([*lines, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"
