"""Any alert, incident, page or sample."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from hypothesis import strategies as st

from otelmon.alerts.model import Alert, AlertState, TransitionReason
from otelmon.histogram import Buckets, Histogram
from otelmon.incidents.model import Cause, Change, Event, EventKind, Incident, IncidentState, Telling
from otelmon.incidents.silence import Silence
from otelmon.labels import Labels
from otelmon.matching import Matcher, MatchOperator
from otelmon.oncall.model import Mention, MentionKind
from otelmon.paging.decide import Context, decide
from otelmon.paging.model import Field, Message, Page, PageAction, PageReason
from otelmon.rules.model import Severity, Unit
from otelmon.sample import STALE, Sample
from tests.alerts.build import minute
from tests.paging.build import fixed

TEXTS = st.text(st.characters(), max_size=12)  # lone surrogates and NUL included
INSTANTS = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
MAYBE = st.none() | INSTANTS
NAMES = st.text("abcde_", min_size=1, max_size=6)
LABELS = st.dictionaries(NAMES, TEXTS, max_size=3).map(Labels)
MAPPINGS = st.dictionaries(TEXTS, TEXTS, max_size=3)
FLOATS = st.floats(allow_nan=False)

ALERTS = st.builds(
    Alert,
    labels=LABELS.map(lambda labels: labels.with_label("alertname", "error_rate")),
    annotations=MAPPINGS,
    severity=st.sampled_from(Severity),
    state=st.sampled_from(AlertState),
    active_at=INSTANTS,
    fired_at=MAYBE,
    resolved_at=MAYBE,
    last_held_at=MAYBE,
    stopped_at=MAYBE,
    series=LABELS,
    value=FLOATS,
    bound=st.none() | FLOATS,
    operator=st.sampled_from(["", ">", "<="]),
    unit=st.sampled_from(Unit),
    restored=st.booleans(),
    manual=st.booleans(),
    ended=st.none() | st.sampled_from(TransitionReason),
    context=MAPPINGS,
)
EVENTS = st.builds(Event, at=INSTANTS, kind=st.sampled_from(EventKind), by=TEXTS, text=TEXTS)
TELLINGS = st.builds(Telling, cause=st.sampled_from(Cause), number=st.integers(1, 9))
INCIDENTS = st.builds(
    Incident,
    id=st.text("CDFG2345", min_size=4, max_size=6),
    state=st.sampled_from(IncidentState),
    alerts=st.lists(ALERTS, min_size=1, max_size=2, unique_by=lambda alert: alert.labels).map(tuple),
    triggered_at=INSTANTS,
    acknowledged_at=MAYBE,
    acknowledged_by=TEXTS,
    resolved_at=MAYBE,
    timeline=st.lists(EVENTS, max_size=3).map(tuple),
    group=LABELS,
    told=st.frozensets(LABELS, max_size=2),
    muted=st.dictionaries(LABELS, TEXTS, max_size=2),
    tellings=st.integers(0, 9),
    shown_in=st.lists(TELLINGS, max_size=2).map(tuple),
    first_paged_at=MAYBE,
    paged_at=MAYBE,
    silenced_at=MAYBE,
    resolved_by=TEXTS,
    members=st.integers(0, 9),
    joined_at=MAYBE,
    rounds=st.integers(1, 9),
)
MATCHERS = st.builds(Matcher, name=NAMES, operator=st.sampled_from(list(MatchOperator)[:2]), value=TEXTS)
SILENCES = st.builds(
    Silence,
    id=st.text("CDFG2345", min_size=4, max_size=6).map("S".__add__),
    matchers=st.lists(
        st.builds(Matcher, name=NAMES, operator=st.sampled_from(["=", "!="]).map(MatchOperator), value=TEXTS),
        max_size=2,
    ).map(tuple),
    starts_at=INSTANTS,
    ends_at=MAYBE,
    until_resolved=st.booleans(),
    author=TEXTS,
    comment=TEXTS,
    created_at=INSTANTS,
    ended_by=TEXTS,
    noticed_at=MAYBE,
)
MESSAGES = st.builds(
    Message,
    severity=st.sampled_from(Severity),
    resolved=st.booleans(),
    acknowledged_by=TEXTS,
    title=TEXTS,
    description=TEXTS,
    mentions=st.lists(st.builds(Mention, kind=st.sampled_from(MentionKind), id=TEXTS), max_size=2).map(tuple),
    fields=st.lists(st.builds(Field, name=TEXTS, value=TEXTS, inline=st.booleans()), max_size=2).map(tuple),
    link=TEXTS,
    acknowledge=TEXTS,
    since_at=MAYBE,
    footer=TEXTS,
    short=st.booleans(),
)
PAGES = st.builds(
    Page,
    id=NAMES,
    incident_id=NAMES,
    reason=st.sampled_from(PageReason),
    action=st.sampled_from(PageAction),
    target=NAMES,
    message=MESSAGES,
    edits=st.just("") | NAMES,
    follows=st.just("") | NAMES,
    due_at=INSTANTS,
)


@st.composite
def _buckets(draw: st.DrawFn) -> Buckets:
    indices = sorted(draw(st.sets(st.integers(-(2**31), 2**31 - 1), max_size=4)))
    return Buckets(indices=tuple(indices), counts=tuple(draw(FLOATS) for _ in indices))


HISTOGRAMS = st.builds(
    Histogram,
    count=FLOATS,
    sum=FLOATS,
    scale=st.integers(-53, 20),
    zero_count=FLOATS,
    zero_threshold=FLOATS,
    positive=_buckets(),
    negative=_buckets(),
    bounds=st.none() | st.lists(FLOATS, max_size=3).map(tuple),
)
SAMPLES = st.builds(
    Sample,
    labels=LABELS,
    at=st.floats(0, 4e9),
    value=FLOATS | HISTOGRAMS | st.just(STALE),
    start_at=st.none() | st.floats(0, 4e9),
)


def firing(name: str = "error_rate", severity: Severity = Severity.CRITICAL, at: float = 0) -> Alert:
    return Alert(
        labels=Labels({"alertname": name, "severity": severity.value}),
        severity=severity,
        state=AlertState.FIRING,
        active_at=minute(at),
        fired_at=minute(at),
        value=0.3,
    )


def owed(changes: Sequence[Change], *targets: str) -> tuple[Page, ...]:
    """The pages that changes owe, as they are decided."""
    return decide(changes, routing=fixed(targets or ("discord",)), about=Context(service="shop"))
