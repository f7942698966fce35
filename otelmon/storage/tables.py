"""The tables, in SQLAlchemy Core: nothing here is peculiar to SQLite.

Instants are whole microseconds since 1970 (UTC), so that they compare exactly everywhere. Bodies are JSON in ASCII: no
database has to take a NUL or a lone surrogate that a label may carry. A label set is found by its digest, because it
may be longer than an index takes.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
)

SCHEMA_VERSION = 3

METADATA = MetaData()

_COUNTER = BigInteger().with_variant(Integer, "sqlite")

META = Table(
    "otelmon_meta",
    METADATA,
    Column("name", String, primary_key=True),
    Column("value", Text, nullable=False),
)

ALERTS = Table(
    "alerts",
    METADATA,
    Column("rule", String, primary_key=True),
    Column("labels_digest", String, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("body", Text, nullable=False),
)

INCIDENTS = Table(
    "incidents",
    METADATA,
    Column("id", String, primary_key=True),
    Column("state", String, nullable=False),
    Column("triggered_at", BigInteger, nullable=False),
    Column("resolved_at", BigInteger),
    Column("body", Text, nullable=False),
    Column("acknowledged_at", BigInteger),
    Column("storm", String, nullable=False, server_default=""),
    Index("incidents_by_state", "state", "triggered_at"),
    Index("incidents_by_storm", "storm"),
)

# Many alerts to one incident. ``body`` is the alert as it was when its part in the incident changed; while it fires,
# the row of the same rule and labels in ALERTS has it as it stands.
INCIDENT_ALERTS = Table(
    "incident_alerts",
    METADATA,
    Column("incident_id", String, primary_key=True),
    Column("labels_digest", String, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("rule", String, nullable=False),
    Column("state", String, nullable=False),
    Column("body", Text, nullable=False),
)

SILENCES = Table(
    "silences",
    METADATA,
    Column("id", String, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("body", Text, nullable=False),
    Index("silences_by_end", "ended_at"),
)

# How far the escalation of an open incident has come.
ESCALATIONS = Table(
    "escalations",
    METADATA,
    Column("incident_id", String, primary_key=True),
    Column("body", Text, nullable=False),
)

# The outbox. Lower ``urgency`` goes first, then lower ``number`` (the order in which pages were decided). ``follows``
# is the page that has to be sent (or known to be rejected) before this one: what an edit edits, what
# "resolved" answers. ``instead_of`` is the page that this one stands for at a fallback; ``passed_on`` is set once the
# fallback was asked, whether or not anybody was left to get a page. ``uncertain`` is set once an attempt ended without
# saying whether the target took the page.
PAGES = Table(
    "pages",
    METADATA,
    Column("number", _COUNTER, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("incident_id", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("action", String, nullable=False),
    Column("target", String, nullable=False),
    Column("urgency", Integer, nullable=False),
    Column("edits", String, nullable=False),
    Column("follows", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String, nullable=False),
    Column("decided_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("lease_until", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("uncertain", Boolean, nullable=False),
    Column("message_id", String, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("finished_at", BigInteger),
    Column("instead_of", String, nullable=False, server_default=""),
    Column("passed_on", Boolean, nullable=False, server_default=false()),
    Column("thread_id", String, nullable=False, server_default=""),
    Index("pages_by_urgency", "state", "urgency", "number"),
    Index("pages_by_incident", "incident_id"),
    Index("pages_by_edited", "edits"),
    Index("pages_by_first", "instead_of"),
)

REQUESTS = Table(
    "requests",
    METADATA,
    Column("number", _COUNTER, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("asked_at", BigInteger, nullable=False),
    Column("kind", String, nullable=False),
    Column("body", Text, nullable=False),
)

# Changes to who is on call that were made by hand. Never deleted: they are few, and reports of the past need them.
OVERRIDES = Table(
    "overrides",
    METADATA,
    Column("id", String, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger, nullable=False),
    Column("removed_at", BigInteger),
    Column("removed_by", String, nullable=False, server_default=""),
    Column("body", Text, nullable=False),
    Index("overrides_by_end", "ends_at"),
)

SERIES = Table(
    "series",
    METADATA,
    Column("id", _COUNTER, primary_key=True, autoincrement=True),
    Column("labels_digest", String, nullable=False, unique=True),
    Column("labels", Text, nullable=False),
)

# One row for all samples of a save, between ``first_at`` and ``last_at``. ``shifted`` seconds are to be added to every
# instant in the blob, because the wall clock has jumped since. ``lasting`` ones are kept for longer: views over
# days.
TICKS = Table(
    "ticks",
    METADATA,
    Column("number", _COUNTER, primary_key=True, autoincrement=True),
    Column("first_at", Float(53), nullable=False),
    Column("last_at", Float(53), nullable=False),
    Column("shifted", Float(53), nullable=False),
    Column("samples", LargeBinary, nullable=False),
    Column("lasting", Boolean, nullable=False, server_default=false()),
    Index("ticks_by_time", "last_at"),
)

# Which of several processes evaluates and pages; see ``otelmon.storage.lease``.
LEASE = Table(
    "lease",
    METADATA,
    Column("name", String, primary_key=True),
    Column("holder", String, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("boot", String, nullable=False),
    Column("until_monotonic", Float(53), nullable=False),
    Column("until_wall", Float(53), nullable=False),
)

# What processes that have ended had counted, as text: ``otelmon.collect.gathered``.
TOTALS = Table(
    "totals",
    METADATA,
    Column("name", String, primary_key=True),
    Column("body", Text, nullable=False),
)
