"""The steps from one version of the schema to the next. A step that was released is never changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from sqlalchemy import Connection, text

from otelmon.labels import Labels
from otelmon.storage.codec import digest, to_json

Steps = Mapping[int, Callable[[Connection], None]]


_VERSION_2 = """
ALTER TABLE incidents ADD COLUMN acknowledged_at BIGINT;
ALTER TABLE incidents ADD COLUMN storm VARCHAR NOT NULL DEFAULT '';
CREATE INDEX incidents_by_storm ON incidents (storm);
CREATE TABLE incident_alerts (
    incident_id VARCHAR NOT NULL, labels_digest VARCHAR NOT NULL, number INTEGER NOT NULL, rule VARCHAR NOT NULL,
    state VARCHAR NOT NULL, body TEXT NOT NULL, PRIMARY KEY (incident_id, labels_digest));
CREATE TABLE silences (
    id VARCHAR NOT NULL PRIMARY KEY, created_at BIGINT NOT NULL, ended_at BIGINT, body TEXT NOT NULL);
CREATE INDEX silences_by_end ON silences (ended_at)
"""

_VERSION_3 = """
CREATE TABLE escalations (incident_id VARCHAR NOT NULL PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE overrides (
    id VARCHAR NOT NULL PRIMARY KEY, created_at BIGINT NOT NULL, ends_at BIGINT NOT NULL, removed_at BIGINT,
    removed_by VARCHAR NOT NULL DEFAULT '', body TEXT NOT NULL);
CREATE INDEX overrides_by_end ON overrides (ends_at);
ALTER TABLE pages ADD COLUMN instead_of VARCHAR NOT NULL DEFAULT '';
ALTER TABLE pages ADD COLUMN passed_on BOOLEAN NOT NULL DEFAULT false;
ALTER TABLE pages ADD COLUMN thread_id VARCHAR NOT NULL DEFAULT '';
CREATE INDEX pages_by_first ON pages (instead_of);
CREATE TABLE lease (
    name VARCHAR NOT NULL PRIMARY KEY, holder VARCHAR NOT NULL, token BIGINT NOT NULL, boot VARCHAR NOT NULL,
    until_monotonic FLOAT NOT NULL, until_wall FLOAT NOT NULL);
CREATE TABLE totals (name VARCHAR NOT NULL PRIMARY KEY, body TEXT NOT NULL);
ALTER TABLE ticks ADD COLUMN lasting BOOLEAN NOT NULL DEFAULT FALSE
"""


def _groups_and_silences(connection: Connection) -> None:
    """Version 2: many alerts to one incident, in a table of their own; silences; what an incident told whom."""
    for statement in _VERSION_2.strip().split(";\n"):
        connection.execute(text(statement))
    for row in connection.execute(text("SELECT id, body FROM incidents")).all():
        body = json.loads(row.body)
        alerts = body.pop("alerts")
        for number, alert in enumerate(alerts):
            labels = Labels(alert["labels"])
            connection.execute(
                text("INSERT INTO incident_alerts VALUES (:id, :digest, :number, :rule, :state, :body)"),
                {
                    "id": row.id,
                    "digest": digest(labels),
                    "number": number,
                    "rule": labels.get("alertname", ""),
                    "state": alert["state"],
                    "body": to_json(alert),
                },
            )
        # One alert made one incident, whose first page was sent when it was triggered.
        own = alerts[0]["labels"]
        body |= {
            "group": {name: own[name] for name in ("job", "alertname") if name in own},
            "told": [alert["labels"] for alert in alerts],
            "tellings": len(body.get("timeline", ())),
            "shown_in": [["triggered", 1]],
            "first_paged_at": body["triggered_at"],
            "paged_at": body["triggered_at"],
        }
        connection.execute(
            text("UPDATE incidents SET body = :body, acknowledged_at = :acknowledged_at WHERE id = :id"),
            {"id": row.id, "body": to_json(body), "acknowledged_at": body.get("acknowledged_at")},
        )


def _on_call_notifiers_and_processes(connection: Connection) -> None:
    """Version 3: how far escalations have come, overrides; pages that stand for others at a fallback, threads.

    The escalations of open incidents begin with the first tick. And who evaluates among several processes, and what
    those had counted that have ended; samples that are kept for longer than others.
    """
    for statement in _VERSION_3.strip().split(";\n"):
        connection.execute(text(statement))


STEPS: Steps = {2: _groups_and_silences, 3: _on_call_notifiers_and_processes}
"""What makes the schema of version n out of that of version n - 1. A new file is made at the newest version at once."""
