"""Files in a request, as Discord takes and refuses them: multipart/form-data with ``payload_json`` and ``files[n]``.

Where its documentation leaves a choice, the stricter reading holds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from otelmon.testing.channel import Attachment
from otelmon.testing.discord_rules import INVALID_FORM_BODY, INVALID_JSON, Refusal, form_refusal, length, refusal

LARGEST_BODY = 8 * 1024 * 1024
LARGEST_FILE = 10 * 1024 * 1024
_MULTIPART = "multipart/form-data"
_MOST_FILES = 10
_TOO_LARGE = refusal(413, 40005, "Request entity too large")
_FILE_PART = re.compile(r"files\[([0-9])\]")
_FILE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,255}")


def read(content_type: str, body: bytes) -> tuple[Any, Mapping[str, Attachment]] | Refusal:
    """The JSON that was sent, and the files that came along, by their number."""
    kind = content_type.partition(";")[0].strip().lower()
    text, files = body, dict[str, Attachment]()
    if kind == _MULTIPART:
        parts = split(content_type, body)
        if isinstance(parts, Refusal):
            return parts
        text, files = parts[0], dict(parts[1])
    elif kind != "application/json":
        return refusal(
            400,
            50035,
            "Expected \"Content-Type\" header to be one of {'application/json', 'multipart/form-data'}.",
        )
    if len(text) > LARGEST_BODY:
        return refusal(413, 40005, "Request entity too large")
    try:
        return json.loads(text.decode("utf-8"), parse_constant=_no_constant), files
    except (ValueError, RecursionError):
        return refusal(400, INVALID_JSON, "The request body contains invalid JSON.")


def split(content_type: str, body: bytes) -> tuple[bytes, Mapping[str, Attachment]] | Refusal:
    """The JSON of a multipart request, and its files by their number (as text); they have no id yet."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    payload: bytes | None = None
    files: dict[str, Attachment] = {}
    if not message.is_multipart() or message.defects:
        return _invalid("Expected a multipart body")
    for part in message.iter_parts():
        name = str(part.get_param("name", "", header="content-disposition"))
        content = part.get_payload(decode=True)
        content = content if isinstance(content, bytes) else b""
        if name == "payload_json":
            payload = content
        elif found := _FILE_PART.fullmatch(name):
            if len(content) > LARGEST_FILE:
                return _TOO_LARGE
            filename = part.get_filename() or ""
            if not _FILE_NAME.fullmatch(filename) or found[1] in files:
                return _invalid(f"{name} has no name that a file can have")
            files[found[1]] = Attachment(id="", filename=filename, content=content, kind=part.get_content_type())
        else:
            return _invalid(f"unexpected part {name!r}")
    if payload is None:
        return _invalid("payload_json is missing")
    return payload, files


def attached(
    body: Mapping[str, Any], files: Mapping[str, Attachment], earlier: Sequence[Attachment], *, first_id: int
) -> tuple[Attachment, ...] | Refusal:
    """The attachments that a message has after this request; new ones get ids from ``first_id`` on.

    ``body["attachments"]`` lists all that it is to have: a file of the request by its number, one that the message had
    (``earlier``) by its id. Without that list what there was stays, and the files come to it.
    """
    listed = body.get("attachments")
    if listed is None:
        listed = [{"id": each.id} for each in earlier] + [{"id": number} for number in files]
    if not isinstance(listed, list) or len(listed) > _MOST_FILES:
        return form_refusal({"attachments": [("BASE_TYPE_MAX_LENGTH", f"Must be {_MOST_FILES} or fewer in length.")]})
    known = {each.id: each for each in earlier} | dict(files)
    kept: dict[str, Attachment] = {}
    for index, entry in enumerate(listed):
        path = f"attachments.{index}"
        identity = str(entry.get("id", "")) if isinstance(entry, dict) else ""
        found = known.get(identity)
        if found is None or identity in kept:
            return form_refusal({f"{path}.id": [("ATTACHMENT_NOT_FOUND", "The referenced attachment was not found.")]})
        filename, said = entry.get("filename", found.filename), entry.get("description") or ""
        if not isinstance(filename, str) or not _FILE_NAME.fullmatch(filename):
            return form_refusal({f"{path}.filename": [("BASE_TYPE_BAD_LENGTH", "Not a name that a file can have.")]})
        if not isinstance(said, str) or length(said) > 1024:
            return form_refusal({f"{path}.description": [("BASE_TYPE_MAX_LENGTH", "Must be 1024 or fewer in length.")]})
        kept[identity] = Attachment(
            id=found.id or str(first_id + index),
            filename=filename,
            content=found.content,
            kind=found.kind,
            description=said or found.description,
        )
    return _shown(body, tuple(kept.values()))


def _shown(body: Mapping[str, Any], attachments: tuple[Attachment, ...]) -> tuple[Attachment, ...] | Refusal:
    """Refused where an embed shows a file that the message does not have."""
    names = {each.filename for each in attachments}
    for index, embed in enumerate(body.get("embeds") or ()):
        for part in ("image", "thumbnail"):
            url = str((embed.get(part) or {}).get("url", ""))
            if url.startswith("attachment://") and url.removeprefix("attachment://") not in names:
                fault = ("ATTACHMENT_NOT_FOUND", "The referenced attachment was not found.")
                return form_refusal({f"embeds.{index}.{part}.url": [fault]})
    return attachments


def _invalid(said: str) -> Refusal:
    return refusal(400, INVALID_FORM_BODY, f"Invalid Form Body: {said}")


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")
