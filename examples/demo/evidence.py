"""What a page in the channel says of its cause, and what the machine itself says."""

from __future__ import annotations

import re

from otelmon.instrument.disks import read_disks
from otelmon.testing.channel import PostedMessage

_TRACE_ID = re.compile(r"\b[0-9a-f]{32}\b")


def fields(message: PostedMessage) -> dict[str, str]:
    """The fields of a page as a person reads them, in their order."""
    return {
        field["name"]: field["value"].replace("\\", "") for embed in message.embeds for field in embed.get("fields", ())
    }


def cause(message: PostedMessage, breakdown: str) -> str:
    """The first line of a page's breakdown; empty as long as there is none."""
    return fields(message).get(breakdown, "").partition("\n")[0]


def trace_id(message: PostedMessage, name: str) -> str:
    """The id of the trace in a field of the page; empty where there is none."""
    found = _TRACE_ID.search(fields(message).get(name, ""))
    return "" if found is None else found[0]


def fullest_mount() -> str:
    """Where the fullest disk of this machine is mounted."""
    return read_disks()[0].mountpoint
