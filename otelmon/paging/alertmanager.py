"""A message as the JSON that Alertmanager sends to webhooks, so that what reads those reads ours.

Format: ``webhook_config`` in Alertmanager's documentation, version "4". An alert's fingerprint is the FNV-1a hash
that Prometheus's common library computes of its labels: the same alert has the same one, whoever sends it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from otelmon.labels import Labels
from otelmon.paging.model import Message, PagedAlert
from otelmon.paging.visible import whole

VERSION = "4"
NOTE_ANNOTATION = "otelmon_note"
"""Says why a page comes this way."""

_FIRES = "0001-01-01T00:00:00Z"  # Go's zero time: when what still fires ends
_OFFSET, _PRIME, _MASK = 14695981039346656037, 1099511628211, 2**64 - 1


def webhook_payload(message: Message, *, receiver: str, at: datetime) -> dict[str, Any]:
    """The body that tells a receiver of a message.

    ``status`` is firing as long as one of the alerts fires. A message without alerts (a test page, a page that was
    stored by an earlier version) is an alert of its own that began at ``at``, where the message does not say when.
    There is no address of ours that could be linked: ``externalURL`` and ``generatorURL`` are empty.
    """
    alerts = [_alert(alert, message.note) for alert in message.alerts or (_of_words(message, at),)]
    return {
        "receiver": whole(receiver),
        "status": "firing" if any(alert["status"] == "firing" for alert in alerts) else "resolved",
        "alerts": alerts,
        "groupLabels": _texts(message.group),
        "commonLabels": _common(alert["labels"] for alert in alerts),
        "commonAnnotations": _common(alert["annotations"] for alert in alerts),
        "externalURL": "",
        "version": VERSION,
        "groupKey": whole(f"{{}}:{message.group}"),
        "truncatedAlerts": message.left_out,
    }


def fingerprint(labels: Mapping[str, str]) -> str:
    """The fingerprint of a label set: FNV-1a (64 bits) over names and values in order, each ended by a byte 0xff."""
    digest = _OFFSET
    for name, value in sorted(labels.items()):
        for byte in b"%b\xff%b\xff" % (name.encode("utf-8", "replace"), value.encode("utf-8", "replace")):
            digest = ((digest ^ byte) * _PRIME) & _MASK
    return f"{digest:016x}"


def _alert(alert: PagedAlert, note: str) -> dict[str, Any]:
    labels, annotations = _texts(alert.labels), _texts(alert.annotations)
    if note:
        annotations[NOTE_ANNOTATION] = whole(note)
    return {
        "status": "firing" if alert.ends_at is None else "resolved",
        "labels": labels,
        "annotations": annotations,
        "startsAt": _instant(alert.starts_at),
        "endsAt": _FIRES if alert.ends_at is None else _instant(alert.ends_at),
        "generatorURL": "",
        "fingerprint": fingerprint(labels),
    }


def _of_words(message: Message, at: datetime) -> PagedAlert:
    return PagedAlert(
        labels=Labels({"alertname": "otelmon", "severity": message.severity.value}),
        annotations={"summary": message.title, "description": message.description},
        starts_at=message.since_at or at,
        ends_at=at if message.resolved else None,
    )


def _texts(texts: Mapping[str, str]) -> dict[str, str]:
    return {whole(name): whole(value) for name, value in texts.items()}


def _common(sets: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """What all of the sets have alike."""
    first, *rest = sets
    return {name: value for name, value in first.items() if all(each.get(name) == value for each in rest)}


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
