"""Alerts in their table. Functions over an open transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import Connection, delete, select

from otelmon.alerts.model import Alert
from otelmon.errors import StateError
from otelmon.labels import Labels
from otelmon.storage.codec import decode_alert, digest, encode_alert, printable, to_json
from otelmon.storage.tables import ALERTS

_BATCH = 500


def read(connection: Connection) -> dict[str, dict[Labels, Alert]]:
    """All alerts by rule. Raises StateError where one is none that this version knows."""
    alerts: dict[str, dict[Labels, Alert]] = {}
    for row in connection.execute(select(ALERTS.c.rule, ALERTS.c.body).order_by(ALERTS.c.rule, ALERTS.c.position)):
        try:
            alert = decode_alert(json.loads(row.body))
        except (ValueError, KeyError, TypeError) as error:
            raise StateError(f"a saved value cannot be read ({error!r})") from error
        alerts.setdefault(row.rule, {})[alert.labels] = alert
    return alerts


def write(connection: Connection, alerts: Mapping[str, Mapping[Labels, Alert]]) -> None:
    """These alerts of these rules, in place of those that the rules had."""
    rules = {printable(rule): of_rule for rule, of_rule in alerts.items()}
    names = list(rules)
    for start in range(0, len(names), _BATCH):
        connection.execute(delete(ALERTS).where(ALERTS.c.rule.in_(names[start : start + _BATCH])))
    rows = [
        {"rule": rule, "labels_digest": digest(labels), "position": position, "body": to_json(encode_alert(alert))}
        for rule, of_rule in rules.items()
        for position, (labels, alert) in enumerate(of_rule.items())
    ]
    if rows:
        connection.execute(ALERTS.insert(), rows)
